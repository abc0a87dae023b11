// BodyRelay: one direction of one HTTP exchange: a head of ours, then a body from one stream to the other. What goes out
// is written anew: chunks are cut by us, their extensions and trailers are dropped.
//
//     from.received() ──▶ BodyReader ──▶ head, [size line], octets, [last chunk] in ONE write ──▶ consume ──▶ from.fill()
//
// The rule of relay/relay.h: it never reads while something of its own waits to leave. What the destination did not take
// is kept here, at most a turn.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/buffer.h"
#include "base/inplace_vector.h"
#include "http/h1_body.h"
#include "net/stream.h"
#include "relay/relay.h"

namespace sluice::session {

class BodyRelay {
 public:
  // `chunked`: how it leaves. `most`: octets that the body may have; 0: any number.
  BodyRelay(net::Stream& from, net::Stream& to, http::BodyLength length, Side from_side, bool chunked, BufferPool& pool,
            std::uint64_t most = 0)
      : from_(from), to_(to), reader_(length, from_side), owed_(pool), most_(most), chunked_(chunked) {}

  enum class Why : std::uint8_t {
    done,        // all of it has left
    starved,     // `from` has no more now
    jammed,      // `to` takes no more now
    budget,      // more is there; pump again in the next pass
    from_end,    // `from` ended before the body did
    from_error,
    to_error,
    denied,      // the body is malformed or too large: see error()
  };
  // Moves what can be moved. Ends its turn with `from` settled.
  Why pump(relay::Budget& budget);
  // Goes ahead of the body, in the same write as its first octets. Lives as long as this.
  void lead(std::string_view head) { head_ = head; }
  // Goes out at once or is kept; false: `to` is dead. Only before lead().
  bool say(std::string_view octets);

  // Something of the head or the body has left, or will.
  bool begun() const { return begun_; }
  const Error& error() const { return error_; }
  bool done() const { return reader_.done(); }                // everything has been read, if not all has left
  std::uint64_t octets() const { return reader_.octets(); }  // of the body, read so far
  // Whether octets went in or out since the last look.
  bool take_activity() { return std::exchange(active_, false); }

 private:
  // What one write is made of. Parts point into from.received(), head_ and `line`.
  struct Batch {
    InplaceVector<Bytes, net::kMostParts> parts;
    std::size_t covered = 0;
    std::array<char, 20> line;
    bool last = false;  // with it the body has been read
  };
  bool gather(Batch& batch);
  bool send(const Batch& batch);
  bool send_owed();
  bool waits() const { return !owed_.empty() || to_.jammed() || to_.unsent(); }
  Why pump_turn(relay::Budget& budget);

  net::Stream& from_;
  net::Stream& to_;
  http::BodyReader reader_;
  Buffer owed_;
  std::string_view head_;
  std::uint64_t most_;
  Error error_{};
  bool chunked_;
  bool ended_ = false;   // the last chunk has been written
  bool active_ = false;
  bool begun_ = false;
};

}  // namespace sluice::session
