// Balancer: an order of servers for one connection or one message. It knows nothing of health: the Cluster filters.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "upstream/backend.h"

namespace sluice::upstream {

class Balancer {
 public:
  virtual ~Balancer() = default;
  // Indexes into `servers`, best first, each once. Thread-safe.
  virtual void order(std::span<const std::shared_ptr<Server>> servers, std::uint64_t key,
                     std::vector<std::uint32_t>& out) = 0;
};

// `max_load`, of consistent_hash, in percent: a server that would come to more than that share of its weighted mean of live
// connections is passed over for the next one of the key's own order. 0: never.
std::unique_ptr<Balancer> make_balancer(Policy policy, std::uint32_t max_load = 0);

}  // namespace sluice::upstream
