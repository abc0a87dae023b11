#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

// Servers that have a label of their own; beyond that they are "other" of their backend (docs/reference/metrics.md).
constexpr std::size_t kMostServers = 200;

struct ServerSum {
  std::uint64_t up = 0;
  std::uint64_t connections = 0;
  std::uint64_t connects = 0;
  std::uint64_t failures = 0;
};

using ServerSums = std::map<std::pair<std::string, std::string>, ServerSum>;  // backend, server

ServerSums server_sums(const config::Snapshot& snapshot, Instant now) {
  ServerSums sums;
  std::map<const upstream::Server*, bool> seen;  // a URL that is listed twice is one server
  for (const auto& cluster : snapshot.clusters()) {
    for (const auto& server : cluster->servers()) {
      if (!seen.try_emplace(server.get(), true).second) continue;
      const bool own = seen.size() <= kMostServers;
      ServerSum& sum = sums[{cluster->settings().name, own ? server->settings().url : "other"}];
      sum.up += server->usable(now) && server->resolved();
      sum.connections += server->active.load(std::memory_order_relaxed);
      sum.connects += server->connects.load(std::memory_order_relaxed);
      sum.failures += server->failures.load(std::memory_order_relaxed);
    }
  }
  return sums;
}

}  // namespace

void add_servers(Families& out, const config::Snapshot& snapshot, Instant now) {
  auto up = out.gauge("sluice_backend_server_up", "Whether new connections may go to the server.");
  auto connections = out.gauge("sluice_backend_connections", "Connections to the server now.");
  auto connects = out.counter("sluice_backend_connect_total", "Connections to the server, by how they went.");
  for (const auto& [names, sum] : server_sums(snapshot, now)) {
    const auto& [backend, server] = names;
    up.add({{"backend", backend}, {"server", server}}, sum.up);
    connections.add({{"backend", backend}, {"server", server}}, sum.connections);
    connects.add({{"backend", backend}, {"server", server}, {"result", "ok"}}, sum.connects);
    connects.add({{"backend", backend}, {"server", server}, {"result", "failed"}}, sum.failures);
  }
}

void add_limits(Families& out, const config::Snapshot& snapshot) {
  std::map<std::string, const policy::Limiter*> limiters;
  const auto gather = [&limiters](const auto& compiled) {
    for (const auto& one : compiled) {
      for (const auto& limiter : one.limits) limiters[limiter->settings().name] = limiter.get();
    }
  };
  gather(snapshot.listeners());
  gather(snapshot.routes());
  auto decisions = out.counter("sluice_ratelimit_decisions_total", "What limits decided.");
  auto keys = out.gauge("sluice_ratelimit_keys", "Keys that a limit remembers.");
  for (const auto& [name, limiter] : limiters) {
    using Unit = policy::LimitSettings::Unit;
    const Unit unit = limiter->settings().unit;
    if (unit == Unit::handshakes || unit == Unit::connections) {
      decisions.add({{"limit", name}, {"decision", "allowed"}}, limiter->allowed());
    }
    decisions.add({{"limit", name}, {"decision", "refused"}}, limiter->refused());
    // Allowed because the table was full of keys in use.
    decisions.add({{"limit", name}, {"decision", "overflow"}}, limiter->overflows());
    keys.add({{"limit", name}}, std::uint64_t{limiter->size()});
  }
}

}  // namespace sluice::server
