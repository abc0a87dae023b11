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

bool drops_messages(const Snapshot& snapshot, const CompiledRoute& route) {
  return std::ranges::any_of(route.limits, [&](const auto& limiter) {
    return snapshot.limit(*limiter).on_limit == policy::LimitSettings::Action::drop;
  });
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
    plan.max_legs = static_cast<std::uint8_t>(std::clamp<std::size_t>(backend.most_legs(), 1, 64));
  }
  // Nor where another server may take over, which knows nothing of a ping or a window of its predecessor.
  const bool one_websocket_each = !tcp && plan.when == RouteWhen::once && !route.settings->survive;
  plan.forward_control = one_websocket_each && route.settings->websocket.forward_pings;
  plan.pass_deflate = one_websocket_each && route.settings->websocket.pass_compression &&
                      !route.settings->websocket.validate_utf8 && !drops_messages(snapshot, route);
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
    : settings_(std::move(settings)), router_(settings_.routes), generation_(generation) {
  for (const policy::LimitSettings& limit : settings_.limits) limiters_[limit.name] = limiter_for(limit, memory);
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
    for (const policy::JwtSettings& auth : settings_.auths) {
      if (auth.name == route.auth) compiled.auth = &auth;
      // Identity headers of every [auth] are ours on every route: a route without auth must not let them
      // through.
      for (const auto& [claim, header] : auth.forward) compiled.owned_fields.push_back(header);
    }
    for (const std::string& name : route.rate_limit) compiled.limits.push_back(limiters_.at(name));
    if (route.target) compiled.target = std::make_shared<const upstream::TargetRules>(*route.target, own_addresses(settings_));
    compiled.plan = plan_of(*this, compiled);
    routes_.push_back(std::move(compiled));
  }
}

const policy::LimitSettings& Snapshot::limit(const policy::Limiter& limiter) const {
  const auto found = std::ranges::find(settings_.limits, limiter.settings().name, &policy::LimitSettings::name);
  check(found != settings_.limits.end(), "a limiter of another snapshot");
  return *found;
}

void Snapshot::take_effect(Memory& memory) const {
  for (const auto& [name, limiter] : limiters_) {
    limiter->update(limit(*limiter));
    memory.limiters[name] = limiter;
  }
  for (const auto& cluster : clusters_) cluster->take_effect();
  memory.servers.take_effect(clusters_);
}

}  // namespace sluice::config
