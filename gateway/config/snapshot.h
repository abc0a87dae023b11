// Snapshot: one configuration, immutable, shared by all threads. A Session copies the pointer at birth and finishes on
// what it began with. Live state (servers, limiter tables) is not in it: it points at them, and a reload that keeps a
// server or a limit keeps what is known of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/routes.h"
#include "config/settings.h"
#include "policy/limiter.h"
#include "policy/revocations.h"
#include "policy/seen.h"
#include "policy/tickets.h"
#include "upstream/cluster.h"
#include "upstream/target_rules.h"

namespace sluice::config {

enum class FramerKind : std::uint8_t { ws, ws_to_tcp, tcp_to_ws };
enum class RouteWhen : std::uint8_t { once, each_message };

// A mode is a row (docs/explanation/architecture.md).
struct RoutePlan {
  FramerKind up = FramerKind::ws;
  FramerKind down = FramerKind::ws;
  RouteWhen when = RouteWhen::once;
  std::uint8_t max_legs = 1;
  bool forward_control = true;  // one WebSocket stands at each end, so pings, pongs and Close pass through
  bool pass_deflate = true;     // permessage-deflate may be negotiated end to end
  bool plain = false;           // requests without an upgrade are served, too
};

// Where messages go by their content.
struct MessageRouting {
  upstream::MessageRules rules;
  std::vector<std::shared_ptr<const upstream::Cluster>> clusters;  // the route's own, then each further one of the rules
  std::vector<std::uint8_t> cluster_of;                            // [rule]: index into clusters
};

struct CompiledRoute {
  const RouteSettings* settings = nullptr;
  RoutePlan plan;
  std::shared_ptr<const upstream::Cluster> cluster;  // null: a fixed answer
  std::shared_ptr<const upstream::TargetRules> target;  // null: the cluster's servers are the configuration's
  std::unique_ptr<const MessageRouting> messages;    // null: messages are not read
  std::vector<const policy::AuthSettings*> auths;    // in the order in which they are asked; empty: everybody may come
  std::vector<policy::Carrier> carriers;             // of all of them
  std::vector<std::shared_ptr<policy::Limiter>> limits;
  std::vector<std::string> owned_fields;  // identity headers: client copies and aliases are stripped
};

struct CompiledListener {
  const ListenerSettings* settings = nullptr;
  std::shared_ptr<const upstream::Cluster> cluster;  // protocol = "tcp": where octets go; null: routes decide
  std::vector<std::shared_ptr<policy::Limiter>> limits;
};

// An [auth] whose keys come from elsewhere.
struct KeyUse {
  const policy::AuthSettings* auth = nullptr;  // dies with the snapshot
  std::shared_ptr<policy::KeySource> source;
};

// What outlives snapshots. Main thread only.
struct Memory {
  upstream::Registry servers;
  std::map<std::string, std::shared_ptr<policy::KeySource>> key_sources;  // by name of the [auth]
  std::map<std::string, std::shared_ptr<policy::Limiter>> limiters;
  std::map<std::string, std::shared_ptr<policy::Failures>> failures;  // by [auth]
  std::shared_ptr<policy::Revocations> revocations = std::make_shared<policy::Revocations>();
  std::shared_ptr<policy::Tickets> tickets = std::make_shared<policy::Tickets>();
  std::shared_ptr<policy::Seen> logouts = std::make_shared<policy::Seen>();
};

class Snapshot {
 public:
  // Compiles checked settings; never fails. What the configuration in force uses stays as it is.
  Snapshot(Settings settings, Memory& memory, std::uint64_t generation);
  // This is the configuration in force from now on: its numbers are those of the limits and servers that it shares with
  // the one before, and what it has is remembered. Main thread.
  void take_effect(Memory& memory) const;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const Settings& settings() const { return settings_; }
  const std::vector<CompiledListener>& listeners() const { return listeners_; }
  const std::vector<CompiledRoute>& routes() const { return routes_; }
  const std::vector<std::shared_ptr<const upstream::Cluster>>& clusters() const { return clusters_; }
  // Of those that routes name.
  std::vector<KeyUse> key_uses() const;
  // Null: the keys of that [auth] come from files.
  std::shared_ptr<policy::KeySource> key_source(const std::string& auth) const;
  const Routes& router() const { return router_; }
  // What this configuration says of a limit; the limiter itself has the numbers that are in force.
  const policy::LimitSettings& limit(const policy::Limiter& limiter) const;
  // Null: those of this [auth] are not counted.
  policy::Failures* failures(const std::string& auth) const;
  // Those of the process.
  const policy::Revocations& revocations() const { return *revocations_; }
  policy::Tickets& tickets() const { return *tickets_; }  // likewise
  policy::Seen& logouts() const { return *logouts_; }     // logout tokens; likewise
  std::uint64_t generation() const { return generation_; }

 private:
  Settings settings_;
  Routes router_;
  std::map<std::string, std::shared_ptr<policy::Limiter>> limiters_;  // by name
  std::map<std::string, std::shared_ptr<policy::Failures>> failures_;  // by [auth]
  std::map<std::string, std::shared_ptr<policy::KeySource>> key_sources_;  // by name of the [auth]
  std::vector<std::shared_ptr<const upstream::Cluster>> clusters_;
  std::vector<CompiledListener> listeners_;
  std::vector<CompiledRoute> routes_;
  std::shared_ptr<const policy::Revocations> revocations_;
  std::shared_ptr<policy::Tickets> tickets_;
  std::shared_ptr<policy::Seen> logouts_;
  std::uint64_t generation_;
};

}  // namespace sluice::config
