// Relay: one direction of one session. Moves bytes from a Stream through a Framer to whatever Stream the host names.
//
//     from.received() ──▶ framer ──▶ host.admit, host.route at each run ──▶ ONE write ──▶ consume ──▶ from.fill()
//
// It approves as far as one destination reaches and then writes once: 200 tiny frames leave in one write. It never reads
// while something of its own waits to leave: that is the whole of backpressure. What a destination did not take is kept
// here (at most one turn's worth); octets that the host does not let pass yet stay with `from`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/answer.h"
#include "base/buffer.h"
#include "base/inplace_vector.h"
#include "net/stream.h"
#include "relay/framer.h"

namespace sluice::relay {

// How much one edge may move; what is left runs in the next pass of the same loop (fairness).
struct Budget {
  std::size_t octets = 4 * kChunk;
};

// Who may pass, and where to. Implemented by Session, one object per direction and leg.
class RelayHost {
 public:
  // Judges one run before it passes. consume: swallowed (of a data message: all of it). wait: not before `until`; the host
  // arms its own timer and pumps again. deny: pump() ends with that Error, and asks about the same data run again when it
  // is called again.
  virtual Verdict admit(const Run& run) = 0;
  // Where all of the batch, which lies at the front of `octets`, may go at once; null: not without being asked run by run.
  // It may take less and says so in the batch. What it answers for has passed. `with`: where octets that have been approved
  // before go, if there are any; then it must be the same.
  virtual net::Stream* pass(Batch& /*batch*/, Bytes /*octets*/, const net::Stream* /*with*/) { return nullptr; }
  // What it wants to read of the message that stands next in line, and what was found: told once, before the first run of
  // the message is admitted. Asked only of a relay that inspects; the content dies with the call.
  virtual Appetite appetite() { return {}; }
  virtual void inspect(const Preview& /*message*/) {}
  // Where the run goes; null: nowhere yet, the octets stay put. Asked for every data run and forwarded control frame; the
  // answer may change only where a message begins.
  virtual net::Stream* route(const Run& run) = 0;
  // A run that was held will never find a destination: it is swallowed with the rest of its message.
  virtual bool gives_up(const Run& /*held*/) const { return false; }
  // Something has passed, and the relay stands between two messages and owes nothing: a Gate may pass to another.
  virtual void settled() = 0;

 protected:
  ~RelayHost() = default;
};

// Most octets that are held to be read, frame headers and control frames included: less than a stream keeps.
inline constexpr std::size_t kMostHeld = 48 * 1024;
static_assert(kMostHeld < kChunk);

class Relay {
 public:
  Relay(net::Stream& from, Framer& framer, RelayHost& host, BufferPool& pool)
      : from_(from), framer_(framer), host_(host), owed_(pool) {}

  enum class Why : std::uint8_t {
    starved,    // `from` has no more now
    jammed,     // the destination takes no more now
    held,       // the host said wait or pending, or has no destination yet
    budget,     // more is there; pump again in the next pass
    from_end,   // `from` finished its direction; everything received before has been dealt with
    from_error, // `from` died
    to_error,   // the destination died: see to()
    denied,     // the host or the framer refused: see error()
  };
  // From now on the host reads messages before they pass: each is held until the host's appetite is met, at most
  // kMostHeld octets of it. Control frames inside of what is held are admitted at once; none of them is forwarded.
  void inspect_messages() { inspects_ = true; }

  // Moves what can be moved. Ends its turn with `from` settled.
  Why pump(Budget& budget);
  // pump() would find nothing to do and answer `starved`: no edge has come that concerns this direction.
  bool idle() const;

  const Error& error() const { return error_; }
  net::Stream* to() const { return to_; }

  // The gateway's own control frame towards `to`: sent now if this direction stands at a frame boundary and `to` is able,
  // else false and nothing has happened. Octets that the kernel does not take are owed.
  bool inject(net::Stream& to, Bytes frame);
  // Whether everything forwarded so far has left this relay and ends with a whole frame / message.
  // (Not the framer's word: it is ahead of what has left while a run is held, and when it refused one.)
  bool at_frame_boundary() const { return owed_.empty() && !inside_frame_; }
  bool at_message_boundary() const { return owed_.empty() && !inside_message_; }
  // A frame has been forwarded in part, owed octets counted as forwarded.
  bool inside_frame() const { return inside_frame_; }
  bool inside_message() const { return inside_message_; }
  bool owes() const { return !owed_.empty(); }
  std::size_t owed() const { return owed_.size(); }  // octets
  // Tries to send what is owed; true when nothing is.
  bool flush_owed();
  // A data run waits for the host's leave or for a destination.
  bool holds() const { return held_ != nullptr; }

  // The host is asked about a control frame inside of a message that is held to be read.
  bool looks_ahead() const { return looks_ahead_; }

  // Octets that came in since the last look; the session's idea of activity.
  bool take_activity() { return std::exchange(active_, false); }

  // `stream` is about to die: what was owed to it is dropped.
  void forget(const net::Stream& stream);

 private:
  // What one round of approving came to. Parts point into from.received(), into the thread's room for what is gathered, and
  // into what a framer lent.
  struct Approved {
    InplaceVector<Bytes, net::kMostParts> parts;
    std::size_t gathered = 0;  // octets in the thread's room
    std::size_t covered = 0;  // octets of from.received() dealt with
    net::Stream* to = nullptr;
    Why stop = Why::starved;  // why approving went no further
    bool one_by_one = false;  // the host has refused a batch of this turn
    bool lent = false;        // ends with what its framer lent
    bool more = false;        // stopped only because the parts were full or the destination changes
  };
  // A data run that the framer has found and that has not passed: it lies at the front of from.received().
  struct Held {
    Run run;
    bool admitted;
    net::Stream* to;  // the host has named it already: a message is routed once
  };
  void approve(Approved& approved);
  bool add(Approved& approved, const Run& run, Bytes octets);
  bool add(Approved& approved, Bytes octets);
  bool add_wrapped(Approved& approved, const Run& run, Bytes octets);
  bool pass_batch(Approved& approved, Bytes octets);
  bool look_ahead(Approved& approved, MutableBytes octets);
  void hold(const Run& run, bool admitted, net::Stream* to = nullptr);
  bool write(const Approved& approved);
  bool send_owed();
  void tell_settled();
  Why pump_turn(Budget& budget);

  net::Stream& from_;
  Framer& framer_;
  RelayHost& host_;
  net::Stream* to_ = nullptr;
  Buffer owed_;
  Error error_{};
  std::unique_ptr<Held> held_;
  bool consuming_ = false;  // inside a data message that the host swallows
  bool inside_frame_ = false;  // where what was forwarded ends
  bool inside_message_ = false;
  bool active_ = false;
  bool inspects_ = false;
  bool looks_ahead_ = false;
  bool unsettled_ = false;  // something has passed since the host was told that this relay stands between messages
  std::uint16_t controls_ahead_ = 0;  // control frames inside of what is held that the host has been asked about
};

}  // namespace sluice::relay
