// The parts of one scrape, each adding its families. Private to server/metrics*.
#pragma once

#include <string>
#include <vector>

#include "config/snapshot.h"
#include "server/key_fetcher.h"
#include "server/metrics_families.h"
#include "server/shared_store.h"
#include "server/tallies.h"

namespace sluice::server {

// Sum over the workers' copies of what `get` finds in each.
template <typename Tally, typename Get>
auto sum_of(const std::vector<const Tally*>& copies, Get get) {
  decltype(get(*copies.front()).get()) sum = 0;
  for (const Tally* copy : copies) sum += get(*copy).get();
  return sum;
}

template <std::size_t N, typename Tally, typename Get>
HistogramSum<N> histogram_of(const std::vector<const Tally*>& copies, Get get) {
  HistogramSum<N> sum;
  for (const Tally* copy : copies) sum.add(get(*copy));
  return sum;
}

// process_*: the standard names, read from /proc/self.
void add_process(Families& out);
void add_listeners(Families& out, const Tallies& tallies);
// What is counted per worker and not per route: refusals, tokens, pings, the loops.
void add_workers(Families& out, const Tallies& tallies);
void add_backends(Families& out, const config::Snapshot& snapshot, Instant now);
void add_limits(Families& out, const config::Snapshot& snapshot);
void add_keys(Families& out, const std::vector<KeyFacts>& keys);
void add_redis(Families& out, const SharedStoreFacts& facts);
void add_names(Families& out, const config::Snapshot& snapshot, Instant now);
void add_servers(Families& out, const Tallies& tallies, const config::Snapshot& snapshot, Instant now);
void add_routes(Families& out, const Tallies& tallies);

}  // namespace sluice::server
