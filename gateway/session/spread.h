// Spread: how the messages of one client are spread over several legs. Kept by a Session in per-message mode; the others
// have none. It holds what is known; the Session acts on it (session/spread.cc).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "upstream/backend.h"

namespace sluice::session {

class Leg;

struct Spread {
  std::string subprotocol;  // what every further leg must answer
  Leg* pending = nullptr;   // chosen for the message that waits, not open yet: the only leg that is not
  // Of the message that waits; asked for once, so that no candidate is tried twice for it.
  std::vector<std::shared_ptr<upstream::Server>> candidates;
  std::size_t next_candidate = 0;
  Instant deadline{};       // for all of them
  std::vector<std::pair<const upstream::Server*, Instant>> resting;  // could not be had; not asked before then
  std::vector<Leg*> queue;  // legs with a message for the client, in the order in which they came to the gate
  std::size_t first_pumped = 0;
  std::size_t last_resort = 0;
};

}  // namespace sluice::session
