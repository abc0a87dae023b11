// KeySchedule: when one source of keys is to be asked, and how old what it last said is. Sans I/O: time is an argument,
// who fetches tells it how that went. One thread.
//
//              due ──began──▶ under way ──succeeded──▶ due again at 50 to 90 % of the answer's life
//               ▲                 └───────failed─────▶ due again after a pause that grows
//               └── want: a key id was met that the set lacks: due at once, but so only once in 30 s
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace sluice::policy {

class KeySchedule {
 public:
  static constexpr Duration kFloor = std::chrono::seconds(60);      // between two regular fetches
  static constexpr Duration kCeiling = std::chrono::hours(1);       // a longer life counts as this
  static constexpr Duration kUnsaid = std::chrono::minutes(10);     // the life of an answer that says none
  static constexpr Duration kWantedEvery = std::chrono::seconds(30);
  static constexpr Duration kFirstPause = std::chrono::seconds(1);  // after a failure; it doubles
  static constexpr Duration kLastPause = std::chrono::seconds(30);

  // Of a source that was never asked: due at once.
  explicit KeySchedule(Instant now) : since_(now), due_(now) {}

  // kNever while a fetch is under way.
  Instant due() const { return under_way_ ? kNever : due_; }
  bool under_way() const { return under_way_; }

  // The one fetch that is under way at a time has begun, and how it ended. `life`: for how long its answer may be used
  // (http/freshness), nullopt when it does not say. A source that says that nothing has changed has succeeded, too.
  void began(Instant now);
  void succeeded(Instant now, std::optional<Duration> life);
  void failed(Instant now);

  // A key is wanted that the set does not hold. A fetch under way answers this, too; otherwise due() may have moved.
  void want(Instant now);
  // Whatever is known of the source is to be confirmed: due at once.
  void hurry(Instant now);

  // Something was had from it.
  bool loaded() const { return loaded_; }
  // Since the last success; before the first: since the beginning.
  Duration age(Instant now) const { return now - since_; }
  // When what was had last is too old to be used.
  Instant stale_at(Duration most) const { return since_ + most; }
  std::uint32_t failures() const { return failures_; }  // since the last success

 private:
  Instant since_;
  Instant due_;
  std::optional<Instant> wanted_;  // when the last fetch began that somebody wanted
  bool for_want_ = false;          // the next one is such a fetch
  bool under_way_ = false;
  bool loaded_ = false;
  std::uint32_t failures_ = 0;
};

}  // namespace sluice::policy
