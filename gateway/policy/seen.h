// Seen: what was good once and is not to be good again until its end: the ids of tokens that may be used one time. Of one
// process, shared by its workers, and kept over reloads.
#pragma once

#include <map>
#include <mutex>
#include <unordered_map>

#include "base/bytes.h"
#include "base/time.h"
#include "net/crypto.h"

namespace sluice::policy {

class Seen {
 public:
  using Key = net::Sha256;  // of what names it
  static constexpr std::size_t kMost = 100'000;

  explicit Seen(std::size_t most = kMost) : most_(most) {}

  // From any thread. False: it was added before, and its end has not come. A full table forgets what ends first.
  bool add(const Key& key, WallTime end, WallTime now);
  // It was not used after all.
  void remove(const Key& key);
  std::size_t size() const;

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return load_be<std::size_t>(key.data()); }
  };
  using Ends = std::multimap<WallTime, Key>;

  void drop_first();

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<Key, Ends::iterator, KeyHash> keys_;
  Ends ends_;
};

}  // namespace sluice::policy
