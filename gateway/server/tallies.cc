#include "server/tallies.h"

#include <algorithm>

#include "base/result.h"

namespace sluice::server {

// A URL holds no line break, so the two parts cannot run into each other.
std::string Tallies::server_name(const std::string& backend, const std::string& url) { return backend + '\n' + url; }

Tallies::Tallies(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) workers_.push_back(std::make_unique<Copy<session::WorkerTally>>());
}

session::WorkerTally& Tallies::worker(unsigned index) {
  check(index < workers_.size(), "tally of a worker that does not exist");
  return workers_[index]->tally;
}

template <typename Tally>
const std::shared_ptr<Tallies::Copy<Tally>>& Tallies::copy(Copies<Tally>& all, unsigned worker, const std::string& name) {
  check(worker < workers_.size(), "tally of a worker that does not exist");
  auto& copies = all[name];
  if (copies.empty()) copies.resize(workers_.size());
  if (!copies[worker]) copies[worker] = std::make_shared<Copy<Tally>>();
  return copies[worker];
}

session::RouteTally& Tallies::route(unsigned worker, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return copy(routes_, worker, name)->tally;
}

session::ListenerTally& Tallies::listener(unsigned worker, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return copy(listeners_, worker, name)->tally;
}

std::shared_ptr<session::ServerTally> Tallies::server(unsigned worker, const std::string& backend,
                                                      const std::string& url) {
  const std::lock_guard lock(mutex_);
  const auto& held = copy(servers_, worker, server_name(backend, url));
  return {held, &held->tally};
}

void Tallies::forget_servers(const std::set<std::string>& keep) {
  const std::lock_guard lock(mutex_);
  std::erase_if(servers_, [&](const auto& server) {
    // Nobody can take one up meanwhile: that needs the lock.
    return !keep.contains(server.first) &&
           std::ranges::all_of(server.second, [](const auto& one) { return one.use_count() <= 1; });
  });
}

session::RuleTally& Tallies::rule(unsigned worker, const std::string& route, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return copy(rules_, worker, route + '\n' + name)->tally;
}

std::uint64_t Tallies::connections(const std::string& listener) const {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(listener);
  if (found == listeners_.end()) return 0;
  // The copies are read one after another while their workers count on, so that a sum may be off by those in
  // flight; it must never wrap below zero.
  std::int64_t sum = 0;
  for (const auto& one : found->second) {
    if (one) sum += one->tally.all_connections();
  }
  return static_cast<std::uint64_t>(std::max<std::int64_t>(sum, 0));
}

std::vector<const session::WorkerTally*> Tallies::workers() const {
  std::vector<const session::WorkerTally*> all;
  for (const auto& one : workers_) all.push_back(&one->tally);
  return all;
}

template <typename Tally>
std::vector<Named<Tally>> Tallies::list(const Copies<Tally>& all) const {
  const std::lock_guard lock(mutex_);
  std::vector<Named<Tally>> named;
  named.reserve(all.size());
  for (const auto& [name, copies] : all) {
    Named<Tally>& entry = named.emplace_back(name);
    for (const auto& one : copies) {
      if (one) entry.copies.push_back(&one->tally);
    }
  }
  return named;
}

std::vector<const session::ServerTally*> Tallies::server(const std::string& backend, const std::string& url) const {
  const std::lock_guard lock(mutex_);
  std::vector<const session::ServerTally*> copies;
  const auto found = servers_.find(server_name(backend, url));
  if (found == servers_.end()) return copies;
  for (const auto& one : found->second) {
    if (one) copies.push_back(&one->tally);
  }
  return copies;
}

std::vector<Named<session::RouteTally>> Tallies::routes() const { return list(routes_); }

std::vector<Named<session::RuleTally>> Tallies::rules() const { return list(rules_); }

std::vector<Named<session::ListenerTally>> Tallies::listeners() const { return list(listeners_); }

}  // namespace sluice::server
