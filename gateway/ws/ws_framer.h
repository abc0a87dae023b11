// WsFramer: validates one direction of a WebSocket connection by its frame headers alone and reports Runs; frames are
// forwarded byte for byte, payload is neither unmasked nor copied (a copy is unmasked to read control frames and, when
// asked, to check UTF-8). RFC 6455 §5, security.md T21-T25.
#pragma once

#include <memory>

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
class WsFramer final : public relay::Framer {
 public:
  explicit WsFramer(const FramingRules& rules);
  Result<relay::Run> next(MutableBytes bytes) override;
  bool at_frame_boundary() const override;
  bool at_message_boundary() const override;
};

}  // namespace sluice::ws
