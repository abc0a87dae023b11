// Metrics of lookups: of servers with a name, and of names that stand for several servers.
#include <set>

#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

constexpr std::size_t kMostNames = 200;  // with a label of their own, in the order of the configuration; the rest is "other"

struct NameSum {
  std::array<std::uint64_t, upstream::Lookups::kResultNames.size()> results{};
  double stale = 0;  // of the one that has been stale for longest
};

}  // namespace

void add_names(Families& out, const config::Snapshot& snapshot, Instant now) {
  std::map<std::pair<std::string, std::string>, NameSum> sums;  // backend, server
  std::set<const upstream::Lookups*> seen;                      // what is listed twice is one
  for (const auto& cluster : snapshot.clusters()) {
    for (const auto& [server, group] : cluster->entries()) {
      const upstream::Lookups& lookups = group ? group->lookups : server->lookups;
      if (!lookups.any() || !seen.insert(&lookups).second) continue;
      const std::string& url = group ? group->settings().url : server->settings().url;
      NameSum& sum = sums[{cluster->settings().name, seen.size() <= kMostNames ? url : "other"}];
      for (std::size_t i = 0; i < sum.results.size(); ++i) {
        sum.results[i] += lookups.results[i].load(std::memory_order_relaxed);
      }
      sum.stale = std::max(sum.stale, std::chrono::duration<double>(lookups.stale(now)).count());
    }
  }
  auto lookups = out.counter("sluice_dns_lookups_total", "Lookups of a server's name, by how they went.");
  auto stale = out.gauge("sluice_dns_stale_seconds",
                         "How long the answer in use has outlived its time to live, since newer ones cannot be had.");
  for (const auto& [names, sum] : sums) {
    for (std::size_t i = 0; i < sum.results.size(); ++i) {
      lookups.add_used({{"backend", names.first},
                        {"server", names.second},
                        {"result", upstream::Lookups::kResultNames[i]}},
                       sum.results[i]);
    }
    stale.add({{"backend", names.first}, {"server", names.second}}, sum.stale);
  }
}

}  // namespace sluice::server
