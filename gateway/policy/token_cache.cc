#include "policy/token_cache.h"

namespace sluice::policy {

const Identity* TokenCache::find(const net::Sha256& digest, std::uint64_t generation, WallTime now) {
  if (generation != generation_) {
    by_digest_.clear();
    entries_.clear();
    taken_ = 0;
    generation_ = generation;
  }
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return nullptr;
  const auto entry = found->second;
  if (now >= entry->end) {
    drop(entry);
    return nullptr;
  }
  if (now < entry->checked) return nullptr;
  entries_.splice(entries_.begin(), entries_, entry);
  return &entry->identity;
}

void TokenCache::keep(const net::Sha256& digest, std::size_t size, const Identity& identity, WallTime now, WallTime end) {
  if (const auto found = by_digest_.find(digest); found != by_digest_.end()) drop(found->second);
  if (now >= end || size > room_) return;
  while (taken_ + size > room_) drop(std::prev(entries_.end()));
  entries_.push_front({digest, size, identity, now, end});
  by_digest_.emplace(digest, entries_.begin());
  taken_ += size;
}

void TokenCache::drop(std::list<Entry>::iterator entry) {
  taken_ -= entry->size;
  by_digest_.erase(entry->digest);
  entries_.erase(entry);
}

}  // namespace sluice::policy
