#include "ws/frame.h"

#include <cstring>

namespace sluice::ws {

std::optional<FrameHeader> FrameHeader::decode(Bytes bytes) {
  if (bytes.size() < 2) return std::nullopt;
  FrameHeader header;
  header.fin = (bytes[0] & 0x80) != 0;
  header.rsv = (bytes[0] & 0x70) >> 4;
  header.opcode = bytes[0] & 0x0F;
  header.masked = (bytes[1] & 0x80) != 0;
  const std::uint8_t code = bytes[1] & 0x7F;
  const std::size_t extended = code == 127 ? 8 : code == 126 ? 2 : 0;
  header.size = static_cast<std::uint8_t>(2 + extended + (header.masked ? 4 : 0));
  if (bytes.size() < header.size) return std::nullopt;
  header.length = code == 127   ? load_be<std::uint64_t>(bytes.data() + 2)
                  : code == 126 ? load_be<std::uint16_t>(bytes.data() + 2)
                                : code;
  if (header.masked) std::memcpy(header.mask.data(), bytes.data() + 2 + extended, 4);
  return header;
}

std::size_t FrameHeader::encode(std::uint8_t* out) const {
  out[0] = static_cast<std::uint8_t>((fin ? 0x80 : 0) | rsv << 4 | opcode);
  std::size_t at = 2;
  std::uint8_t code = 0;
  if (length < 126) {
    code = static_cast<std::uint8_t>(length);
  } else if (length <= 0xFFFF) {
    code = 126;
    store_be(out + at, static_cast<std::uint16_t>(length));
    at += 2;
  } else {
    code = 127;
    store_be(out + at, length);
    at += 8;
  }
  out[1] = static_cast<std::uint8_t>((masked ? 0x80 : 0) | code);
  if (masked) {
    std::memcpy(out + at, mask.data(), 4);
    at += 4;
  }
  return at;
}

namespace {

void mask_word(std::uint8_t* at, std::uint64_t key) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, 8);
  word ^= key;
  std::memcpy(at, &word, 8);
}

}  // namespace

void apply_mask(MutableBytes bytes, const std::array<std::uint8_t, 4>& mask, std::uint64_t phase) {
  std::array<std::uint8_t, 12> thrice;
  for (std::size_t i = 0; i < thrice.size(); i += 4) std::memcpy(thrice.data() + i, mask.data(), 4);
  const std::uint8_t* pattern = thrice.data() + (phase & 3);
  std::uint64_t key = 0;
  std::memcpy(&key, pattern, 8);

  std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  // Straight lines of words: the compiler makes vector instructions of them at -O2, which it does not do to a
  // loop.
  for (; left >= 32; at += 32, left -= 32) {
    mask_word(at, key);
    mask_word(at + 8, key);
    mask_word(at + 16, key);
    mask_word(at + 24, key);
  }
  for (; left >= 8; at += 8, left -= 8) mask_word(at, key);
  for (std::size_t i = 0; i < left; ++i) at[i] ^= pattern[i];
}

}  // namespace sluice::ws
