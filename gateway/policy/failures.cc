#include "policy/failures.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/random.h"

namespace sluice::policy {
namespace {

constexpr std::size_t kShards = 16;
constexpr std::size_t kOneShardBelow = 4096;  // addresses: a small table forgets the oldest of all
constexpr std::size_t kTidied = 2;            // entries that one failure looks at, to drop those whose time is over

struct Entry {
  std::string address;
  Instant first;
  std::uint64_t failures;
};

struct SeededHash {
  std::uint64_t seed = 0;
  std::size_t operator()(std::string_view key) const { return hash64(key, seed); }
};

// Entries stand in the order of their first failures, so that what is over and what is oldest is in front.
struct Shard {
  mutable std::mutex lock;
  FailureLimit limit;
  std::list<Entry> entries;
  std::unordered_map<std::string_view, std::list<Entry>::iterator, SeededHash> by_address;  // views of Entry::address

  bool over(const Entry& entry, Instant now) const { return now - entry.first >= limit.per; }
  void drop(std::list<Entry>::iterator entry) {
    by_address.erase(entry->address);
    entries.erase(entry);
  }
};

}  // namespace

struct Failures::Impl {
  Impl(FailureLimit limit, std::size_t addresses)
      : seed(random_u64()), shards(addresses < kOneShardBelow ? 1 : kShards), room(std::max<std::size_t>(addresses / shards.size(), 1)) {
    for (Shard& shard : shards) {
      shard.limit = limit;
      shard.by_address = decltype(shard.by_address)(0, SeededHash{seed});
    }
  }
  Shard& shard_of(std::string_view address) { return shards[(hash64(address, seed) >> 32) % shards.size()]; }

  const std::uint64_t seed;
  std::vector<Shard> shards;
  const std::size_t room;  // of a shard
};

Failures::Failures(FailureLimit limit, std::size_t addresses) : impl_(std::make_unique<Impl>(limit, addresses)) {}
Failures::~Failures() = default;

Duration Failures::wait(const net::Address& client, Instant now) const {
  const std::string_view address = as_text(client.subscriber());
  const Shard& shard = impl_->shard_of(address);
  const std::lock_guard lock(shard.lock);
  const auto found = shard.by_address.find(address);
  if (found == shard.by_address.end() || shard.limit.count == 0) return Duration::zero();
  const Entry& entry = *found->second;
  if (entry.failures < shard.limit.count || shard.over(entry, now)) return Duration::zero();
  return shard.limit.per - (now - entry.first);
}

void Failures::count(const net::Address& client, Instant now) {
  const std::string_view address = as_text(client.subscriber());
  Shard& shard = impl_->shard_of(address);
  const std::lock_guard lock(shard.lock);
  if (shard.limit.count == 0) return;
  const auto found = shard.by_address.find(address);
  if (found != shard.by_address.end()) {
    if (!shard.over(*found->second, now)) {
      ++found->second->failures;
      return;
    }
    shard.drop(found->second);
  }
  for (std::size_t i = 0; i < kTidied && !shard.entries.empty() && shard.over(shard.entries.front(), now); ++i) {
    shard.drop(shard.entries.begin());
  }
  if (shard.entries.size() >= impl_->room) shard.drop(shard.entries.begin());
  shard.entries.push_back({std::string(address), now, 1});
  shard.by_address.emplace(shard.entries.back().address, std::prev(shard.entries.end()));
}

void Failures::update(FailureLimit limit) {
  for (Shard& shard : impl_->shards) {
    const std::lock_guard lock(shard.lock);
    shard.limit = limit;
  }
}

std::size_t Failures::size() const {
  std::size_t sum = 0;
  for (const Shard& shard : impl_->shards) {
    const std::lock_guard lock(shard.lock);
    sum += shard.entries.size();
  }
  return sum;
}

}  // namespace sluice::policy
