// Frames to bytes and back, for TCP backends. WsToTcp strips frame headers and unmasks in place; TcpToWs puts one frame
// header in front of what one turn received.
#pragma once

#include "relay/framer.h"
#include "ws/ws_framer.h"

namespace sluice::ws {

class WsToTcp final : public relay::Framer {
 public:
  explicit WsToTcp(const FramingRules& rules);
  Result<relay::Run> next(MutableBytes bytes) override;  // Run.skip covers the frame header
  bool at_frame_boundary() const override;
  bool at_message_boundary() const override;
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
