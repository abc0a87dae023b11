// WsFramer: validates one direction of a WebSocket connection by its frame headers alone and reports Runs; frames are
// forwarded byte for byte, payload is neither unmasked nor copied (a copy is unmasked to read control frames and, when
// asked, to check UTF-8). RFC 6455 §5.
#pragma once

#include <array>
#include <cstdint>

#include "base/utf8.h"
#include "relay/framer.h"
#include "ws/frame.h"

namespace sluice::ws {

struct FramingRules {
  Side side = Side::client;          // who sends: client frames must be masked, upstream frames must not be
  std::uint64_t max_message = 0;     // payload octets of one message on the wire; 0 = unlimited → too_big
  std::uint32_t max_fragments = 1024;  // of fragments under 1 KiB, the empty ones included; 0 = none → flood_frag
  bool rsv1 = false;                 // permessage-deflate was negotiated: RSV1 on the first frame of a data message
  bool validate_utf8 = false;        // text messages and close reasons → ws_utf8 (close reasons are always checked)
};

// Checks of a header in this order, before anything is allocated or waited for: RSV → opcode → mask → control rules →
// 64-bit length with its top bit → non-minimal length → continuation rules → message limit.
// Every error is raised as soon as the octet that proves it has been received.
//
// A check whose octets are still missing holds back those behind it, so that the error never depends on how the bytes
// were cut. A control frame becomes one Run when it is there as a whole; its Run.payload is 0, its octets are in
// Run.content, which dies at the next call of next() of any WsFramer of this thread. Close content is not judged here:
// parse_close (control.h). Never allocates.
class WsFramer final : public relay::Framer {
 public:
  explicit WsFramer(const FramingRules& rules);
  Result<relay::Run> next(MutableBytes bytes) override;
  relay::Batch peek(Bytes bytes, std::uint32_t most = UINT32_MAX) const override;
  relay::Preview preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const override;
  bool at_frame_boundary() const override { return left_ == 0; }
  bool at_message_boundary() const override { return left_ == 0 && opcode_ == kContinuation; }

  // Of the frame at hand: payload octets that have not been covered, and whether it ends its message.
  std::uint64_t left() const { return left_; }
  bool fin() const { return fin_; }

  // As next(), but unmasks the payload of data frames in place and reports the frame header in Run.skip (for a control
  // frame: all of it), because what stands behind does not speak frames.
  Result<relay::Run> next_unmasked(MutableBytes bytes);

 private:
  struct Glimpse;

  Result<relay::Run> advance(MutableBytes bytes, bool unmask);
  // The first payload octet of a frame, unmasked.
  std::uint8_t octet(std::uint8_t received) const {
    return side_ == Side::client ? static_cast<std::uint8_t>(received ^ mask_[0]) : received;
  }
  void copy_ahead(MutableBytes bytes, MutableBytes room) const;
  // Errc::none: `run` says what was covered.
  Error read(MutableBytes bytes, bool unmask, relay::Run& run);
  Error judge_first(std::uint8_t first) const;
  Error judge(const Glimpse& glimpse) const;
  void begin_frame(const Glimpse& glimpse, Bytes bytes);
  Error cover(MutableBytes bytes, bool unmask, relay::Run& run);
  void cover_control(const Glimpse& glimpse, MutableBytes bytes, bool unmask, relay::Run& run) const;
  bool text_goes_on(Bytes piece, bool unmasked);
  Error refusal(Errc code, const char* detail) const { return {code, side_, false, detail}; }

  // One of these lives as long as each direction of each connection: kept within one cache line.
  std::uint64_t limit_;         // max_message, or the largest number
  std::uint64_t left_ = 0;      // payload octets of the frame at hand that were not covered yet; 0: between frames
  std::uint64_t covered_ = 0;   // payload octets that the frames of the message at hand have declared; never over limit_
  std::uint32_t max_fragments_;  // 0: none
  std::uint32_t fragments_ = 0;  // short frames of the message at hand
  std::array<std::uint8_t, 4> mask_{};
  Utf8Validator utf8_;
  Side side_;
  bool rsv1_;
  bool validate_utf8_;
  std::uint8_t phase_ = 0;               // payload offset modulo 4 of the frame at hand
  std::uint8_t opcode_ = kContinuation;  // of the message at hand; kContinuation: none
  bool fin_ = false;                     // the frame at hand is the last of its message
  bool checking_ = false;                // the message at hand is text to be checked
};

}  // namespace sluice::ws
