// Tallies: where counters live, by name, for the life of the process: a reload that keeps a name keeps what
// was counted. Each worker writes copies of its own (base/counters.h); a scrape on the main thread reads all
// of them and sums.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "session/tally.h"

namespace sluice::server {

// One counted thing with the copies of the workers that have met it.
template <typename Tally>
struct Named {
  std::string name;
  std::vector<const Tally*> copies;
};

class Tallies {
 public:
  explicit Tallies(unsigned workers);
  Tallies(const Tallies&) = delete;
  Tallies& operator=(const Tallies&) = delete;

  // The worker's own copy, made when new; never freed, but for servers. From any thread; what it refers to is written by
  // its worker only.
  session::WorkerTally& worker(unsigned index);
  session::RouteTally& route(unsigned worker, const std::string& name);
  session::ListenerTally& listener(unsigned worker, const std::string& name);
  session::RuleTally& rule(unsigned worker, const std::string& route, const std::string& name);
  std::shared_ptr<session::ServerTally> server(unsigned worker, const std::string& backend, const std::string& url);

  // Drops what was counted of servers that nobody holds a copy of and `keep` does not hold, by server_name: names lead
  // to ever new ones.
  void forget_servers(const std::set<std::string>& keep);
  static std::string server_name(const std::string& backend, const std::string& url);

  // Connections of one listener now, over all workers. From any thread.
  std::uint64_t connections(const std::string& listener) const;

  // For the scrape, sorted by name.
  std::vector<const session::WorkerTally*> workers() const;
  std::vector<Named<session::RouteTally>> routes() const;
  std::vector<Named<session::ListenerTally>> listeners() const;
  // A rule's name is its route, a line break and its own.
  std::vector<Named<session::RuleTally>> rules() const;
  // The copies of one server.
  std::vector<const session::ServerTally*> server(const std::string& backend, const std::string& url) const;

 private:
  // On cache lines of its own: two workers never write to one line.
  template <typename Tally>
  struct alignas(64) Copy {
    Tally tally;
  };
  // One slot a worker, empty until it asks.
  template <typename Tally>
  using Copies = std::map<std::string, std::vector<std::shared_ptr<Copy<Tally>>>, std::less<>>;

  // Under the lock.
  template <typename Tally>
  const std::shared_ptr<Copy<Tally>>& copy(Copies<Tally>& all, unsigned worker, const std::string& name);
  template <typename Tally>
  std::vector<Named<Tally>> list(const Copies<Tally>& all) const;

  std::vector<std::unique_ptr<Copy<session::WorkerTally>>> workers_;
  mutable std::mutex mutex_;  // of the tables; counting itself needs none
  Copies<session::RouteTally> routes_;
  Copies<session::ListenerTally> listeners_;
  Copies<session::ServerTally> servers_;  // by server_name
  Copies<session::RuleTally> rules_;  // by route, line break, name
};

}  // namespace sluice::server
