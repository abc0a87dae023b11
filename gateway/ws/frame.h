// Frame header of RFC 6455 §5.2: decode, encode, mask.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::ws {

enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
constexpr bool is_control(std::uint8_t opcode) { return (opcode & 8) != 0; }

struct FrameHeader {
  bool fin = true;
  std::uint8_t rsv = 0;  // RSV1 is 4, RSV2 is 2, RSV3 is 1
  std::uint8_t opcode = kBinary;
  bool masked = false;
  std::array<std::uint8_t, 4> mask{};
  std::uint64_t length = 0;
  std::uint8_t size = 0;  // octets of the header itself: 2 to 14

  // The header at the front of `bytes`; nullopt when more octets are needed. Judges nothing: see ws_framer.h.
  static std::optional<FrameHeader> decode(Bytes bytes);
  // Writes it in minimal form to `out` (14 octets of room); returns its size.
  std::size_t encode(std::uint8_t* out) const;
};

// XORs in place; `phase` is the payload offset of the first octet modulo 4. Its own inverse.
void apply_mask(MutableBytes bytes, const std::array<std::uint8_t, 4>& mask, std::uint64_t phase = 0);

}  // namespace sluice::ws
