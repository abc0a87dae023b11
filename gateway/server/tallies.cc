#include "server/tallies.h"

#include <algorithm>

#include "base/result.h"

namespace sluice::server {

Tallies::Tallies(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) workers_.push_back(std::make_unique<Copy<session::WorkerTally>>());
}

session::WorkerTally& Tallies::worker(unsigned index) {
  check(index < workers_.size(), "tally of a worker that does not exist");
  return workers_[index]->tally;
}

template <typename Tally>
Tally& Tallies::copy(Copies<Tally>& all, unsigned worker, const std::string& name) {
  check(worker < workers_.size(), "tally of a worker that does not exist");
  const std::lock_guard lock(mutex_);
  auto& copies = all[name];
  if (copies.empty()) copies.resize(workers_.size());
  if (!copies[worker]) copies[worker] = std::make_unique<Copy<Tally>>();
  return copies[worker]->tally;
}

session::RouteTally& Tallies::route(unsigned worker, const std::string& name) {
  return copy(routes_, worker, name);
}

session::ListenerTally& Tallies::listener(unsigned worker, const std::string& name) {
  return copy(listeners_, worker, name);
}

std::uint64_t Tallies::connections(const std::string& listener) const {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(listener);
  if (found == listeners_.end()) return 0;
  // The copies are read one after another while their workers count on, so that a sum may be off by those in
  // flight; it must never wrap below zero.
  std::int64_t sum = 0;
  for (const auto& one : found->second) {
    if (one) sum += one->tally.connections.get();
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

std::vector<Named<session::RouteTally>> Tallies::routes() const { return list(routes_); }

std::vector<Named<session::ListenerTally>> Tallies::listeners() const { return list(listeners_); }

}  // namespace sluice::server
