// How long connecting may take: to one server connect_timeout, and to all that are tried for one client, or for one message,
// twice that. One server that swallows every packet is a server's fault; after the second the client is better told.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace sluice::session {

class ConnectBudget {
 public:
  ConnectBudget() = default;
  explicit ConnectBudget(Duration connect_timeout) : one_(connect_timeout), left_(2 * connect_timeout) {}

  // For the next server.
  Duration next() const { return std::min(one_, left_); }
  // What was lost on one that could not be reached.
  void spend(Duration wasted) { left_ -= std::min(wasted, left_); }
  bool spent() const { return left_ == Duration::zero(); }

 private:
  Duration one_{};
  Duration left_{};
};

}  // namespace sluice::session
