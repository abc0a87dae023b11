#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "server/metrics_parts.h"
#include "upstream/rebalance.h"

namespace sluice::server {

namespace {

// Servers that have a label of their own; beyond that they are "other" of their backend (docs/reference/metrics.md).
constexpr std::size_t kMostServers = 200;

struct ServerSum {
  std::uint64_t up = 0;
  std::uint64_t connections = 0;
  std::uint64_t connects = 0;
  std::uint64_t failures = 0;
  std::uint64_t retries = 0;
  std::uint64_t reused = 0;
  HistogramSum<14> connect_seconds;
  std::uint64_t shed = 0;
  std::uint64_t checks_passed = 0;
  std::uint64_t checks_failed = 0;
  std::array<std::uint64_t, upstream::Server::kStateNames.size()> states{};  // servers in each
};

using ServerSums = std::map<std::pair<std::string, std::string>, ServerSum>;  // backend, server

void add_counted(ServerSum& sum, const std::vector<const session::ServerTally*>& copies) {
  for (const session::ServerTally* copy : copies) {
    sum.connects += copy->connected.get();
    sum.failures += copy->connect_failures.get();
    sum.retries += copy->retries.get();
    sum.reused += copy->reused.get();
    sum.connect_seconds.add(copy->connect_seconds);
  }
}

// Those that the DNS does not name any more for as long as they have sessions, too.
upstream::ServerList seen_by_operators(const upstream::Cluster& cluster) {
  const auto servers = cluster.servers();
  upstream::ServerList all(servers.begin(), servers.end());
  const upstream::ServerList leaving = cluster.leaving();
  all.insert(all.end(), leaving.begin(), leaving.end());
  return all;
}

ServerSums server_sums(const Tallies& tallies, const config::Snapshot& snapshot, Instant now) {
  ServerSums sums;
  std::map<const upstream::Server*, bool> seen;  // a URL that is listed twice is one server
  for (const auto& cluster : snapshot.clusters()) {
    const std::string& backend = cluster->settings().name;
    for (const auto& server : seen_by_operators(*cluster)) {
      if (!seen.try_emplace(server.get(), true).second) continue;
      const bool own = seen.size() <= kMostServers;
      ServerSum& sum = sums[{backend, own ? server->settings().url : "other"}];
      add_counted(sum, tallies.server(backend, server->settings().url));
      sum.up += server->usable(now) && !server->vanished.load(std::memory_order_relaxed);
      sum.connections += server->active.load(std::memory_order_relaxed);
      sum.shed += server->shed.load(std::memory_order_relaxed);
      sum.checks_passed += server->checks_passed.load(std::memory_order_relaxed);
      sum.checks_failed += server->checks_failed.load(std::memory_order_relaxed);
      ++sum.states[static_cast<std::size_t>(server->state(now))];
    }
    for (const auto& [server, group] : cluster->entries()) {
      if (!group || group->resolved()) continue;
      ++sums[{backend, group->settings().url}].states[static_cast<std::size_t>(upstream::Server::State::unresolved)];
    }
  }
  return sums;
}

// What has two outcomes; left out where it never happens, as checks that are not configured.
void add_outcomes(Families::Family& family, const std::pair<std::string, std::string>& names, std::uint64_t good,
                  std::uint64_t bad) {
  if (good + bad == 0) return;
  family.add({{"backend", names.first}, {"server", names.second}, {"result", "ok"}}, good);
  family.add({{"backend", names.first}, {"server", names.second}, {"result", "failed"}}, bad);
}

}  // namespace

void add_servers(Families& out, const Tallies& tallies, const config::Snapshot& snapshot, Instant now) {
  auto up = out.gauge("sluice_backend_server_up", "Whether new connections may go to the server.");
  auto state = out.gauge("sluice_backend_server_state", "1 for the state that the server is in.");
  auto checks = out.counter("sluice_backend_health_checks_total", "Active checks of the server, by how they went.");
  auto connections = out.gauge("sluice_backend_connections", "Connections to the server now.");
  auto connects = out.counter("sluice_backend_connect_total", "Connects to the server, by how they went.");
  auto seconds = out.histogram("sluice_backend_connect_duration_seconds", "Duration of connects that went well, without TLS.");
  auto retries = out.counter("sluice_backend_retries_total",
                             "Times that a further candidate was tried because the server failed.");
  auto reused = out.counter("sluice_backend_reused_total",
                            "Plain requests on a connection to the server that had served before.");
  auto shed = out.counter("sluice_backend_rebalanced_total", "Sessions that were told to leave the server for others.");
  auto imbalance = out.gauge("sluice_backend_imbalance",
                             "By how much the fullest usable server exceeds its share of sessions; 0.1 is a tenth.");
  for (const auto& cluster : snapshot.clusters()) {
    if (!cluster->settings().rebalance.on()) continue;
    imbalance.add({{"backend", cluster->settings().name}}, upstream::imbalance_of(*cluster, now));
  }
  for (const auto& [names, sum] : server_sums(tallies, snapshot, now)) {
    const auto& [backend, server] = names;
    up.add({{"backend", backend}, {"server", server}}, sum.up);
    connections.add({{"backend", backend}, {"server", server}}, sum.connections);
    connects.add({{"backend", backend}, {"server", server}, {"result", "ok"}}, sum.connects);
    connects.add({{"backend", backend}, {"server", server}, {"result", "failed"}}, sum.failures);
    seconds.add({{"backend", backend}, {"server", server}}, sum.connect_seconds);
    retries.add({{"backend", backend}, {"server", server}}, sum.retries);
    if (sum.reused > 0) reused.add({{"backend", backend}, {"server", server}}, sum.reused);
    shed.add_used({{"backend", backend}, {"server", server}}, sum.shed);
    add_outcomes(checks, names, sum.checks_passed, sum.checks_failed);
    for (std::size_t i = 0; i < sum.states.size(); ++i) {
      state.add({{"backend", backend}, {"server", server}, {"state", upstream::Server::kStateNames[i]}}, sum.states[i]);
    }
  }
}

void add_backends(Families& out, const config::Snapshot& snapshot, Instant now) {
  auto pending = out.gauge("sluice_backend_pending", "Clients that wait for a server of the backend.");
  auto breaker = out.gauge("sluice_circuit_breaker_state", "State of the circuit breaker: 0 closed, 1 half open, 2 open.");
  for (const auto& cluster : snapshot.clusters()) {
    const upstream::BackendSettings& settings = cluster->settings();
    const upstream::Load& load = *cluster->load();
    if (settings.pending.max != 0) {
      pending.add({{"backend", settings.name}}, std::uint64_t{load.line.size()});
    }
    if (!settings.breaker.enabled) continue;
    breaker.add({{"backend", settings.name}}, static_cast<std::uint64_t>(load.breaker.state(settings.breaker, now)));
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
  for (const config::CompiledRoute& route : snapshot.routes()) {
    for (const auto& limiter : route.key_limits) limiters[limiter->settings().name] = limiter.get();
  }
  auto decisions = out.counter("sluice_ratelimit_decisions_total", "What limits decided.");
  auto keys = out.gauge("sluice_ratelimit_keys", "Keys that a limit remembers.");
  for (const auto& [name, limiter] : limiters) {
    using Unit = policy::LimitSettings::Unit;
    const Unit unit = limiter->settings().unit;
    if (unit == Unit::handshakes || unit == Unit::requests || unit == Unit::connections) {
      decisions.add({{"limit", name}, {"decision", "allowed"}}, limiter->allowed());
    }
    decisions.add({{"limit", name}, {"decision", "refused"}}, limiter->refused());
    // Allowed because the table was full of keys in use.
    decisions.add({{"limit", name}, {"decision", "overflow"}}, limiter->overflows());
    keys.add({{"limit", name}}, std::uint64_t{limiter->size()});
  }
}

}  // namespace sluice::server
