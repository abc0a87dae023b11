// Messages to frames of a TCP server's own protocol and back: delimited or with a length in front. Sans I/O; owned by the
// two directions of a session.
//
// Up: a client's message becomes one frame, whatever it was cut into. Down: a frame becomes one message, sent as WebSocket
// fragments as its octets come, so that nothing of it waits here and a Close may be sent at any time; a frame that is there
// as a whole goes as one.
#pragma once

#include <memory>
#include <vector>

#include "relay/framer.h"
#include "ws/tcp_framing.h"
#include "ws/ws_framer.h"

namespace sluice::ws {

// Client → server, delimiter behind each message. A message that holds the delimiter would become two frames: ws_delimiter.
// (Where delimiters are kept, one at the very end of the last fragment is the message's own and no second one follows.)
class WsToDelimited final : public relay::Framer {
 public:
  // `framing` outlives it.
  WsToDelimited(const FramingRules& rules, const TcpFraming& framing);
  Result<relay::Run> next(MutableBytes bytes) override;
  relay::Preview preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const override {
    return framer_.preview(bytes, wanted, controls, last);
  }
  // Where the stream may end, so that nobody takes half a message for a whole one.
  bool at_frame_boundary() const override { return framer_.at_message_boundary(); }
  bool at_message_boundary() const override { return framer_.at_message_boundary(); }

 private:
  WsFramer framer_;
  const TcpFraming& framing_;
  std::size_t matched_ = 0;  // octets of a delimiter at the end of the message so far
};

// Client → server, length before each message. The first octet must wait until the length is known: that of an unfragmented
// message stands in its header; the fragments before the last one are kept, at most kMostHeld octets of them (too_big), and
// the last one streams again.
class WsToLengths final : public relay::Framer {
 public:
  static constexpr std::size_t kMostHeld = 64 * 1024;

  WsToLengths(const FramingRules& rules, const TcpFraming& framing);
  Result<relay::Run> next(MutableBytes bytes) override;
  relay::Preview preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const override {
    return framer_.preview(bytes, wanted, controls, last);
  }
  bool at_frame_boundary() const override { return holding_ || framer_.at_message_boundary(); }
  bool at_message_boundary() const override { return framer_.at_message_boundary(); }
  void sent() override { held_.reset(); }

 private:
  WsFramer framer_;
  const TcpFraming& framing_;
  std::unique_ptr<std::vector<std::uint8_t>> held_;
  bool holding_ = false;  // inside a fragmented message whose last fragment has not begun
};

// Server → client. Errors: tcp_frame_too_big (known by what was declared or has come), tcp_frame_bad, tcp_utf8.
class FramesToWs final : public relay::Framer {
 public:
  // Of a text message that goes as binary where it is no UTF-8, so much is judged before its beginning is sent.
  static constexpr std::size_t kMostJudged = 16 * 1024;

  FramesToWs(const TcpFraming& framing, std::uint8_t opcode);
  Result<relay::Run> next(MutableBytes bytes) override;
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return !inside_; }

 private:
  // What the octets at the front are: `before` of the framing, `payload`, `after` of the framing.
  struct Piece {
    std::size_t before = 0;
    std::size_t payload = 0;
    std::size_t after = 0;
    std::uint64_t left = 0;  // of the frame behind the payload; 0 with a delimiter
    bool last = false;       // the frame ends with it
    bool none = true;        // more octets are needed
  };
  Result<Piece> piece_of(Bytes bytes) const;
  Result<Piece> delimited(Bytes bytes) const;
  Result<Piece> counted(Bytes bytes) const;
  Result<relay::Run> dress(const Piece& piece, Bytes payload);
  Result<relay::Run> replace(const Piece& piece, Bytes payload);
  relay::Run cover(const Piece& piece, std::size_t taken, bool whole);

  const TcpFraming& framing_;
  std::uint64_t covered_ = 0;  // payload octets of the message at hand
  std::uint64_t left_ = 0;     // that a length announced and that have not been covered
  Utf8Validator utf8_;
  std::uint8_t wanted_;        // opcode of the messages
  std::uint8_t opcode_;        // of the message at hand
  bool inside_ = false;        // a message has begun and not ended
};

// What both kinds of tunnel say of octets that are no UTF-8.
inline constexpr Error kNotText{Errc::tcp_utf8, Side::upstream, false, "octets of a text message are not UTF-8"};

// Puts U+FFFD for each maximal subpart at the front of `octets` that is no UTF-8, as many as a prefix holds, behind the
// `header` octets of room; returns how many octets were replaced, `put` the octets that stand for them. `ends`: nothing
// follows that could complete a character.
std::size_t replace_invalid(Bytes octets, bool ends, std::uint8_t* out, std::size_t& put);

}  // namespace sluice::ws
