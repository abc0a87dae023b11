#include "base/breaker.h"

#include <algorithm>

namespace sluice {

namespace {

Instant instant(std::int64_t since) { return Instant(Duration(since)); }

}  // namespace

bool Breaker::allow(const BreakerSettings& settings, Instant now) {
  if (!settings.enabled || state_.load(std::memory_order_relaxed) == State::closed) return true;
  const std::lock_guard lock(mutex_);
  if (state_ == State::closed) return true;
  // Probes that nobody reported (their clients went away) are given out again after the same time.
  if (now - instant(since_) >= settings.open && (state_ == State::open || tried_ >= settings.probes)) {
    begin(State::half_open, now);
  }
  if (state_ == State::open || tried_ >= settings.probes) return false;
  ++tried_;
  return true;
}

bool Breaker::report(const BreakerSettings& settings, bool success, Instant now) {
  if (!settings.enabled) return false;
  const std::lock_guard lock(mutex_);
  switch (state_.load()) {
    case State::closed:
      if (!too_many(settings, success, now)) return false;
      begin(State::open, now);
      return true;
    case State::half_open:
      if (!success) {
        begin(State::open, now);
        return true;
      }
      if (++passed_ >= settings.probes) begin(State::closed, now);
      return false;
    case State::open: return false;  // begun before it opened
  }
  return false;
}

bool Breaker::too_many(const BreakerSettings& settings, bool success, Instant now) {
  in_row_ = success ? 0 : in_row_ + 1;
  if (settings.failures != 0 && in_row_ >= settings.failures) return true;
  const Duration length = std::max<Duration>(settings.window / kSlices, Duration(1));
  const std::int64_t number = now.time_since_epoch() / length;
  Slice& slice = slices_[static_cast<std::size_t>(number % kSlices)];
  if (slice.number != number) slice = {number, 0, 0};
  ++(success ? slice.good : slice.bad);
  if (success || settings.percent == 0) return false;
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  for (const Slice& one : slices_) {
    if (one.number <= number - kSlices || one.number > number) continue;
    good += one.good;
    bad += one.bad;
  }
  return good + bad >= settings.attempts && bad * 100 >= (good + bad) * settings.percent;
}

void Breaker::begin(State state, Instant now) {
  state_.store(state);
  since_.store(now.time_since_epoch().count());
  in_row_ = tried_ = passed_ = 0;
  if (state == State::closed) slices_ = {};
}

Breaker::State Breaker::state(const BreakerSettings& settings, Instant now) const {
  if (!settings.enabled) return State::closed;
  const State state = state_.load();
  return state == State::open && now - instant(since_) >= settings.open ? State::half_open : state;
}

Instant Breaker::retry_at(const BreakerSettings& settings) const {
  if (!settings.enabled || state_.load() == State::closed) return kNever;
  return instant(since_) + settings.open;
}

}  // namespace sluice
