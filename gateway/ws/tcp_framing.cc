#include "ws/tcp_framing.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/result.h"

namespace sluice::ws {

// ---- Delimiter ---------------------------------------------------------------------------------------------------------

Delimiter::Delimiter(std::string octets) : octets_(std::move(octets)) {
  check(!octets_.empty() && octets_.size() <= kMost, "a delimiter has 1 to 64 octets");
  for (std::size_t at = 1, known = 0; at < octets_.size(); ++at) {
    while (known > 0 && octets_[at] != octets_[known]) known = fallback_[known - 1];
    if (octets_[at] == octets_[known]) ++known;
    fallback_[at] = static_cast<std::uint8_t>(known);
  }
}

std::optional<std::size_t> Delimiter::feed(Bytes piece, std::size_t& matched) const {
  const auto* const wanted = reinterpret_cast<const std::uint8_t*>(octets_.data());
  if (matched == octets_.size()) matched = fallback_[matched - 1];
  for (std::size_t at = 0; at < piece.size(); ++at) {
    if (matched == 0) {  // far from any: to the next octet that could begin one
      const void* const next = std::memchr(piece.data() + at, wanted[0], piece.size() - at);
      if (next == nullptr) return std::nullopt;
      at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(next) - piece.data());
    }
    while (matched > 0 && piece[at] != wanted[matched]) matched = fallback_[matched - 1];
    if (piece[at] == wanted[matched]) ++matched;
    if (matched == octets_.size()) return at + 1;
  }
  return std::nullopt;
}

bool Delimiter::ends_after(std::size_t matched) const { return feed(octets(), matched) == octets_.size(); }

std::size_t Delimiter::cut_at_end(Bytes bytes) const {
  for (std::size_t size = std::min(octets_.size() - 1, bytes.size()); size > 0; --size) {
    if (std::memcmp(bytes.data() + bytes.size() - size, octets_.data(), size) == 0) return size;
  }
  return 0;
}

std::optional<std::size_t> Delimiter::find(Bytes bytes) const {
  if (bytes.size() < octets_.size()) return std::nullopt;
  const void* const at = octets_.size() == 1
                             ? std::memchr(bytes.data(), static_cast<std::uint8_t>(octets_[0]), bytes.size())
                             : ::memmem(bytes.data(), bytes.size(), octets_.data(), octets_.size());
  if (at == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const std::uint8_t*>(at) - bytes.data());
}

// ---- LengthPrefix ------------------------------------------------------------------------------------------------------

std::size_t LengthPrefix::width() const {
  switch (kind) {
    case Kind::u8: return 1;
    case Kind::u16: return 2;
    case Kind::u24: return 3;
    case Kind::u32: return 4;
    case Kind::u64: return 8;
    case Kind::varint: break;
  }
  return 0;
}

std::uint64_t LengthPrefix::longest() const {
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  const std::size_t octets = width();
  const std::uint64_t most = octets == 0 || octets == 8 ? kAll : (std::uint64_t{1} << (8 * octets)) - 1;
  return counted ? most - octets : most;
}

std::size_t LengthPrefix::encode(std::uint64_t length, std::uint8_t* out) const {
  check(length <= longest(), "a length that its prefix cannot say");
  if (kind == Kind::varint) {
    std::size_t size = 0;
    for (; length >= 0x80; length >>= 7) out[size++] = static_cast<std::uint8_t>(length | 0x80);
    out[size++] = static_cast<std::uint8_t>(length);
    return size;
  }
  const std::size_t octets = width();
  if (counted) length += octets;
  std::array<std::uint8_t, 8> number;
  store_be(number.data(), length);
  std::copy(number.end() - static_cast<std::ptrdiff_t>(octets), number.end(), out);
  if (little_endian) std::reverse(out, out + octets);
  return octets;
}

LengthPrefix::Decoded LengthPrefix::decode(Bytes bytes) const {
  constexpr Decoded kBad{Decoded::Kind::bad, 0, 0};
  if (kind == Kind::varint) {
    // Base 128, least significant group first (the encoding of Protocol Buffers).
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < std::min(bytes.size(), kMost); ++i) {
      const std::uint64_t group = bytes[i] & 0x7F;
      const bool last = (bytes[i] & 0x80) == 0;
      if (i == 9 && (group > 1 || !last)) return kBad;  // beyond 64 bits
      if (i > 0 && last && group == 0) return kBad;     // not minimal
      length |= group << (7 * i);
      if (last) return {Decoded::Kind::whole, length, i + 1};
    }
    return {};
  }
  const std::size_t octets = width();
  if (bytes.size() < octets) return {};
  std::array<std::uint8_t, 8> number{};
  const auto digits = number.end() - static_cast<std::ptrdiff_t>(octets);
  std::copy_n(bytes.begin(), octets, digits);
  if (little_endian) std::reverse(digits, number.end());
  std::uint64_t length = load_be<std::uint64_t>(number.data());
  if (counted) {
    if (length < octets) return kBad;
    length -= octets;
  }
  return {Decoded::Kind::whole, length, octets};
}

std::uint64_t TcpFraming::longest() const {
  return type == Type::length ? std::min(max_frame, length.longest()) : max_frame;
}

}  // namespace sluice::ws
