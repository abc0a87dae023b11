// The arithmetic of Rate. Times are nanoseconds with 64 fractional bits in 128; what would not fit saturates.
#include <algorithm>

#include "policy/limiter.h"

namespace sluice::policy {
namespace {

using Fixed = unsigned __int128;

constexpr int kFraction = 64;
constexpr Fixed kMost = ~Fixed{0} >> 1;  // half the range: the sum of two never overflows
constexpr Duration kLongestWait = std::chrono::hours(24 * 365);

Fixed fixed(Duration duration) {
  return static_cast<Fixed>(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)))
         << kFraction;
}

Fixed fixed(Instant now) { return fixed(now.time_since_epoch()); }

Fixed times(Fixed interval, std::uint64_t units) {
  // The usual case costs two multiplications: the product stays under 2^127.
  if (interval < Fixed{1} << 95 && units < std::uint64_t{1} << 32) [[likely]] return interval * units;
  Fixed product = 0;
  if (__builtin_mul_overflow(interval, static_cast<Fixed>(units), &product)) return kMost;
  return std::min(product, kMost);
}

Fixed plus(Fixed a, Fixed b) { return std::min(a + b, kMost); }  // both are at most kMost

// Rounded up: whoever waits so long and asks again is admitted.
Duration wait(Fixed from, Fixed until) {
  if (until <= from) return Duration::zero();
  const Fixed longest = fixed(kLongestWait);
  if (until - from >= longest) return kLongestWait;
  return Duration(static_cast<std::int64_t>((until - from + ((Fixed{1} << kFraction) - 1)) >> kFraction));
}

}  // namespace

Rate::Rate(std::uint64_t rate, Duration per, std::uint64_t burst) {
  const std::uint64_t period = static_cast<std::uint64_t>(std::max<std::int64_t>(per.count(), 1));
  interval_ = rate == 0 ? kMost : std::min((static_cast<Fixed>(period) << kFraction) / rate, kMost);
  if (burst == 0) {
    const Fixed second = static_cast<Fixed>(rate) * 1'000'000'000 / period;
    burst = second == 0 ? 1 : static_cast<std::uint64_t>(std::min<Fixed>(second, ~std::uint64_t{0}));
  }
  tolerance_ = times(interval_, burst);
}

Duration Rate::take(State& state, std::uint64_t units, Instant now) const {
  const Fixed present = fixed(now);
  const Fixed after = plus(std::max(state.tat, present), times(interval_, units));
  const Fixed horizon = plus(present, tolerance_);
  if (after <= horizon) {
    state.tat = after;
    return Duration::zero();
  }
  return times(interval_, units) > tolerance_ ? kLongestWait : wait(horizon, after);
}

void Rate::give_back(State& state, std::uint64_t units) const {
  state.tat -= std::min(state.tat, times(interval_, units));
}

Duration Rate::owe(State& state, std::uint64_t units, Instant now) const {
  const Duration until = debt(state, now);
  if (until == Duration::zero()) charge(state, units, now);
  return until;
}

void Rate::charge(State& state, std::uint64_t units, Instant now) const {
  state.tat = plus(std::max(state.tat, fixed(now)), times(interval_, units));
}

Duration Rate::debt(const State& state, Instant now) const {
  // One unit of the burst must be left: tat + interval <= now + burst * interval.
  return wait(plus(fixed(now), tolerance_ - std::min(interval_, tolerance_)), state.tat);
}

}  // namespace sluice::policy
