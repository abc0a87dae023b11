// Framer: finds message boundaries in a byte stream without touching payload. Run: what it found.
//
// The Relay shows a Framer the bytes received and not yet covered; the Framer covers a prefix of them with one Run, and
// the Relay decides what happens to it. A Framer never does I/O, never keeps bytes (only counters and a few octets of
// state) and never looks at the same payload twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
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
  std::uint8_t prefix_size = 0;
  std::array<std::uint8_t, 14> prefix{};  // octets to send before the run (a frame header in front of TCP bytes)
  Bytes content;            // control frames only; dies at the next call of next()
};

class Framer {
 public:
  virtual ~Framer() = default;

  // Covers a prefix of `bytes`. May change payload in place (unmasking before a TCP backend), never the framing.
  // Errors carry the Side given at construction. After an Error the framer must not be used again.
  virtual Result<Run> next(MutableBytes bytes) = 0;

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
