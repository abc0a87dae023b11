// WebSocket frame heads and the mask, RFC 6455 §5.2 and §5.3: as much as two ends that trust each other need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bench {

inline constexpr std::uint8_t kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
inline constexpr std::size_t kMaxFrameHead = 14;

struct FrameHead {
  std::uint8_t first = 0;  // FIN, RSV and opcode as they are on the wire
  bool masked = false;
  std::uint64_t length = 0;
  std::uint8_t mask[4] = {};
  std::uint8_t opcode() const { return first & 0x0f; }
  bool final() const { return (first & 0x80) != 0; }
};

inline std::uint64_t load_be(const std::uint8_t* p, std::size_t n) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < n; ++i) value = value << 8 | p[i];
  return value;
}

inline void store_be(std::uint8_t* p, std::uint64_t value, std::size_t n) {
  for (std::size_t i = n; i-- > 0; value >>= 8) p[i] = static_cast<std::uint8_t>(value);
}

// The size of the head at `p`, 0 when `n` bytes do not hold all of it.
inline std::size_t decode_head(const std::uint8_t* p, std::size_t n, FrameHead& head) {
  if (n < 2) return 0;
  head.first = p[0];
  head.masked = (p[1] & 0x80) != 0;
  const unsigned short_length = p[1] & 0x7f;
  const std::size_t extended = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
  const std::size_t size = 2 + extended + (head.masked ? 4 : 0);
  if (n < size) return 0;
  head.length = extended == 0 ? short_length : load_be(p + 2, extended);
  if (head.masked) std::memcpy(head.mask, p + 2 + extended, 4);
  return size;
}

// Writes at most kMaxFrameHead bytes; `mask` null means unmasked. Returns the size of the head.
inline std::size_t encode_head(std::uint8_t* p, std::uint8_t first, std::uint64_t length,
                               const std::uint8_t* mask) {
  const std::uint8_t mask_bit = mask != nullptr ? 0x80 : 0;
  const std::size_t extended = length < 126 ? 0 : length <= 0xffff ? 2 : 8;
  p[0] = first;
  p[1] = static_cast<std::uint8_t>(mask_bit | (extended == 0 ? length : extended == 2 ? 126 : 127));
  store_be(p + 2, length, extended);
  if (mask != nullptr) std::memcpy(p + 2 + extended, mask, 4);
  return 2 + extended + (mask != nullptr ? 4 : 0);
}

// dst = src XOR mask, from the payload's first byte.
inline void apply_mask(std::uint8_t* dst, const std::uint8_t* src, std::size_t n, const std::uint8_t* mask) {
  std::uint64_t wide = 0;
  std::memcpy(&wide, mask, 4);
  std::memcpy(reinterpret_cast<std::uint8_t*>(&wide) + 4, mask, 4);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, src + i, 8);
    word ^= wide;
    std::memcpy(dst + i, &word, 8);
  }
  for (; i < n; ++i) dst[i] = src[i] ^ mask[i & 3];
}

}  // namespace bench
