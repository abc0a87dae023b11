// Metrics: the text that Prometheus scrapes (exposition format 0.0.4). Each scrape sums the workers' copies
// of every counter and reads the live state of servers and limits; nothing is kept in between but the dates
// of certificates. Labels are the names of configured things and compiled-in enums.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "config/snapshot.h"
#include "server/key_fetcher.h"
#include "server/shared_store.h"
#include "server/tallies.h"

namespace sluice::server {

// What the process knows of itself. Filled by Server, read on the main thread.
struct ProcessFacts {
  std::string version;
  std::string revision;
  std::string openssl;
  double start_time = 0;  // seconds since 1970
  unsigned workers = 0;
  bool reload_ok = true;
  double reload_time = 0;  // of the last configuration that was taken; seconds since 1970
  std::uint64_t reloads_ok = 0;
  std::uint64_t reloads_failed = 0;
  bool draining = false;
  std::uint64_t connections = 0;
  std::uint64_t connections_limit = 0;
  std::uint64_t revocations = 0;
  std::vector<KeyFacts> keys{};  // of every [auth] whose keys are fetched
  std::optional<SharedStoreFacts> redis{};  // where there is a [redis]
};

class Metrics {
 public:
  // More series than `most_series` are left out, and counted in sluice_series_dropped.
  explicit Metrics(const Tallies& tallies, std::size_t most_series = 10'000)
      : tallies_(tallies), most_series_(most_series) {}

  std::string scrape(const ProcessFacts& facts, const config::Snapshot& snapshot, Instant now);

 private:
  void remember(const config::Snapshot& snapshot);

  const Tallies& tallies_;
  std::size_t most_series_;
  std::uint64_t generation_ = 0;                   // of the snapshot that what follows was read from
  std::map<std::string, std::int64_t> not_after_;  // certificate name → earliest end, seconds since 1970
};

}  // namespace sluice::server
