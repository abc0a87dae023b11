// Pending: one client's wait while no server of its backend can take it (`pending`). It stands in the backend's line
// (upstream/waiting_line.h) and is woken there, on its own worker, when it is its turn and a place may be free; nothing but the
// end of an ejection, of a circuit breaker's time, or of the pause after a server that failed is waited for by the clock.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "net/stream.h"
#include "upstream/cluster.h"

namespace sluice::session {

class House;

class Pending {
 public:
  Pending();
  ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  bool waits() const { return place_ != nullptr; }
  // It is not this client's turn to choose: others came before, or a server has just failed it.
  bool must_wait(const upstream::Cluster& cluster, Instant now) const;
  // No server can take the client now. From here on it has a place in the line, and tries again when `ready` is woken or at
  // the time returned (now: at once). An Error: it may not wait (any longer), and is refused with that.
  Result<Instant> hold(House& house, const upstream::Cluster& cluster, Error error, net::Ready& ready);
  // Gives its place up.
  void leave();

 private:
  class Place;
  std::unique_ptr<Place> place_;
  Instant until_ = kNever;  // since it first waited
  Instant retry_at_{};
};

}  // namespace sluice::session
