// Spread: how the messages of one client are spread over several legs. Kept by a Session in per-message mode; the others
// have none. It holds what is known; the Session acts on it (session/spread.cc).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "relay/framer.h"
#include "session/connect_budget.h"
#include "session/fan.h"
#include "session/leg.h"
#include "session/races.h"
#include "upstream/cluster.h"

namespace sluice::session {

// By what the servers of a message are chosen. Without rules it is always the same: one server of the route's own backend.
struct Choice {
  std::uint8_t group = 0;
  upstream::Aim aim = upstream::Aim::one;
  std::uint64_t key = 0;    // for the balancer
  std::string race_id;      // an answer to it is awaited
};

// A Spread is the choice of the message that stands in line, too.
struct Spread : Choice {
  // A backend that messages go to. The first is the route's own.
  struct Group {
    const upstream::Cluster* cluster = nullptr;
    LegPlan plan;                // how a further leg opens
    std::uint64_t key_hash = 0;  // of the client, for messages without a key of their own
  };
  std::vector<Group> groups;
  std::string subprotocol;  // what every further leg must answer

  // Of the message that stands in line.
  bool refused = false;     // too large to be read, where that is refused
  std::vector<Leg*> chosen;  // where it goes, once all of them are open; only these legs are not
  // Asked for once, so that no candidate is tried twice for it.
  std::vector<std::shared_ptr<upstream::Server>> candidates;
  std::size_t next_candidate = 0;
  Instant deadline{};       // for all of them
  ConnectBudget connecting;

  std::vector<std::pair<const upstream::Server*, Instant>> resting;  // could not be had; not asked before then
  std::vector<Leg*> queue;  // legs with a message for the client, in the order in which they came to the gate
  std::size_t first_pumped = 0;
  std::size_t last_resort = 0;

  relay::Appetite appetite;         // of the client's messages, where they are read; room is the Session's
  // Since the first message that went to several legs. Two, because a message for others is aimed while the octets of the one
  // before have not been written.
  std::array<std::unique_ptr<Fan>, 2> fans;
  Fan* fan = nullptr;               // of the message at hand
  std::unique_ptr<Races> races;     // on routes that race

  bool is_chosen(const Leg& leg) const;
  // Aims at all that are chosen.
  Fan& spread_out(BufferPool& pool);
  void flush_fans();
  std::size_t owed() const;                // by fans
  std::size_t owed(const Leg& leg) const;  // likewise
  // The stream is a fan that serves the leg.
  bool serves(const net::Stream* to, const Leg& leg) const;
  // It is gone: nothing refers to it any more.
  void forget(const Leg& leg);
};

}  // namespace sluice::session
