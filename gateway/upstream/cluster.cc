#include "upstream/cluster.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "upstream/balancer.h"
#include "upstream/sticky.h"

namespace sluice::upstream {

namespace {

// base · 2^times, at most `most`.
Duration ejection_length(const EjectionSettings& settings, std::uint32_t times) {
  Duration length = settings.base;
  for (std::uint32_t i = 0; i < times && length < settings.most; ++i) length *= 2;
  return std::min(length, settings.most);
}

bool among(std::span<const Server* const> servers, const Server* one) {
  return std::find(servers.begin(), servers.end(), one) != servers.end();
}

}  // namespace

Cluster::Cluster(BackendSettings settings, std::vector<Roster::Entry> entries, std::shared_ptr<const Changes> changes)
    : settings_(std::move(settings)),
      roster_(std::move(entries), std::move(changes)),
      balancer_(make_balancer(settings_.policy, settings_.max_load)) {}

Cluster::~Cluster() = default;

// Looks at each server once: other threads change them meanwhile, and two looks could disagree until nobody is left.
std::size_t Cluster::look(std::span<const std::shared_ptr<Server>> servers, Instant now, std::vector<State>& states) {
  states.clear();
  std::size_t ejected = 0;
  std::size_t fit = 0;
  for (const auto& server : servers) {
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
                                                    std::span<const Server* const> exclude,
                                                    const Server* preferred) const {
  // These keep their memory between calls, and `usable` keeps no server.
  thread_local std::vector<State> states;
  thread_local std::vector<std::shared_ptr<Server>> usable;
  thread_local std::vector<std::uint32_t> picks;
  const std::span<const std::shared_ptr<Server>> servers = this->servers();
  std::span<const std::shared_ptr<Server>> from = servers;
  if (look(servers, now, states) < servers.size() || !exclude.empty()) {
    // The balancer sees only who may be chosen, so that the share of a missing server goes to all others alike.
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (states[i] == State::fit && !among(exclude, servers[i].get())) usable.push_back(servers[i]);
    }
    from = usable;
  }
  const std::size_t most = settings_.retries + std::size_t{1};
  std::vector<std::shared_ptr<Server>> candidates;
  if (auto first = first_choice(preferred, servers, now, states, exclude)) candidates.push_back(std::move(first));
  if (!from.empty()) {
    balancer_->order(from, key, picks);
    candidates.reserve(std::min(picks.size() + candidates.size(), most));
    for (std::size_t i = 0; i < picks.size() && candidates.size() < most; ++i) {
      if (candidates.empty() || from[picks[i]] != candidates.front()) candidates.push_back(from[picks[i]]);
    }
  }
  usable.clear();
  return candidates;
}

std::shared_ptr<Server> Cluster::first_choice(const Server* preferred, std::span<const std::shared_ptr<Server>> servers,
                                              Instant now, const std::vector<State>& states,
                                              std::span<const Server* const> exclude) {
  if (preferred == nullptr || among(exclude, preferred)) return nullptr;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (servers[i].get() != preferred) continue;
    return states[i] == State::fit || preferred->takes_back(now) ? servers[i] : nullptr;
  }
  return nullptr;
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
    const std::span<const std::shared_ptr<Server>> servers = this->servers();
    const auto out = static_cast<std::size_t>(
        std::count_if(servers.begin(), servers.end(), [&](const auto& other) { return other->ejected(now); }));
    // Over the limit the count of failures stays: the next failure asks again.
    if ((out + 1) * 100 > servers.size() * settings_.ejection.max_percent) return;
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
  for (std::size_t i = 0; i < entries().size(); ++i) {
    if (const auto& group = entries()[i].group) {
      group->configure(settings_.servers[i]);
    } else {
      entries()[i].server->configure(settings_.servers[i]);
    }
  }
}

std::size_t Cluster::up(Instant now) const {
  thread_local std::vector<State> states;
  return look(servers(), now, states);
}

namespace {

// The object of that name, made anew where there is none.
template <typename Object, typename Make>
std::shared_ptr<Object> known_or(std::map<std::string, std::weak_ptr<Object>>& all, const std::string& name, Make make) {
  std::weak_ptr<Object>& known = all[name];
  auto object = known.lock();
  if (!object) known = object = make();
  return object;
}

}  // namespace

std::shared_ptr<const Cluster> Registry::cluster(const BackendSettings& settings) {
  std::erase_if(servers_, [](const auto& known) { return known.second.expired(); });
  std::erase_if(groups_, [](const auto& known) { return known.second.expired(); });
  std::vector<Roster::Entry> entries;
  entries.reserve(settings.servers.size());
  BackendSettings filled = settings;
  if (!settings.sticky.cookie.empty() && settings.sticky.secret.empty()) {
    if (sticky_secret_.empty()) sticky_secret_ = fresh_sticky_secret();
    filled.sticky.secret = sticky_secret_;
  }
  for (const ServerSettings& wanted : settings.servers) {
    // A URL holds no line break, so the two parts cannot run into each other.
    const std::string name = settings.name + '\n' + wanted.url;
    if (wanted.discovery == Discovery::none) {
      entries.push_back({known_or(servers_, name, [&] { return std::make_shared<Server>(wanted); }), nullptr});
    } else {
      entries.push_back({nullptr, known_or(groups_, name, [&] { return std::make_shared<Group>(wanted, changes_); })});
    }
  }
  return std::make_shared<const Cluster>(std::move(filled), std::move(entries), changes_);
}

void Registry::take_effect(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  std::set<const void*> named;
  for (const auto& cluster : clusters) {
    for (const Roster::Entry& entry : cluster->entries()) {
      named.insert(entry.server ? static_cast<const void*>(entry.server.get()) : entry.group.get());
    }
  }
  for (const auto& [name, known] : servers_) {
    if (const auto server = known.lock()) server->vanished.store(!named.contains(server.get()), std::memory_order_relaxed);
  }
  for (const auto& [name, known] : groups_) {
    if (const auto group = known.lock()) group->set_named(named.contains(group.get()));
  }
}

}  // namespace sluice::upstream
