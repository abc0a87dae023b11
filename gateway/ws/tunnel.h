// Frames to bytes and back, for TCP backends. WsToTcp strips frame headers and unmasks in place; TcpToWs puts one frame
// header in front of what one turn received.
#pragma once

#include "relay/framer.h"
#include "ws/ws_framer.h"

namespace sluice::ws {

class WsToTcp final : public relay::Framer {
 public:
  explicit WsToTcp(const FramingRules& rules) : framer_(rules) {}
  // Run.skip covers the frame header, and the whole of a control frame: a TCP backend never sees one.
  Result<relay::Run> next(MutableBytes bytes) override { return framer_.next_unmasked(bytes); }
  relay::Preview preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const override {
    return framer_.preview(bytes, wanted, controls, last);
  }
  bool at_frame_boundary() const override { return framer_.at_frame_boundary(); }
  bool at_message_boundary() const override { return framer_.at_message_boundary(); }

 private:
  WsFramer framer_;
};

// raw: every receive becomes one binary (or text) message. In text mode a code point that is cut by the end of the
// bytes waits for its rest, and octets that are not UTF-8 → ws_utf8, Side::upstream.
class TcpToWs final : public relay::Framer {
 public:
  explicit TcpToWs(std::uint8_t opcode) : opcode_(opcode) {}
  Result<relay::Run> next(MutableBytes bytes) override;
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }

 private:
  std::uint8_t opcode_;
};

}  // namespace sluice::ws
