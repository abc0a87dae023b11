// Limiter: rates by GCRA and counts of concurrent units, per key, in a bounded table, with time as an argument.
//
// A Rate is the arithmetic (one bucket); a Limiter is the table of one [rate_limit.NAME], shared by all workers and kept
// over reloads by its name; a Bucket is a handle to one key's entry, held by a Session for as long as it needs it, so
// that the path pays no lookup. Limits of one key hold across workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/answer.h"
#include "base/bytes.h"
#include "base/time.h"

namespace sluice::policy {

struct LimitSettings {
  enum class Key : std::uint8_t { connection, ip, claim, route, listener };
  enum class Unit : std::uint8_t { handshakes, requests, connections, messages, bytes };
  enum class Action : std::uint8_t { delay, drop, close, reject };
  std::string name;
  Key key = Key::ip;
  std::string claim;            // for Key::claim
  Unit unit = Unit::messages;
  std::uint64_t rate = 0;       // units per `per`
  Duration per = std::chrono::seconds(1);
  std::uint64_t burst = 0;      // units; 0: one second of rate, at least 1
  std::uint64_t limit = 0;      // for Unit::connections
  Action on_limit = Action::delay;
  std::uint16_t close_code = 1008;
  std::size_t table = 100'000;  // keys that are remembered
  friend bool operator==(const LimitSettings&, const LimitSettings&) = default;
};

// GCRA (ITU-T I.371): the emission interval as 128-bit fixed point (64 fractional bits of a nanosecond), so that one byte
// at 100 GiB/s is exact to 2^-64 ns. Not thread-safe by itself.
class Rate {
 public:
  Rate() = default;
  Rate(std::uint64_t rate, Duration per, std::uint64_t burst);

  // State of one key; zero-initialised is "never used".
  struct State {
    unsigned __int128 tat = 0;  // theoretical arrival time, ns since the clock's zero, 64 fractional bits
  };

  // Takes `units` if they conform (all of them fit under the burst); returns zero, else how long until they would (more
  // than the burst never do). Every wait that a Rate returns is a year at most, so that now + wait cannot overflow.
  Duration take(State& state, std::uint64_t units, Instant now) const;
  // delay and close: admits when the bucket is not in debt (TAT <= now + tolerance of the burst: one unit of it is left;
  // with a burst of 1 that is TAT <= now), then owes all `units` however many they are; returns zero when admitted, else
  // how long until it would be.
  Duration owe(State& state, std::uint64_t units, Instant now) const;
  // Undoes a take() of so many units.
  void give_back(State& state, std::uint64_t units) const;
  // Adds units to what is owed without asking (payload of a message that was admitted before).
  void charge(State& state, std::uint64_t units, Instant now) const;
  // How long until the bucket is out of debt; zero when it is.
  Duration debt(const State& state, Instant now) const;

 private:
  unsigned __int128 interval_ = 0;   // ns per unit, 64 fractional bits
  unsigned __int128 tolerance_ = 0;  // burst in time
};

class Limiter;

// Handle to one key's entry; movable; gives the entry back when destroyed. Usable from the thread that holds it; several
// threads may hold handles to the same key. Empty by default (allows everything).
class Bucket {
 public:
  Bucket() = default;
  Bucket(Bucket&& other) noexcept;
  Bucket& operator=(Bucket&& other) noexcept;
  ~Bucket();

  explicit operator bool() const { return entry_ != nullptr; }
  Duration take(std::uint64_t units, Instant now);
  Duration owe(std::uint64_t units, Instant now);
  void charge(std::uint64_t units, Instant now);
  void give_back(std::uint64_t units);
  Duration debt(Instant now);

 private:
  friend class Limiter;
  template <typename Act>
  auto locked(Act&& act);
  Limiter* limiter_ = nullptr;
  void* entry_ = nullptr;
};

// RAII unit of a concurrency limit. Movable; gives the unit back when destroyed.
class Permit {
 public:
  Permit() = default;
  Permit(Permit&& other) noexcept;
  Permit& operator=(Permit&& other) noexcept;
  ~Permit();
  explicit operator bool() const { return entry_ != nullptr; }

 private:
  friend class Limiter;
  Limiter* limiter_ = nullptr;
  void* entry_ = nullptr;
};

// Thread-safe (sharded, short critical sections). Outlives every Bucket and Permit that it gave.
class Limiter {
 public:
  explicit Limiter(LimitSettings settings);
  ~Limiter();
  // As of the last update. The reference stays good, with what it held, for as long as the Limiter lives.
  const LimitSettings& settings() const;
  // New numbers after a reload; what is owed stays owed. Key, unit and table stay as they were made.
  void update(const LimitSettings& settings);

  // The entry of a key (octets: an address prefix, a claim's text, a route's name), made when new. When the table is full
  // an idle entry is evicted; when none is idle the handle is empty (everything is allowed) and overflows() counts it.
  Bucket bucket(Bytes key, Instant now);
  // For handshakes: take one unit without holding a handle. Zero = admitted, else how long to wait (Retry-After).
  Duration take(Bytes key, std::uint64_t units, Instant now);
  // For connections: false in `granted` when the limit is reached.
  Permit acquire(Bytes key, Instant now, bool& granted);

  std::uint64_t overflows() const { return overflows_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  void count_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  // Of handshakes and connections; messages that pass are counted by their route, without a line that all workers share.
  std::uint64_t allowed() const { return allowed_.load(std::memory_order_relaxed); }
  void count_allowed() { allowed_.fetch_add(1, std::memory_order_relaxed); }
  std::size_t size() const;

 private:
  friend class Bucket;
  friend class Permit;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::atomic<std::uint64_t> overflows_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> allowed_{0};
};

}  // namespace sluice::policy
