#include "policy/seen.h"

namespace sluice::policy {

void Seen::drop_first() {
  keys_.erase(ends_.begin()->second);
  ends_.erase(ends_.begin());
}

bool Seen::add(const Key& key, WallTime end, WallTime now) {
  const std::lock_guard lock(mutex_);
  while (!ends_.empty() && ends_.begin()->first <= now) drop_first();
  if (keys_.contains(key)) return false;
  if (keys_.size() >= most_) drop_first();
  keys_.emplace(key, ends_.emplace(end, key));
  return true;
}

void Seen::remove(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(key);
  if (found == keys_.end()) return;
  ends_.erase(found->second);
  keys_.erase(found);
}

std::size_t Seen::size() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

}  // namespace sluice::policy
