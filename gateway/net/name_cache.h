// NameCache: names to addresses for one worker, for targets that clients name: a Resolver of its own, answers kept for
// seconds, one question for all who ask the same, everything bounded. Names of servers that the configuration names are
// resolved by upstream/names on the main loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/resolver.h"

namespace sluice::net {

class NameCache {
 public:
  // `servers` as for Resolver.
  explicit NameCache(event::Loop& loop, std::string servers = "");
  ~NameCache();  // nobody is called any more

  using Done = std::move_only_function<void(const Resolver::Answer&)>;
  // Calls back on this loop, at once for what is known; with no addresses when too many names are being asked for.
  void resolve(const std::string& host, Done done);

 private:
  struct Entry {
    Resolver::Answer answer;  // its addresses have port 0
    Instant until{};
    std::vector<Done> waiting;  // not empty: being asked for
  };
  void answered(const std::string& host, Resolver::Answer answer);
  bool make_room();

  event::Loop& loop_;
  std::string servers_;
  std::unique_ptr<Resolver> resolver_;  // once there is a question
  std::unordered_map<std::string, Entry> entries_;
  std::size_t asked_ = 0;
};

}  // namespace sluice::net
