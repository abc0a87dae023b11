// The subprotocol `base64` of websockify's first clients: every message either way is a text message whose content is
// base64 (RFC 4648 §4). Before raw TCP servers only. Sans I/O.
#pragma once

#include <string>
#include <string_view>

#include "relay/framer.h"
#include "ws/ws_framer.h"

namespace sluice::ws {

inline constexpr std::string_view kBase64Subprotocol = "base64";

// Client → server: unmasked and decoded in place. A message is one base64 text with its padding, whatever it was cut into:
// other octets, missing padding, and binary messages → ws_base64.
class Base64ToTcp final : public relay::Framer {
 public:
  explicit Base64ToTcp(const FramingRules& rules) : framer_(rules) {}
  Result<relay::Run> next(MutableBytes bytes) override;
  relay::Preview preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const override {
    return framer_.preview(bytes, wanted, controls, last);
  }
  bool at_frame_boundary() const override { return framer_.at_frame_boundary(); }
  bool at_message_boundary() const override { return framer_.at_message_boundary(); }

 private:
  // The decoded octets at the front of `text`; false: it is no base64.
  bool decode(MutableBytes text, std::size_t& decoded);

  WsFramer framer_;
  std::uint8_t digits_ = 0;   // of the group of four at hand
  std::uint8_t padding_ = 0;  // '=' seen: nothing but another may follow
  std::uint8_t bits_ = 0;     // not yet part of an octet; the low ones
};

// Server → client: all that has come is one message.
class TcpToBase64 final : public relay::Framer {
 public:
  Result<relay::Run> next(MutableBytes bytes) override;
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }
  void sent() override { text_ = {}; }

 private:
  std::string text_;  // lent to the run at hand
};

}  // namespace sluice::ws
