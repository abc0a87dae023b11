// Rebalancer: after a scale-out the new servers have no sessions and the old ones keep theirs; connections that last do not
// even out by themselves. Once a second, on the main loop, it looks at the backends that ask for it and tells the fullest
// servers to give up sessions, at the configured rate and no more than needed. It closes nothing itself: sessions claim what is
// to be shed when they look after themselves (Server::claim_shed), between messages.
//
// A server's share is that of its weight among the servers that may be given sessions now. Shedding begins when the fullest
// exceeds its share by the threshold and ends when nobody exceeds it and those who left have come back (or are taken to be
// gone, after half a minute). Meanwhile new sessions go to servers below their share first, so that nobody is closed twice.
//
// With consistent_hash shares do not count: after the servers have changed, a session leaves when its key's server is another
// one now, and the look ends when none has left for some seconds.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "upstream/cluster.h"

namespace sluice::upstream {

// One server that may be given sessions.
struct Burden {
  std::uint32_t sessions = 0;  // that stay
  double weight = 1;
};

struct Shares {
  std::vector<std::uint32_t> share;   // rounded up
  std::vector<std::uint32_t> excess;  // over it
  std::uint64_t excess_sum = 0;
  double imbalance = 0;  // of the fullest over its exact share: 0.1 is 10 % too many
};

// `total`: sessions to be shared out, at least the sum of those that there are.
Shares shares_of(std::span<const Burden> burdens, std::uint64_t total);
// `permits` in proportion to the amounts, at most the amount for each.
std::vector<std::uint32_t> spread_permits(std::span<const std::uint32_t> amounts, std::uint64_t permits);

// How uneven the backend is now, as Shares::imbalance.
double imbalance_of(const Cluster& cluster, Instant now);

class Rebalancer {
 public:
  Rebalancer();
  Rebalancer(const Rebalancer&) = delete;
  Rebalancer& operator=(const Rebalancer&) = delete;
  ~Rebalancer();

  // These are in force now. A backend that stays goes on as it was.
  void watch(const std::vector<std::shared_ptr<const Cluster>>& clusters);
  bool needed() const { return !backends_.empty(); }
  // Every kPeriod.
  void look(Instant now);
  static constexpr Duration kPeriod = std::chrono::seconds(1);

 private:
  class Backend;
  std::map<std::string, std::unique_ptr<Backend>> backends_;  // by name
};

}  // namespace sluice::upstream
