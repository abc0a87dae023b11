// Metrics of what is shared through Redis.
#include "server/metrics_parts.h"

namespace sluice::server {

void add_redis(Families& out, const SharedStoreFacts& facts) {
  out.gauge("sluice_redis_up", "Whether the links to Redis stand.").add({}, facts.up);
  auto errors = out.counter("sluice_redis_errors_total", "Links to Redis that failed and commands that were not answered, by why.");
  for (std::size_t i = 0; i < facts.faults.size(); ++i) errors.add({{"kind", store::kRedisFaultNames[i]}}, facts.faults[i]);
  HistogramSum<kSecondsBounds.size()> took;
  took.add(*facts.took);
  out.histogram("sluice_redis_request_duration_seconds", "From a command for Redis to its reply.").add({}, took);
  auto shared = out.counter("sluice_redis_revocations_total", "Revocations that gateways told each other.");
  shared.add({{"direction", "sent"}}, facts.revocations.sent);
  shared.add({{"direction", "received"}}, facts.revocations.received);
}

}  // namespace sluice::server
