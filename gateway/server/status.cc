#include "server/status.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"

namespace sluice::server {

namespace {

using session::ListenerTally;
using session::RouteTally;

// Sum over the copies of the tally of that name; zero when nothing was counted yet.
template <typename Tally, typename Get>
std::uint64_t count(const std::vector<Named<Tally>>& all, const std::string& name, Get get) {
  const auto found = std::ranges::find(all, name, &Named<Tally>::name);
  if (found == all.end()) return 0;
  std::int64_t sum = 0;
  for (const Tally* copy : found->copies) sum += static_cast<std::int64_t>(get(*copy));
  return static_cast<std::uint64_t>(std::max<std::int64_t>(sum, 0));
}

// Seconds since 1970 as ISO 8601.
std::string date(double seconds) { return log::timestamp(static_cast<std::int64_t>(seconds * 1000)); }

void write_process(JsonWriter& out, const ProcessFacts& facts, const config::Snapshot& snapshot,
                   WallTime now) {
  const double uptime = std::chrono::duration<double>(now.time_since_epoch()).count() - facts.start_time;
  out.field("version", std::string_view(facts.version));
  out.field("revision", std::string_view(facts.revision));
  out.field("openssl", std::string_view(facts.openssl));
  out.field("started", std::string_view(date(facts.start_time)));
  out.field("uptime_seconds", static_cast<std::int64_t>(std::max(uptime, 0.0)));
  out.field("workers", facts.workers);
  out.field("draining", facts.draining);
  out.field("connections", facts.connections);
  out.field("connections_limit", facts.connections_limit);
  out.field("log_dropped", log::dropped());
  out.name("config").begin_object();
  out.field("file", std::string_view(snapshot.settings().file));
  out.field("generation", snapshot.generation());
  out.field("taken", std::string_view(date(facts.reload_time)));
  out.field("last_reload_successful", facts.reload_ok);
  out.field("reloads_ok", facts.reloads_ok);
  out.field("reloads_failed", facts.reloads_failed);
  out.end_object();
}

void write_listeners(JsonWriter& out, const config::Snapshot& snapshot, const Tallies& tallies) {
  const auto all = tallies.listeners();
  out.name("listeners").begin_array();
  for (const config::ListenerSettings& listener : snapshot.settings().listeners) {
    out.begin_object();
    out.field("name", std::string_view(listener.name));
    out.field("bind", std::string_view(listener.bind.text()));
    out.field("tls", listener.tls.has_value());
    out.field("connections",
              count(all, listener.name, [](const ListenerTally& t) { return t.all_connections(); }));
    out.field("accepted", count(all, listener.name, [](const ListenerTally& t) { return t.accepted.get(); }));
    out.end_object();
  }
  out.end_array();
}

void write_routes(JsonWriter& out, const config::Snapshot& snapshot, const Tallies& tallies) {
  const auto all = tallies.routes();
  const auto messages = [&all](const std::string& name, std::size_t way) {
    return count(all, name, [way](const RouteTally& t) {
      return t.flow[way].messages[0].get() + t.flow[way].messages[1].get();
    });
  };
  out.name("routes").begin_array();
  for (const config::RouteSettings& route : snapshot.settings().routes) {
    out.begin_object();
    out.field("name", std::string_view(route.name));
    out.field("host", std::string_view(route.host));
    out.field("path", std::string_view(route.path));
    out.field("backend", std::string_view(route.backend));
    out.field("websocket_connections",
              count(all, route.name, [](const RouteTally& t) { return t.connections.get(); }));
    out.field("handshakes_accepted", count(all, route.name, [](const RouteTally& t) {
                return t.handshakes[static_cast<std::size_t>(session::Outcome::accepted)].get();
              }));
    out.field("messages_in", messages(route.name, 0));
    out.field("messages_out", messages(route.name, 1));
    out.end_object();
  }
  out.end_array();
}

void write_limit(JsonWriter& out, std::uint32_t most) {
  if (most != 0) out.field("max_connections", std::uint64_t{most});
}

void write_server(JsonWriter& out, const upstream::Server& server, Instant now) {
  out.begin_object();
  out.field("url", std::string_view(server.settings().url));
  out.field("state", upstream::Server::kStateNames[static_cast<std::size_t>(server.state(now))]);
  out.field("weight", std::uint64_t{server.weight.load(std::memory_order_relaxed)});
  if (server.share.load(std::memory_order_relaxed) != upstream::Server::kFullShare) {
    out.field("weight_percent", std::uint64_t{server.share * 100 / upstream::Server::kFullShare});
  }
  out.field("backup", server.backup.load(std::memory_order_relaxed));
  out.field("connections", std::uint64_t{server.active.load(std::memory_order_relaxed)});
  write_limit(out, server.max_connections.load(std::memory_order_relaxed));
  out.field("connects_ok", server.connects.load(std::memory_order_relaxed));
  out.field("connects_failed", server.failures.load(std::memory_order_relaxed));
  if (server.ejected(now)) {
    const Duration left = Duration(server.ejected_until.load()) - now.time_since_epoch();
    out.field("ejected_for_seconds",
              static_cast<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(left).count()));
  }
  if (server.commanded_duty() || server.commanded_weight()) {
    out.name("operator").begin_object();
    if (const auto duty = server.commanded_duty()) {
      out.field("state", upstream::kDutyNames[static_cast<std::size_t>(*duty)]);
    }
    if (const auto weight = server.commanded_weight()) out.field("weight", std::uint64_t{*weight});
    out.end_object();
  }
  out.name("addresses").begin_array();
  for (const net::Address& address : server.addresses()) out.value(std::string_view(address.text()));
  out.end_array();
  out.end_object();
}

void write_load(JsonWriter& out, const upstream::Cluster& cluster, Instant now) {
  const upstream::Load& load = *cluster.load();
  const upstream::BackendSettings& settings = cluster.settings();
  out.field("connections", std::uint64_t{load.active.load(std::memory_order_relaxed)});
  write_limit(out, settings.max_connections);
  if (settings.pending.max != 0) {
    out.field("pending", std::uint64_t{load.line.size()});
    out.field("max_pending", std::uint64_t{settings.pending.max});
  }
  if (settings.breaker.enabled) {
    out.field("circuit_breaker",
              Breaker::kStateNames[static_cast<std::size_t>(load.breaker.state(settings.breaker, now))]);
  }
}

// Names that stand for several servers.
void write_names(JsonWriter& out, const upstream::Cluster& cluster, Instant now) {
  out.name("names").begin_array();
  for (const auto& [server, group] : cluster.entries()) {
    if (!group) continue;
    out.begin_object();
    out.field("url", std::string_view(group->settings().url));
    out.field("resolved", group->resolved());
    out.field("servers", std::uint64_t{group->members()->size()});
    out.field("stale_seconds",
              static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(group->lookups.stale(now)).count()));
    out.end_object();
  }
  out.end_array();
}

std::string_view policy_name(upstream::Policy policy) {
  switch (policy) {
    case upstream::Policy::round_robin: return "round_robin";
    case upstream::Policy::least_connections: return "least_connections";
    case upstream::Policy::random_two: return "random_two";
    case upstream::Policy::consistent_hash: return "consistent_hash";
  }
  return "";
}

}  // namespace

std::string status_json(const ProcessFacts& facts, const config::Snapshot& snapshot, const Tallies& tallies,
                        WallTime now) {
  JsonWriter out;
  out.begin_object();
  write_process(out, facts, snapshot, now);
  write_listeners(out, snapshot, tallies);
  write_routes(out, snapshot, tallies);
  out.end_object();
  return out.take();
}

std::string server_json(const upstream::Server& server, Instant now) {
  JsonWriter out;
  write_server(out, server, now);
  return out.take();
}

std::string backends_json(const config::Snapshot& snapshot, Instant now) {
  JsonWriter out;
  out.begin_object().name("backends").begin_array();
  for (const auto& cluster : snapshot.clusters()) {
    out.begin_object();
    out.field("name", std::string_view(cluster->settings().name));
    out.field("policy", policy_name(cluster->settings().policy));
    out.field("unit", cluster->settings().unit == upstream::Unit::message ? "message" : "connection");
    out.field("up", std::uint64_t{cluster->up(now)});
    write_load(out, *cluster, now);
    out.name("servers").begin_array();
    for (const auto& server : cluster->servers()) write_server(out, *server, now);
    for (const auto& server : cluster->leaving()) write_server(out, *server, now);
    out.end_array();
    write_names(out, *cluster, now);
    out.end_object();
  }
  out.end_array().end_object();
  return out.take();
}

}  // namespace sluice::server
