#include "config/snapshot.h"

#include <algorithm>

namespace sluice::config {

namespace {

std::shared_ptr<policy::Limiter> limiter_named(const Settings& settings, Memory& memory,
                                               const std::string& name) {
  const auto found = std::ranges::find(settings.limits, name, &policy::LimitSettings::name);
  if (found == settings.limits.end()) return nullptr;
  std::shared_ptr<policy::Limiter>& limiter = memory.limiters[name];
  const bool same_table = limiter && limiter->settings().key == found->key &&
                          limiter->settings().unit == found->unit &&
                          limiter->settings().claim == found->claim;
  if (!same_table) {
    limiter = std::make_shared<policy::Limiter>(*found);
  } else {
    limiter->update(*found);
  }
  return limiter;
}

bool drops_messages(const CompiledRoute& route) {
  return std::ranges::any_of(route.limits, [](const auto& limit) {
    return limit->settings().on_limit == policy::LimitSettings::Action::drop;
  });
}

RoutePlan plan_of(const CompiledRoute& route) {
  RoutePlan plan;
  if (!route.cluster) return plan;
  const upstream::BackendSettings& backend = route.cluster->settings();
  const bool tcp = !backend.servers.empty() && backend.servers.front().scheme == upstream::Scheme::tcp;
  if (tcp) {
    plan.up = FramerKind::ws_to_tcp;
    plan.down = FramerKind::tcp_to_ws;
  } else if (backend.unit == upstream::Unit::message) {
    plan.when = RouteWhen::each_message;
    const std::size_t most =
        backend.max_legs ? backend.max_legs : std::min<std::size_t>(backend.servers.size(), 8);
    plan.max_legs = static_cast<std::uint8_t>(std::clamp<std::size_t>(most, 1, 64));
  }
  const bool one_websocket_each = !tcp && plan.when == RouteWhen::once;
  plan.forward_control = one_websocket_each && route.settings->websocket.forward_pings;
  plan.pass_deflate = one_websocket_each && route.settings->websocket.pass_compression &&
                      !route.settings->websocket.validate_utf8 && !drops_messages(route);
  return plan;
}

}  // namespace

Snapshot::Snapshot(Settings settings, Memory& memory, std::uint64_t generation)
    : settings_(std::move(settings)), router_(settings_.routes), generation_(generation) {
  std::map<std::string, std::shared_ptr<const upstream::Cluster>> by_name;
  for (const upstream::BackendSettings& backend : settings_.backends) {
    clusters_.push_back(memory.servers.cluster(backend));
    by_name[backend.name] = clusters_.back();
  }
  for (const ListenerSettings& listener : settings_.listeners) {
    CompiledListener compiled{&listener, {}};
    for (const std::string& name : listener.rate_limit) {
      if (auto limiter = limiter_named(settings_, memory, name))
        compiled.limits.push_back(std::move(limiter));
    }
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
    for (const std::string& name : route.rate_limit) {
      if (auto limiter = limiter_named(settings_, memory, name))
        compiled.limits.push_back(std::move(limiter));
    }
    compiled.plan = plan_of(compiled);
    routes_.push_back(std::move(compiled));
  }
}

}  // namespace sluice::config
