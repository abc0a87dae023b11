// Control frames that the gateway itself makes, and the Close payload (RFC 6455 §5.5, §7.4).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "ws/frame.h"

namespace sluice::ws {

// One whole control frame, at most 2+4+125 octets, by value. Towards an upstream it is masked with fresh random octets.
class ControlFrame {
 public:
  static ControlFrame make(std::uint8_t opcode, Bytes payload, bool masked);
  static ControlFrame close(std::uint16_t code, std::string_view reason, bool masked);  // reason cut at 123 octets
  Bytes bytes() const { return {octets_.data(), size_}; }

 private:
  std::array<std::uint8_t, 131> octets_{};
  std::uint8_t size_ = 0;
};

struct CloseContent {
  std::uint16_t code = 1005;  // 1005: the frame carried none
  std::string_view reason;    // dies with the payload
};

// 1-octet payload, a code that may not be on the wire (§7.4) → ws_close; reason not UTF-8 → ws_utf8.
Result<CloseContent> parse_close(Bytes payload, Side side);
bool valid_close_code(std::uint16_t code);

}  // namespace sluice::ws
