#include "policy/key_schedule.h"

#include <algorithm>

#include "base/random.h"
#include "base/result.h"

namespace sluice::policy {

namespace {

// A random share of `whole`, so that many gateways do not ask in step.
Duration share(Duration whole, std::int64_t least_percent, std::int64_t most_percent) {
  const auto spread = static_cast<std::uint64_t>(most_percent - least_percent);
  return whole / 100 * least_percent + Duration(static_cast<std::int64_t>(random_below(
                                           static_cast<std::uint64_t>((whole / 100).count()) * spread + 1)));
}

}  // namespace

void KeySchedule::began(Instant now) {
  check(!under_way_, "two fetches of one source of keys");
  under_way_ = true;
  if (for_want_) wanted_ = now;
  for_want_ = false;
}

void KeySchedule::succeeded(Instant now, std::optional<Duration> life) {
  under_way_ = false;
  loaded_ = true;
  failures_ = 0;
  since_ = now;
  const Duration ahead = share(std::min(life.value_or(kUnsaid), kCeiling), 50, 90);
  due_ = now + std::max(ahead, share(kFloor, 100, 110));
}

void KeySchedule::failed(Instant now) {
  under_way_ = false;
  Duration pause = kFirstPause;
  for (std::uint32_t i = 0; i < failures_ && pause < kLastPause; ++i) pause *= 2;
  ++failures_;
  due_ = now + share(std::min(pause, kLastPause), 80, 100);
}

void KeySchedule::want(Instant now) {
  if (under_way_) return;
  const Instant soonest = wanted_ ? std::max(now, *wanted_ + kWantedEvery) : now;
  // One that is due by itself before serves as well.
  for_want_ = true;
  due_ = std::min(due_, soonest);
}

void KeySchedule::hurry(Instant now) { due_ = std::min(due_, now); }

}  // namespace sluice::policy
