// Health: active checks on the main loop. Each server of a cluster with health.active is checked at its interval
// (upstream/health_check.h); `fall` failures in a row take it down (Server::healthy), `rise` successes bring it back. Changes are logged.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "event/loop.h"
#include "net/crypto.h"
#include "net/stream.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

class Health {
 public:
  explicit Health(const net::Place& place);  // which outlives it
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;
  ~Health();

  // Replaces what is checked. A server that stays keeps its state; one that is no longer checked counts as healthy.
  void watch(const std::vector<std::shared_ptr<const Cluster>>& clusters);

 private:
  class Probe;
  const net::Place& place_;
  net::CryptoContext crypto_;
  std::map<const Server*, std::unique_ptr<Probe>> probes_;
};

}  // namespace sluice::upstream
