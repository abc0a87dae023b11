#include "policy/unknown_keys.h"

#include "base/hash.h"

namespace sluice::policy {

void UnknownKeys::add(std::string_view id, Instant now) {
  while (!order_.empty() && (until_.size() >= kMost || until_.at(order_.front()) <= now)) {
    until_.erase(order_.front());
    order_.pop_front();
  }
  const std::uint64_t hash = hash64(id, seed_);
  if (until_.emplace(hash, now + kLife).second) order_.push_back(hash);
}

bool UnknownKeys::holds(std::string_view id, Instant now) const {
  const auto found = until_.find(hash64(id, seed_));
  return found != until_.end() && now < found->second;
}

}  // namespace sluice::policy
