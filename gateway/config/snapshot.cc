#include "config/snapshot.h"

#include <algorithm>

namespace sluice::config {

namespace {

// The limiter that is remembered under that name, where it counts the same; else a new one.
std::shared_ptr<policy::Limiter> limiter_for(const policy::LimitSettings& limit, const Memory& memory) {
  const auto known = memory.limiters.find(limit.name);
  if (known != memory.limiters.end()) {
    const policy::LimitSettings& before = known->second->settings();
    if (before.key == limit.key && before.unit == limit.unit && before.claim == limit.claim) return known->second;
  }
  return std::make_shared<policy::Limiter>(limit);
}

// The source that is remembered under that name, where it has the same keys; else a new one.
std::shared_ptr<policy::KeySource> source_for(const policy::AuthSettings& auth, const Memory& memory) {
  const auto known = memory.key_sources.find(auth.name);
  if (known != memory.key_sources.end() && known->second->settings().same_keys(auth.jwt.source)) return known->second;
  return std::make_shared<policy::KeySource>(auth.jwt.source);
}

bool drops_messages(const Snapshot& snapshot, const CompiledRoute& route) {
  const auto drops = [&](const auto& limiter) {
    return snapshot.limit(*limiter).on_limit == policy::LimitSettings::Action::drop;
  };
  return std::ranges::any_of(route.limits, drops) || std::ranges::any_of(route.key_limits, drops);
}

using Clusters = std::map<std::string, std::shared_ptr<const upstream::Cluster>>;

std::unique_ptr<const MessageRouting> routing_of(const CompiledRoute& route, const Clusters& by_name) {
  const RouteSettings& settings = *route.settings;
  if (!route.cluster || route.cluster->settings().unit != upstream::Unit::message) return nullptr;
  if (settings.messages.empty() && !route.cluster->settings().keyed_by_content()) return nullptr;
  auto routing = std::make_unique<MessageRouting>(
      MessageRouting{upstream::MessageRules(settings.messages, settings.inspect), {route.cluster}, {}});
  for (const upstream::MessageRule& rule : settings.messages) {
    const auto& cluster = rule.backend.empty() ? route.cluster : by_name.at(rule.backend);
    auto& known = routing->clusters;
    const auto found = std::ranges::find(known, cluster);
    routing->cluster_of.push_back(static_cast<std::uint8_t>(found - known.begin()));
    if (found == known.end()) known.push_back(cluster);
  }
  const bool keyed = std::ranges::any_of(routing->clusters, [](const auto& one) { return one->settings().keyed_by_content(); });
  if (keyed) routing->rules.want_all_text();
  return routing;
}

// Over all backends that messages of the route go to, each of which has a claim to one.
std::size_t most_legs(const CompiledRoute& route) {
  const upstream::BackendSettings& own = route.cluster->settings();
  if (!route.messages || own.max_legs != 0) return own.most_legs();
  std::size_t sum = 0;
  std::size_t most = 8;
  for (const auto& cluster : route.messages->clusters) {
    sum += cluster->settings().most_legs();
    if (cluster->settings().keyed_by_content()) most = upstream::kMostLegs;
  }
  return std::max<std::size_t>(std::min(sum, most), route.messages->clusters.size());
}

// Tokens stand in the client's messages.
bool brings_tokens(const CompiledRoute& route) {
  return std::ranges::any_of(route.auths, [](const policy::AuthSettings* auth) { return auth->refresh.in_band; });
}

RoutePlan plan_of(const Snapshot& snapshot, const CompiledRoute& route) {
  RoutePlan plan;
  if (!route.cluster) return plan;
  const upstream::BackendSettings& backend = route.cluster->settings();
  const bool tcp = !backend.servers.empty() && upstream::bridged(backend.servers.front().scheme);
  plan.plain = !backend.servers.empty() && upstream::serves_http(backend.servers.front().scheme);
  if (tcp) {
    plan.up = FramerKind::ws_to_tcp;
    plan.down = FramerKind::tcp_to_ws;
  }
  if (backend.unit == upstream::Unit::message) {
    plan.when = RouteWhen::each_message;
    plan.max_legs = static_cast<std::uint8_t>(std::clamp<std::size_t>(most_legs(route), 1, upstream::kMostLegs));
  }
  // Nor where another server may take over, which knows nothing of a ping or a window of its predecessor.
  const bool one_websocket_each = !tcp && plan.when == RouteWhen::once && !route.settings->survive;
  // Nor where messages are read before they pass: no frame goes ahead of one that is held.
  const bool reads = !route.settings->message_rules.empty();
  plan.forward_control = one_websocket_each && route.settings->websocket.forward_pings && !reads;
  plan.pass_deflate = one_websocket_each && route.settings->websocket.pass_compression &&
                      !route.settings->websocket.validate_utf8 && !drops_messages(snapshot, route) && !brings_tokens(route) && !reads;
  return plan;
}

std::vector<net::Address> own_addresses(const Settings& settings) {
  std::vector<net::Address> own;
  for (const ListenerSettings& listener : settings.listeners) own.push_back(listener.bind);
  if (settings.admin.enabled) own.push_back(settings.admin.bind);
  return own;
}

}  // namespace

Snapshot::Snapshot(Settings settings, Memory& memory, std::uint64_t generation)
    : settings_(std::move(settings)), router_(settings_.routes), revocations_(memory.revocations), tickets_(memory.tickets), logouts_(memory.logouts), generation_(generation) {
  for (const policy::LimitSettings& limit : settings_.limits) limiters_[limit.name] = limiter_for(limit, memory);
  for (const policy::AuthSettings& auth : settings_.auths) {
    if (auth.failures.count == 0) continue;
    const auto known = memory.failures.find(auth.name);
    failures_[auth.name] =
        known != memory.failures.end() ? known->second : std::make_shared<policy::Failures>(auth.failures);
  }
  for (const policy::AuthSettings& auth : settings_.auths) {
    const bool used = auth.endpoints.any() || std::ranges::any_of(settings_.routes, [&](const RouteSettings& route) {
      return std::ranges::find(route.auth, auth.name) != route.auth.end();
    });
    if (used && auth.jwt.source.remote()) key_sources_[auth.name] = source_for(auth, memory);
  }
  std::map<std::string, std::shared_ptr<const upstream::Cluster>> by_name;
  for (const upstream::BackendSettings& backend : settings_.backends) {
    clusters_.push_back(memory.servers.cluster(backend));
    by_name[backend.name] = clusters_.back();
  }
  for (const ListenerSettings& listener : settings_.listeners) {
    CompiledListener compiled{&listener, {}, {}};
    if (const auto found = by_name.find(listener.backend); found != by_name.end()) compiled.cluster = found->second;
    for (const std::string& name : listener.rate_limit) compiled.limits.push_back(limiters_.at(name));
    listeners_.push_back(std::move(compiled));
  }
  for (const RouteSettings& route : settings_.routes) {
    CompiledRoute compiled;
    compiled.settings = &route;
    if (const auto found = by_name.find(route.backend); found != by_name.end())
      compiled.cluster = found->second;
    for (const std::string& name : route.auth) {
      const auto found = std::ranges::find(settings_.auths, name, &policy::AuthSettings::name);
      check(found != settings_.auths.end(), "an auth that nobody defined");
      compiled.auths.push_back(&*found);
      std::ranges::copy(found->from, std::back_inserter(compiled.carriers));
      if (found->keys) add_key_limits(*found->keys, compiled);
    }
    for (const policy::AuthSettings& auth : settings_.auths) {
      // Identity headers of every [auth] are ours on every route: a route without auth must not let them
      // through.
      for (const auto& [claim, header] : auth.forward) compiled.owned_fields.push_back(header);
      for (const std::string& header : auth.external.response_headers) compiled.owned_fields.push_back(header);
    }
    for (const std::string& name : route.rate_limit) compiled.limits.push_back(limiters_.at(name));
    if (route.target) compiled.target = std::make_shared<const upstream::TargetRules>(*route.target, own_addresses(settings_));
    compiled.messages = routing_of(compiled, by_name);
    compiled.plan = plan_of(*this, compiled);
    routes_.push_back(std::move(compiled));
  }
}

void Snapshot::add_key_limits(const policy::ApiKeys& keys, CompiledRoute& route) const {
  for (const policy::ApiKey& key : keys.keys()) {
    for (const std::string& name : key.rate_limit) {
      const auto& limiter = limiters_.at(name);
      if (std::ranges::find(route.key_limits, limiter) == route.key_limits.end()) route.key_limits.push_back(limiter);
    }
  }
}

const policy::LimitSettings& Snapshot::limit(const policy::Limiter& limiter) const {
  const auto found = std::ranges::find(settings_.limits, limiter.settings().name, &policy::LimitSettings::name);
  check(found != settings_.limits.end(), "a limiter of another snapshot");
  return *found;
}

policy::Failures* Snapshot::failures(const std::string& auth) const {
  const auto found = failures_.find(auth);
  return found == failures_.end() ? nullptr : found->second.get();
}

std::vector<KeyUse> Snapshot::key_uses() const {
  std::vector<KeyUse> uses;
  for (const policy::AuthSettings& auth : settings_.auths) {
    if (auto source = key_source(auth.name)) uses.push_back({&auth, std::move(source)});
  }
  return uses;
}

std::shared_ptr<policy::KeySource> Snapshot::key_source(const std::string& auth) const {
  const auto found = key_sources_.find(auth);
  return found == key_sources_.end() ? nullptr : found->second;
}

void Snapshot::take_effect(Memory& memory) const {
  memory.key_sources = key_sources_;  // what nobody names any more is forgotten
  for (const auto& [name, limiter] : limiters_) {
    limiter->update(limit(*limiter));
    memory.limiters[name] = limiter;
  }
  for (const policy::AuthSettings& auth : settings_.auths) {
    if (const auto counted = failures_.find(auth.name); counted != failures_.end()) counted->second->update(auth.failures);
  }
  memory.failures = failures_;
  for (const auto& cluster : clusters_) cluster->take_effect();
  memory.servers.take_effect(clusters_);
}

}  // namespace sluice::config
