// UnknownKeys: key ids that were asked for and not found, for a while, so that asking for each of them again costs nothing. Of
// one worker and one [auth]; bounded: where there is no room the oldest is forgotten. Ids are kept as seeded hashes.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_map>

#include "base/random.h"
#include "base/time.h"

namespace sluice::policy {

class UnknownKeys {
 public:
  static constexpr Duration kLife = std::chrono::seconds(30);
  static constexpr std::size_t kMost = 1024;

  void add(std::string_view id, Instant now);
  bool holds(std::string_view id, Instant now) const;
  std::size_t size() const { return until_.size(); }

 private:
  std::uint64_t seed_ = random_u64();  // whoever sends ids cannot choose their places
  std::unordered_map<std::uint64_t, Instant> until_;
  std::deque<std::uint64_t> order_;  // oldest first: all live equally long
};

}  // namespace sluice::policy
