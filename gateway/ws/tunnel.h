// Frames to bytes and back, for TCP backends: what is used for which framing, and the raw one. WsToTcp strips frame headers and unmasks in place; TcpToWs puts one frame
// header in front of what one turn received.
#pragma once

#include <memory>

#include "relay/framer.h"
#include "ws/tcp_framing.h"
#include "ws/ws_framer.h"

namespace sluice::ws {

// The framers of the two directions before a TCP server. `framing` outlives them; `base64` is for raw framing only.
std::unique_ptr<relay::Framer> framer_to_tcp(const FramingRules& rules, const TcpFraming& framing, bool base64);
std::unique_ptr<relay::Framer> framer_from_tcp(const TcpFraming& framing, std::uint8_t opcode, bool base64);

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
// bytes waits for its rest; of octets that are not UTF-8 `invalid` says what becomes: tcp_utf8, a binary message in place
// of the text, or U+FFFD for each maximal subpart.
class TcpToWs final : public relay::Framer {
 public:
  explicit TcpToWs(std::uint8_t opcode, TcpFraming::InvalidText invalid = TcpFraming::InvalidText::close)
      : opcode_(opcode), invalid_(invalid) {}
  Result<relay::Run> next(MutableBytes bytes) override;
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }

 private:
  Result<relay::Run> text(MutableBytes bytes) const;

  std::uint8_t opcode_;
  TcpFraming::InvalidText invalid_;
};

}  // namespace sluice::ws
