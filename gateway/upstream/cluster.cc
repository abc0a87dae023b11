#include "upstream/cluster.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "upstream/balancer.h"

namespace sluice::upstream {

namespace {

// base · 2^times, at most `most`.
Duration ejection_length(const EjectionSettings& settings, std::uint32_t times) {
  Duration length = settings.base;
  for (std::uint32_t i = 0; i < times && length < settings.most; ++i) length *= 2;
  return std::min(length, settings.most);
}

}  // namespace

Cluster::Cluster(BackendSettings settings, std::vector<std::shared_ptr<Server>> servers)
    : settings_(std::move(settings)),
      servers_(std::move(servers)),
      balancer_(make_balancer(settings_.policy)) {}

Cluster::~Cluster() = default;

// Looks at each server once: other threads change them meanwhile, and two looks could disagree until nobody is left.
std::size_t Cluster::look(Instant now, std::vector<State>& states) const {
  states.clear();
  std::size_t ejected = 0;
  std::size_t fit = 0;
  for (const auto& server : servers_) {
    const State state = !server->eligible() ? State::unfit : server->ejected(now) ? State::ejected : State::fit;
    states.push_back(state);
    ejected += state == State::ejected;
    fit += state == State::fit;
  }
  // More than half of those that could otherwise serve are ejected: then the fault is rather not theirs, and the few that
  // are left would be trampled. Servers that the active check found down are no part of the sum.
  if (ejected <= fit) return fit;
  std::replace(states.begin(), states.end(), State::ejected, State::fit);
  return ejected + fit;
}

std::vector<std::shared_ptr<Server>> Cluster::order(std::uint64_t key, Instant now,
                                                    std::span<const Server* const> exclude) const {
  // These keep their memory between calls, and `usable` keeps no server.
  thread_local std::vector<State> states;
  thread_local std::vector<std::shared_ptr<Server>> usable;
  thread_local std::vector<std::uint32_t> picks;
  std::span<const std::shared_ptr<Server>> from = servers_;
  if (look(now, states) < servers_.size() || !exclude.empty()) {
    // The balancer sees only who may be chosen, so that the share of a missing server goes to all others alike.
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      const bool excluded = std::find(exclude.begin(), exclude.end(), servers_[i].get()) != exclude.end();
      if (states[i] == State::fit && !excluded) usable.push_back(servers_[i]);
    }
    from = usable;
  }
  std::vector<std::shared_ptr<Server>> candidates;
  if (!from.empty()) {
    balancer_->order(from, key, picks);
    const std::size_t most = std::min<std::size_t>(picks.size(), settings_.retries + std::size_t{1});
    candidates.reserve(most);
    for (std::size_t i = 0; i < most; ++i) candidates.push_back(from[picks[i]]);
  }
  usable.clear();
  return candidates;
}

void Cluster::report(Server& server, bool success, Instant now) const {
  if (success) {
    server.connects.fetch_add(1, std::memory_order_relaxed);
    if (server.ejected(now)) return;
    // Read before written: in good times nobody writes to the line that all workers share.
    if (server.failures_in_row.load(std::memory_order_relaxed) != 0) server.failures_in_row.store(0);
    if (server.ejections_in_row.load(std::memory_order_relaxed) != 0) server.ejections_in_row.store(0);
    return;
  }
  server.failures.fetch_add(1, std::memory_order_relaxed);
  if (settings_.ejection.failures == 0 || server.ejected(now)) return;
  if (server.failures_in_row.fetch_add(1) + 1 >= settings_.ejection.failures) eject(server, now);
}

void Cluster::eject(Server& server, Instant now) const {
  Duration length;
  {
    const std::lock_guard lock(ejecting_);
    if (server.ejected(now)) return;  // another thread was first
    const auto out = static_cast<std::size_t>(
        std::count_if(servers_.begin(), servers_.end(), [&](const auto& other) { return other->ejected(now); }));
    // Over the limit the count of failures stays: the next failure asks again.
    if ((out + 1) * 100 > servers_.size() * settings_.ejection.max_percent) return;
    length = ejection_length(settings_.ejection, server.ejections_in_row.fetch_add(1));
    server.failures_in_row.store(0);
    server.ejected_until.store((now + length).time_since_epoch().count());
  }
  log::event(Level::warn, "backend_ejected",
             {{"backend", settings_.name},
              {"server", server.settings().url},
              {"seconds", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(length).count())}});
}

void Cluster::take_effect() const {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    servers_[i]->configure(settings_.servers[i]);
  }
}

std::size_t Cluster::up(Instant now) const {
  thread_local std::vector<State> states;
  return look(now, states);
}

std::shared_ptr<const Cluster> Registry::cluster(const BackendSettings& settings) {
  std::erase_if(servers_, [](const auto& known) { return known.second.expired(); });
  std::vector<std::shared_ptr<Server>> servers;
  servers.reserve(settings.servers.size());
  for (const ServerSettings& wanted : settings.servers) {
    // A URL holds no line break, so the two parts cannot run into each other.
    std::weak_ptr<Server>& known = servers_[settings.name + '\n' + wanted.url];
    auto server = known.lock();
    if (!server) {
      server = std::make_shared<Server>(wanted);
      known = server;
    }
    servers.push_back(std::move(server));
  }
  return std::make_shared<const Cluster>(settings, std::move(servers));
}

}  // namespace sluice::upstream
