#include "policy/limiter.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "net/crypto.h"

namespace sluice::policy {
namespace {

constexpr std::size_t kShards = 32;
constexpr std::size_t kOneShardBelow = 4096;  // keys: a small table is searched for idle entries as a whole
constexpr std::size_t kMaxKey = 64;           // octets that are kept as they are
// Entries that one insertion looks at, so that a flood of fresh keys costs each of them a bounded time.
constexpr std::size_t kTidied = 2;      // always: what is idle goes, full or not
constexpr std::size_t kSearched = 64;   // when the table is full, in the key's own shard
constexpr std::size_t kNeighbours = 4;  // and then in so many others

// A key as it is stored: a tag, and the octets or, of a long key, their digest. The tag keeps the two kinds
// apart.
class StoredKey {
 public:
  explicit StoredKey(Bytes key) {
    if (key.size() <= kMaxKey) {
      octets_[0] = 0;
      std::copy(key.begin(), key.end(), octets_.begin() + 1);
      size_ = key.size() + 1;
    } else {
      octets_[0] = 1;
      const net::Sha256 digest = net::sha256(key);
      std::copy(digest.begin(), digest.end(), octets_.begin() + 1);
      size_ = digest.size() + 1;
    }
  }
  std::string_view text() const { return as_text(Bytes(octets_).first(size_)); }

 private:
  std::array<std::uint8_t, kMaxKey + 1> octets_;
  std::size_t size_;
};

// One key. `users` (handles and permits) grows only under the shard's lock and shrinks without it: zero under
// that lock means that nobody can reach the entry but the owner of the lock.
struct Entry {
  explicit Entry(std::string_view key_octets) : key(key_octets) {}
  const std::string key;
  std::size_t place = 0;  // in Shard::entries
  std::atomic<std::uint32_t> users{0};
  std::atomic<std::uint32_t> permits{0};
  std::atomic_flag busy = ATOMIC_FLAG_INIT;  // guards `state`
  Rate::State state;

  bool idle(unsigned __int128 now) const {
    return users.load(std::memory_order_acquire) == 0 && state.tat <= now;
  }
  void leave() { users.fetch_sub(1, std::memory_order_release); }
};

// Held for a few additions and comparisons: a futex would cost more than it guards.
class EntryLock {
 public:
  explicit EntryLock(Entry& entry) : entry_(entry) {
    for (int spins = 0; entry_.busy.test_and_set(std::memory_order_acquire); ++spins) {
      if (spins > 64) std::this_thread::yield();
    }
  }
  EntryLock(const EntryLock&) = delete;
  EntryLock& operator=(const EntryLock&) = delete;
  ~EntryLock() { entry_.busy.clear(std::memory_order_release); }

 private:
  Entry& entry_;
};

struct SeededHash {
  std::uint64_t seed = 0;
  std::size_t operator()(std::string_view key) const { return hash64(key, seed); }
};

struct Shard {
  mutable std::mutex lock;
  std::unordered_map<std::string_view, Entry*, SeededHash> by_key;  // views of Entry::key
  std::vector<std::unique_ptr<Entry>> entries;
  std::size_t hand = 0;  // where the search for idle entries goes on

  // Looks at up to `most` entries from the hand on and drops those that are idle, `wanted` of them at most.
  std::size_t evict(std::size_t most, std::size_t wanted, unsigned __int128 now) {
    std::size_t evicted = 0;
    most = std::min(most, entries.size());
    for (std::size_t i = 0; i < most && evicted < wanted; ++i) {
      if (hand >= entries.size()) hand = 0;
      if (!entries[hand]->idle(now)) {
        ++hand;
        continue;
      }
      by_key.erase(entries[hand]->key);
      std::swap(entries[hand], entries.back());
      entries[hand]->place = hand;
      entries.pop_back();
      ++evicted;
    }
    return evicted;
  }
};

unsigned __int128 fixed(Instant now) {
  return static_cast<unsigned __int128>(
             static_cast<std::uint64_t>(std::max<std::int64_t>(now.time_since_epoch().count(), 0)))
         << 64;
}

}  // namespace

struct Limiter::Impl {
  // What an update replaces. Readers take the pointer without a lock; what they may still look at is kept
  // until the end: a few octets for each reload that changed a number.
  struct Numbers {
    explicit Numbers(LimitSettings s)
        : settings(std::move(s)), rate(settings.rate, settings.per, settings.burst) {}
    LimitSettings settings;
    Rate rate;
  };

  explicit Impl(LimitSettings s)
      : seed(random_u64()),
        table(std::max<std::size_t>(s.table, 1)),
        shards(table < kOneShardBelow ? 1 : kShards) {
    for (Shard& shard : shards) shard.by_key = decltype(shard.by_key)(0, SeededHash{seed});
    replace(std::move(s));
  }
  void replace(LimitSettings s) {
    history.push_back(std::make_unique<const Numbers>(std::move(s)));
    numbers.store(history.back().get(), std::memory_order_release);
  }
  const Numbers& now_valid() const { return *numbers.load(std::memory_order_acquire); }

  Shard& shard_of(std::string_view key) { return shards[(hash64(key, seed) >> 32) % shards.size()]; }
  Entry* enter(Shard& shard, std::string_view key, Instant now);
  bool make_room(Shard& shard, Instant now);

  const std::uint64_t seed;
  const std::size_t table;
  std::vector<Shard> shards;
  std::atomic<std::size_t> size{0};
  std::atomic<const Numbers*> numbers{nullptr};
  std::mutex update_lock;
  std::vector<std::unique_ptr<const Numbers>> history;
};

// Called with the shard's lock held, when the table is full. Others are only tried: two threads that waited
// for each other's shard would never get it.
bool Limiter::Impl::make_room(Shard& shard, Instant now) {
  std::size_t evicted = shard.evict(kSearched, 1, fixed(now));
  const std::size_t own = static_cast<std::size_t>(&shard - shards.data());
  const std::size_t others = std::min(kNeighbours, shards.size() - 1);
  for (std::size_t i = 1; evicted == 0 && i <= others; ++i) {
    Shard& other = shards[(own + i) % shards.size()];
    const std::unique_lock lock(other.lock, std::try_to_lock);
    if (lock) evicted = other.evict(kSearched / kNeighbours, 1, fixed(now));
  }
  size.fetch_sub(evicted, std::memory_order_relaxed);
  return evicted != 0;
}

// The entry of a key, made when new; null when there is no room. Called with the shard's lock held.
Entry* Limiter::Impl::enter(Shard& shard, std::string_view key, Instant now) {
  if (const auto at = shard.by_key.find(key); at != shard.by_key.end()) return at->second;
  size.fetch_sub(shard.evict(kTidied, kTidied, fixed(now)), std::memory_order_relaxed);
  if (size.fetch_add(1, std::memory_order_relaxed) >= table && !make_room(shard, now)) {
    size.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  auto entry = std::make_unique<Entry>(key);
  entry->place = shard.entries.size();
  Entry* raw = entry.get();
  shard.by_key.emplace(raw->key, raw);
  shard.entries.push_back(std::move(entry));
  return raw;
}

Limiter::Limiter(LimitSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Limiter::~Limiter() = default;

const LimitSettings& Limiter::settings() const { return impl_->now_valid().settings; }

void Limiter::update(const LimitSettings& settings) {
  const std::lock_guard lock(impl_->update_lock);
  const LimitSettings& old = impl_->now_valid().settings;
  LimitSettings merged = settings;
  merged.name = old.name;
  merged.key = old.key;
  merged.claim = old.claim;
  merged.unit = old.unit;
  merged.table = old.table;
  if (merged != old) impl_->replace(std::move(merged));
}

Bucket Limiter::bucket(Bytes key, Instant now) {
  const StoredKey stored(key);
  Shard& shard = impl_->shard_of(stored.text());
  Bucket bucket;
  const std::lock_guard lock(shard.lock);
  if (Entry* entry = impl_->enter(shard, stored.text(), now)) {
    entry->users.fetch_add(1, std::memory_order_relaxed);
    bucket.limiter_ = this;
    bucket.entry_ = entry;
  } else {
    overflows_.fetch_add(1, std::memory_order_relaxed);
  }
  return bucket;
}

Duration Limiter::take(Bytes key, std::uint64_t units, Instant now) {
  const StoredKey stored(key);
  Shard& shard = impl_->shard_of(stored.text());
  const std::lock_guard lock(shard.lock);
  Entry* entry = impl_->enter(shard, stored.text(), now);
  if (!entry) {
    overflows_.fetch_add(1, std::memory_order_relaxed);
    return Duration::zero();
  }
  const EntryLock entry_lock(*entry);
  return impl_->now_valid().rate.take(entry->state, units, now);
}

Permit Limiter::acquire(Bytes key, Instant now, bool& granted) {
  const StoredKey stored(key);
  Shard& shard = impl_->shard_of(stored.text());
  Permit permit;
  const std::lock_guard lock(shard.lock);
  Entry* entry = impl_->enter(shard, stored.text(), now);
  if (!entry) {
    overflows_.fetch_add(1, std::memory_order_relaxed);
    granted = true;
    return permit;
  }
  // Permits are taken only under the shard's lock: what is below the limit now can only sink before the next
  // line.
  granted = entry->permits.load(std::memory_order_relaxed) < impl_->now_valid().settings.limit;
  if (granted) {
    entry->permits.fetch_add(1, std::memory_order_relaxed);
    entry->users.fetch_add(1, std::memory_order_relaxed);
    permit.limiter_ = this;
    permit.entry_ = entry;
  }
  return permit;
}

std::size_t Limiter::size() const { return impl_->size.load(std::memory_order_relaxed); }

Bucket::Bucket(Bucket&& other) noexcept
    : limiter_(std::exchange(other.limiter_, nullptr)), entry_(std::exchange(other.entry_, nullptr)) {}

Bucket& Bucket::operator=(Bucket&& other) noexcept {
  Bucket taken(std::move(other));
  std::swap(limiter_, taken.limiter_);
  std::swap(entry_, taken.entry_);
  return *this;  // `taken` gives back what this held until now
}

Bucket::~Bucket() {
  if (entry_) static_cast<Entry*>(entry_)->leave();
}

// Calls act(rate in force, state) while nobody else touches the state.
template <typename Act>
auto Bucket::locked(Act&& act) {
  Entry& entry = *static_cast<Entry*>(entry_);
  const Rate& rate = limiter_->impl_->now_valid().rate;
  const EntryLock lock(entry);
  return act(rate, entry.state);
}

Duration Bucket::take(std::uint64_t units, Instant now) {
  if (!entry_) return Duration::zero();
  return locked([&](const Rate& rate, Rate::State& state) { return rate.take(state, units, now); });
}

Duration Bucket::owe(std::uint64_t units, Instant now) {
  if (!entry_) return Duration::zero();
  return locked([&](const Rate& rate, Rate::State& state) { return rate.owe(state, units, now); });
}

void Bucket::charge(std::uint64_t units, Instant now) {
  if (entry_) locked([&](const Rate& rate, Rate::State& state) { rate.charge(state, units, now); });
}

void Bucket::give_back(std::uint64_t units) {
  if (entry_) locked([&](const Rate& rate, Rate::State& state) { rate.give_back(state, units); });
}

Duration Bucket::debt(Instant now) {
  if (!entry_) return Duration::zero();
  return locked([&](const Rate& rate, const Rate::State& state) { return rate.debt(state, now); });
}

Permit::Permit(Permit&& other) noexcept
    : limiter_(std::exchange(other.limiter_, nullptr)), entry_(std::exchange(other.entry_, nullptr)) {}

Permit& Permit::operator=(Permit&& other) noexcept {
  Permit taken(std::move(other));
  std::swap(limiter_, taken.limiter_);
  std::swap(entry_, taken.entry_);
  return *this;  // `taken` gives back what this held until now
}

Permit::~Permit() {
  if (!entry_) return;
  Entry& entry = *static_cast<Entry*>(entry_);
  entry.permits.fetch_sub(1, std::memory_order_relaxed);
  entry.leave();
}

}  // namespace sluice::policy
