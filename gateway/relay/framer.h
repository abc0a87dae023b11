// Framer: finds message boundaries in a byte stream without touching payload. Run: what it found.
//
// The Relay shows a Framer the bytes received and not yet covered; the Framer covers a prefix of them with one Run, and
// the Relay decides what happens to it. A Framer never does I/O, keeps counters and a few octets of state (one that must know
// a length first: so much of a message as it bounds) and never looks at the same payload twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/result.h"

namespace sluice::relay {

struct Run {
  std::size_t size = 0;     // octets of the input that it covers; 0: more input is needed before anything can be said
  std::size_t skip = 0;     // of these, octets at the front that are not forwarded (a frame header before a TCP backend)
  std::size_t payload = 0;  // of these, application payload octets (what limits and counters count)
  bool begins = false;      // first run of a message
  bool ends = false;        // last run of a message
  bool control = false;     // one whole WebSocket control frame: `opcode` says which, `content` its unmasked payload
  std::uint8_t opcode = 0;  // of the message (1 text, 2 binary) or of the control frame (8, 9, 10)
  std::uint8_t tail = 0;    // octets at the end that are not forwarded; only with a prefix or content
  std::uint8_t prefix_size = 0;
  std::array<std::uint8_t, 14> prefix{};  // octets to send before the run (a frame header in front of TCP bytes)
  // Of a control frame: its payload, which dies at the next call of next(). Of a data run: octets to send behind it; they
  // live until sent() or the next run of the same framer (a few that are always the same: for ever).
  Bytes content;
};

// Whole small messages that stand back to back, taken together: what a batch of tiny frames costs is mostly the asking.
struct Batch {
  std::size_t size = 0;      // octets of the input; 0: nothing to be taken together
  std::uint64_t payload = 0;
  std::uint32_t text = 0;    // messages
  std::uint32_t binary = 0;
  SizeCounts sizes;          // of their payloads
  std::uint32_t messages() const { return text + binary; }
};

// What a host wants to read of a message before any of it passes, in payload octets by kind; 0: nothing but the kind.
struct Appetite {
  std::uint32_t text = 0;
  std::uint32_t binary = 0;
  MutableBytes room;  // for the unmasked copy; holds at least as many
  std::uint8_t only = 0;  // nothing of a text that begins with another octet; 0: whatever it begins with
};

// A message read ahead of its runs.
struct Preview {
  enum class State : std::uint8_t {
    none,     // no message begins here (a control frame, or not yet an octet of it, or an Error that next() will tell)
    waiting,  // more octets are needed
    control,  // a control frame stands inside of what is held: `control` says which
    ready,    // whole, or as much of it as was wanted
    broken,   // the message at hand will never be whole: `error`
  };
  State state = State::none;
  std::uint8_t opcode = 0;
  bool whole = false;
  Bytes content;  // in the appetite's room
  Run control;
  Error error{};
};

class Framer {
 public:
  virtual ~Framer() = default;

  // Covers a prefix of `bytes`. May change payload in place (unmasking before a TCP backend), never the framing.
  // Errors carry the Side given at construction. After an Error the framer must not be used again.
  virtual Result<Run> next(MutableBytes bytes) = 0;

  // What next() would report one by one and without any Error or control frame, as far as that goes; forgotten again: the
  // octets either pass as they are or are shown to next(). At most `most` messages. Asked at message boundaries only.
  virtual Batch peek(Bytes /*bytes*/, std::uint32_t /*most*/ = UINT32_MAX) const { return {}; }

  // Reads ahead in the message that begins at the front of `bytes`, over its fragments and around control frames, and
  // forgets all of it again: next() will cover the same octets. The first `controls` control frames inside of it are known
  // already. `last`: no more octets will come, so what there is must do. Asked at message boundaries only.
  virtual Preview preview(MutableBytes /*bytes*/, const Appetite& /*wanted*/, std::size_t /*controls*/,
                          bool /*last*/) const {
    return {};
  }

  // The content that the latest data run lent has been sent or copied: its memory may go.
  virtual void sent() {}

  // Whether everything covered so far ends with a whole frame (a control frame may be inserted here) ...
  virtual bool at_frame_boundary() const = 0;
  // ... and with a whole message.
  virtual bool at_message_boundary() const = 0;
};

// A byte stream without boundaries: each run is all there is, and counts as a message of its own.
class RawFramer final : public Framer {
 public:
  Result<Run> next(MutableBytes bytes) override {
    Run run;
    run.size = run.payload = bytes.size();
    run.begins = run.ends = true;
    run.opcode = 2;
    return run;
  }
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }
};

}  // namespace sluice::relay
