#include "net/name_cache.h"

#include <algorithm>
#include <utility>

namespace sluice::net {

namespace {

constexpr Duration kMostKept = std::chrono::seconds(10);
constexpr std::size_t kMostEntries = 1024;
constexpr std::size_t kMostAsked = 256;

}  // namespace

NameCache::NameCache(event::Loop& loop, std::string servers) : loop_(loop), servers_(std::move(servers)) {}
NameCache::~NameCache() = default;

void NameCache::resolve(const std::string& host, Done done) {
  const auto known = entries_.find(host);
  if (known != entries_.end()) {
    if (!known->second.waiting.empty()) {
      known->second.waiting.push_back(std::move(done));
      return;
    }
    if (loop_.now() < known->second.until) return done(known->second.answer);
    entries_.erase(known);
  }
  if (asked_ >= kMostAsked || !make_room()) {
    Resolver::Answer none;
    none.result = Lookup::failed;
    none.error = "too many names are being resolved";
    return done(none);
  }
  entries_[host].waiting.push_back(std::move(done));
  ++asked_;
  if (!resolver_) resolver_ = std::make_unique<Resolver>(loop_, servers_);
  resolver_->resolve(host, 0, [this, host](Resolver::Answer answer) { answered(host, std::move(answer)); });
}

void NameCache::answered(const std::string& host, Resolver::Answer answer) {
  --asked_;
  Entry& entry = entries_[host];
  entry.until = loop_.now() + std::min(answer.ttl, kMostKept);
  entry.answer = std::move(answer);
  // Who is called may ask again, which may move the table.
  std::vector<Done> waiting = std::exchange(entry.waiting, {});
  const Resolver::Answer kept = entry.answer;
  for (Done& done : waiting) done(kept);
}

// False when every entry is being asked for.
bool NameCache::make_room() {
  if (entries_.size() < kMostEntries) return true;
  std::erase_if(entries_, [now = loop_.now()](const auto& entry) {
    return entry.second.waiting.empty() && entry.second.until <= now;
  });
  if (entries_.size() < kMostEntries) return true;
  const auto idle = std::ranges::find_if(entries_, [](const auto& entry) { return entry.second.waiting.empty(); });
  if (idle == entries_.end()) return false;
  entries_.erase(idle);
  return true;
}

}  // namespace sluice::net
