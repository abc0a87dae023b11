// Breaker: whether it is worth trying at all. Closed: everybody may; open: nobody, for a while; half open: a few try for the
// others. Any thread; settings come with each call, so that a reload changes them.
//
//     closed ── too many failures ──▶ open ── its time is over ──▶ half open ── all probes went well ──▶ closed
//                                       ▲─────────── one did not ────────┘
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/time.h"

namespace sluice {

struct BreakerSettings {
  bool enabled = false;
  std::uint32_t failures = 10;  // in a row; 0 = only the rate counts
  std::uint32_t percent = 50;   // failures of all attempts within the window; 0 = only failures in a row count
  std::uint32_t attempts = 20;  // within the window, below which the rate says nothing
  Duration window = std::chrono::seconds(10);
  Duration open = std::chrono::seconds(10);
  std::uint32_t probes = 3;
};

class Breaker {
 public:
  enum class State : std::uint8_t { closed, half_open, open };
  static constexpr std::array<std::string_view, 3> kStateNames{"closed", "half_open", "open"};

  // Whether an attempt may begin. Half open it takes one of the probes: the attempt is to be reported.
  bool allow(const BreakerSettings& settings, Instant now);
  // How an attempt went. True when that opened it.
  bool report(const BreakerSettings& settings, bool success, Instant now);
  // An open one whose time is over counts as half open.
  State state(const BreakerSettings& settings, Instant now) const;
  // When it gives (further) probes by itself; kNever while it is closed.
  Instant retry_at(const BreakerSettings& settings) const;

 private:
  struct Slice {
    std::int64_t number = -1;  // which slice of all time
    std::uint32_t good = 0;
    std::uint32_t bad = 0;
  };
  static constexpr std::int64_t kSlices = 10;  // of the window
  bool too_many(const BreakerSettings& settings, bool success, Instant now);
  void begin(State state, Instant now);

  std::atomic<State> state_{State::closed};  // written under the lock
  std::atomic<std::int64_t> since_{0};       // of the state at hand
  std::mutex mutex_;
  std::uint32_t in_row_ = 0;
  std::uint32_t tried_ = 0;  // probes given out, and those that went well
  std::uint32_t passed_ = 0;
  std::array<Slice, kSlices> slices_{};
};

}  // namespace sluice
