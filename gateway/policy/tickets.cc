#include "policy/tickets.h"

#include <utility>

namespace sluice::policy {

std::unique_ptr<TicketStore::Question> Tickets::put(const Key& key, std::string record, Duration ttl, Instant now, Kept done) {
  const bool kept = keep(key, std::move(record), now + ttl, now);
  done(kept ? Result<void>() : fail(Errc::auth_unavailable, Side::gateway, "as many tickets are out as there may be"));
  return nullptr;
}

std::unique_ptr<TicketStore::Question> Tickets::take(const Key& key, Instant now, Taken done) {
  done(find(key, now));
  return nullptr;
}

std::size_t Tickets::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void Tickets::drop(Entries::iterator entry) {
  taken_ -= entry->second.record.size();
  ends_.erase(entry->second.end);
  entries_.erase(entry);
}

bool Tickets::keep(const Key& key, std::string record, Instant end, Instant now) {
  const std::lock_guard lock(mutex_);
  while (!ends_.empty() && ends_.begin()->first <= now) drop(entries_.find(ends_.begin()->second));
  if (entries_.size() >= most_ || record.size() > octets_ - taken_) return false;
  // 256 random bits do not come twice; should a key all the same, its first ticket stays what it was.
  const auto [entry, fresh] = entries_.try_emplace(key, Entry{});
  if (!fresh) return false;
  taken_ += record.size();
  entry->second = {std::move(record), ends_.emplace(end, key)};
  return true;
}

std::optional<std::string> Tickets::find(const Key& key, Instant now) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return std::nullopt;
  const bool late = entry->second.end->first <= now;
  std::optional<std::string> record;
  if (!late) record = entry->second.record;
  drop(entry);
  return record;
}

}  // namespace sluice::policy
