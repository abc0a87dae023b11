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

std::unique_ptr<Balancer> make_balancer(Policy policy);

}  // namespace sluice::upstream
