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

Cluster::Cluster(BackendSettings settings, std::vector<Roster::Entry> entries, std::shared_ptr<const Changes> changes,
                 std::shared_ptr<Load> load)
    : settings_(std::move(settings)),
      roster_(std::move(entries), std::move(changes)),
      load_(std::move(load)),
      balancer_(make_balancer(settings_.policy, settings_.max_load)),
      limited_(std::ranges::any_of(settings_.servers, [](const auto& one) { return one.max_connections != 0; })) {}

Cluster::~Cluster() = default;

ServerList Cluster::leaving() const {
  ServerList all;
  for (const auto& [server, group] : entries()) {
    if (!group) continue;
    const ServerList some = group->leaving();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

bool Cluster::resolved() const {
  return std::ranges::any_of(servers(), [](const auto& server) { return server->resolved(); });
}

bool Cluster::moved(std::uint64_t key, Server& own, Instant now) const {
  const auto first = order(key, now);
  if (first.empty() || first.front().get() == &own) return false;
  // By the key's own order, whatever bounds on load make of it.
  static const std::unique_ptr<Balancer> homes = make_balancer(Policy::consistent_hash);
  thread_local std::vector<std::uint32_t> picks;
  const std::shared_ptr<Server> two[] = {first.front(), own.shared_from_this()};
  homes->order(two, key, picks);
  return picks.front() == 0;
}

bool Cluster::sheds(std::uint64_t key, Server& own, Instant now) const {
  if (own.to_shed.load(std::memory_order_relaxed) == 0) return false;
  if (settings_.policy == Policy::consistent_hash && !moved(key, own, now)) return false;
  return own.claim_shed();
}

// Looks at each server once: other threads change them meanwhile, and two looks could disagree until nobody is left.
std::size_t Cluster::look(std::span<const std::shared_ptr<Server>> servers, Instant now,
                          std::vector<State>& states) const {
  struct Tier {
    std::size_t ejected = 0;
    std::size_t fit = 0;
  };
  Tier tiers[2];  // primaries, backups
  states.clear();
  for (const auto& server : servers) {
    State state = State::unfit;
    if (server->eligible()) {
      state = server->ejected(now) ? State::ejected : State::fit;
      Tier& tier = tiers[server->backup.load(std::memory_order_relaxed)];
      tier.ejected += state == State::ejected;
      tier.fit += state == State::fit;
      if (state == State::fit && settings_.slow_start > Duration::zero()) server->warm(now, settings_.slow_start);
    }
    states.push_back(state);
  }
  // A backup that is fit is better than a primary that is ejected.
  const bool backups = tiers[0].fit == 0 && (tiers[1].fit > 0 || tiers[0].ejected == 0);
  const Tier& tier = tiers[backups];
  const bool panic = panics(tier.ejected, tier.fit);
  if (tier.fit == servers.size()) return tier.fit;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (servers[i]->backup.load(std::memory_order_relaxed) != backups) states[i] = State::unfit;
    if (panic && states[i] == State::ejected) states[i] = State::fit;
  }
  return tier.fit + (panic ? tier.ejected : 0);
}

// So many of those that could otherwise serve are ejected that the fault is rather not theirs, and the few that are left
// would be trampled. Servers that the active check found down are no part of the sum.
bool Cluster::panics(std::size_t ejected, std::size_t fit) const {
  const std::uint32_t percent = settings_.ejection.panic;
  return percent != 0 && ejected * 100 > (ejected + fit) * percent;
}

std::vector<std::shared_ptr<Server>> Cluster::order(std::uint64_t key, Instant now,
                                                    std::span<const Server* const> exclude, const Server* preferred,
                                                    Room room) const {
  // These keep their memory between calls, and `usable` keeps no server.
  thread_local std::vector<State> states;
  thread_local std::vector<std::shared_ptr<Server>> usable;
  thread_local std::vector<std::uint32_t> picks;
  const std::span<const std::shared_ptr<Server>> servers = this->servers();
  std::span<const std::shared_ptr<Server>> from = servers;
  const bool room_only = limited_ && room == Room::some;
  const bool all = look(servers, now, states) == servers.size();
  const bool held = settings_.rebalance.on() && hold_back(servers, states);
  if (!all || !exclude.empty() || room_only || held) {
    // The balancer sees only who may be chosen, so that the share of a missing server goes to all others alike.
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const bool skipped = among(exclude, servers[i].get()) || (room_only && servers[i]->full());
      if (states[i] == State::fit && !skipped) usable.push_back(servers[i]);
    }
    from = usable;
  }
  const std::size_t most = settings_.retries + std::size_t{1};
  std::vector<std::shared_ptr<Server>> candidates;
  // One that is full would only cost a try.
  if (room_only && preferred != nullptr && preferred->full()) preferred = nullptr;
  if (auto first = first_choice(preferred, servers, now, states, exclude)) candidates.push_back(std::move(first));
  if (!from.empty()) {
    balancer_->order(from, key, picks);
    candidates.reserve(std::min(picks.size() + candidates.size(), most));
    for (std::size_t i = 0; i < picks.size() && candidates.size() < most; ++i) {
      if (candidates.empty() || from[picks[i]] != candidates.front()) candidates.push_back(from[picks[i]]);
    }
  }
  for (std::size_t i = 0; held && i < servers.size() && candidates.size() < most; ++i) {
    if (states[i] == State::held && !among(exclude, servers[i].get())) candidates.push_back(servers[i]);
  }
  usable.clear();
  return candidates;
}

// Who has its share of sessions comes last while the backend is rebalanced, unless all have. True: some are held.
bool Cluster::hold_back(std::span<const std::shared_ptr<Server>> servers, std::vector<State>& states) {
  std::size_t held = 0;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (states[i] != State::fit || !servers[i]->has_its_share()) continue;
    states[i] = State::held;
    ++held;
  }
  if (held == 0 || std::ranges::find(states, State::fit) != states.end()) return held > 0;
  std::ranges::replace(states, State::held, State::fit);
  return false;
}

std::shared_ptr<Server> Cluster::first_choice(const Server* preferred, std::span<const std::shared_ptr<Server>> servers,
                                              Instant now, const std::vector<State>& states,
                                              std::span<const Server* const> exclude) {
  if (preferred == nullptr || among(exclude, preferred)) return nullptr;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (servers[i].get() != preferred) continue;
    if (states[i] == State::held) return nullptr;  // it would only be told to leave again
    return states[i] == State::fit || preferred->takes_back(now) ? servers[i] : nullptr;
  }
  return nullptr;
}

Error Cluster::refusal(Instant now) const {
  const auto error = [](Errc code, const char* detail) { return Error{code, Side::upstream, false, detail}; };
  if (load_->breaker.state(settings_.breaker, now) != Breaker::State::closed) {
    return error(Errc::circuit_open, "the circuit breaker of the backend is open");
  }
  const std::uint32_t most = settings_.max_connections;
  if (most != 0 && load_->active.load(std::memory_order_relaxed) >= most) {
    return error(Errc::backend_limit, "the backend has max_connections");
  }
  if (up(now) > 0) return error(Errc::server_limit, "every usable server has max_connections");
  if (!resolved()) return error(Errc::be_unresolved, "no server's name is resolved");
  return error(Errc::no_backend, "no server is usable");
}

bool Cluster::refuses_with(Errc code) {
  return code == Errc::circuit_open || code == Errc::backend_limit || code == Errc::server_limit ||
         code == Errc::be_unresolved || code == Errc::no_backend;
}

Instant Cluster::changes_at(Instant now) const {
  const auto later = [now](Instant when) { return when > now ? when : kNever; };
  Instant first = later(load_->breaker.retry_at(settings_.breaker));
  for (const auto& server : servers()) {
    first = std::min(first, later(Instant(Duration(server->ejected_until.load(std::memory_order_relaxed)))));
  }
  return first;
}

void Cluster::attempted(Server& server, bool success, Instant now) const {
  report(server, success, now);
  const bool opened = load_->breaker.report(settings_.breaker, success, now);
  if (success && settings_.breaker.enabled) load_->line.call_first();  // it may have closed
  if (!opened) return;
  log::event(Level::warn, "circuit_opened",
             {{"backend", settings_.name},
              {"server", server.settings().url},
              {"seconds", static_cast<std::int64_t>(
                              std::chrono::duration_cast<std::chrono::seconds>(settings_.breaker.open).count())}});
}

std::vector<std::shared_ptr<Server>> Cluster::everyone(Instant now) const {
  thread_local std::vector<State> states;
  std::vector<std::shared_ptr<Server>> all;
  const std::span<const std::shared_ptr<Server>> servers = this->servers();
  all.reserve(look(servers, now, states));
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (states[i] == State::fit) all.push_back(servers[i]);
  }
  return all;
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
    server.cold.store(true, std::memory_order_relaxed);
    server.ejected_until.store((now + length).time_since_epoch().count());
  }
  log::event(Level::warn, "backend_ejected",
             {{"backend", settings_.name},
              {"server", server.settings().url},
              {"seconds", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(length).count())}});
  load_->line.call_first();  // so many may be out now that those who are count as usable, or backups serve
}

void Cluster::take_effect() const {
  for (std::size_t i = 0; i < entries().size(); ++i) {
    if (const auto& group = entries()[i].group) {
      group->configure(settings_.servers[i]);
    } else {
      entries()[i].server->configure(settings_.servers[i]);
    }
  }
  if (settings_.slow_start > Duration::zero()) return;
  for (const auto& server : servers()) server->share.store(Server::kFullShare, std::memory_order_relaxed);
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
  std::erase_if(loads_, [](const auto& known) { return known.second.expired(); });
  const auto load = known_or(loads_, settings.name, [] { return std::make_shared<Load>(); });
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
      entries.push_back({known_or(servers_, name, [&] {
                           auto server = std::make_shared<Server>(wanted, load);
                           server->cold.store(in_force_, std::memory_order_relaxed);
                           return server;
                         }),
                         nullptr});
    } else {
      entries.push_back({nullptr, known_or(groups_, name, [&] { return std::make_shared<Group>(wanted, changes_, load); })});
    }
  }
  return std::make_shared<const Cluster>(std::move(filled), std::move(entries), changes_, load);
}

void Registry::take_effect(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  in_force_ = true;
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
