#include "policy/key_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000s};
constexpr int kDraws = 500;  // of what is drawn at random

// What is drawn lies in [least, most], and not always at one place.
template <typename Draw>
void expect_between(Duration least, Duration most, Draw draw) {
  std::set<Duration> seen;
  for (int i = 0; i < kDraws; ++i) seen.insert(draw());
  EXPECT_GE(*seen.begin(), least);
  EXPECT_LE(*seen.rbegin(), most);
  EXPECT_GT(*seen.rbegin() - *seen.begin(), (most - least) / 2) << "they come in step";
}

// From a success with that life to the next fetch.
Duration next_after(std::optional<Duration> life) {
  KeySchedule schedule(kStart);
  schedule.began(kStart);
  schedule.succeeded(kStart, life);
  return schedule.due() - kStart;
}

KeySchedule loaded_at(Instant now, Duration life = 1h) {
  KeySchedule schedule(now);
  schedule.began(now);
  schedule.succeeded(now, life);
  return schedule;
}

TEST(KeySchedule, AsksANewSourceAtOnceAndOneTimeAtATime) {
  KeySchedule schedule(kStart);
  EXPECT_EQ(schedule.due(), kStart);
  EXPECT_FALSE(schedule.loaded());
  schedule.began(kStart);
  EXPECT_TRUE(schedule.under_way());
  EXPECT_EQ(schedule.due(), kNever);
  schedule.succeeded(kStart + 1s, 10min);
  EXPECT_FALSE(schedule.under_way());
  EXPECT_TRUE(schedule.loaded());
}

TEST(KeySchedule, AsksAgainAheadOfTheEndOfTheAnswersLife) {
  expect_between(500s, 900s, [] { return next_after(1000s); });
  expect_between(30min, 54min, [] { return next_after(1h); });
}

TEST(KeySchedule, TakesTenMinutesWhereTheAnswerSaysNothing) {
  expect_between(5min, 9min, [] { return next_after(std::nullopt); });
}

TEST(KeySchedule, AsksNeitherMoreOftenThanAMinuteNorMoreSeldomThanAnHour) {
  for (const Duration life : {Duration(0s), Duration(1s), Duration(60s)}) {
    expect_between(60s, 66s, [life] { return next_after(life); });
  }
  expect_between(30min, 54min, [] { return next_after(24h * 365); });
}

TEST(KeySchedule, PausesLongerAfterEachFailure) {
  const auto pause = [](int failures) {
    KeySchedule schedule(kStart);
    for (int i = 0; i < failures; ++i) {
      schedule.began(kStart);
      schedule.failed(kStart);
    }
    return schedule.due() - kStart;
  };
  expect_between(800ms, 1s, [&] { return pause(1); });
  expect_between(1600ms, 2s, [&] { return pause(2); });
  expect_between(12800ms, 16s, [&] { return pause(5); });
  expect_between(24s, 30s, [&] { return pause(6); });
  expect_between(24s, 30s, [&] { return pause(1000); });
}

TEST(KeySchedule, ForgetsItsFailuresOnceOneWentWell) {
  KeySchedule schedule(kStart);
  for (int i = 0; i < 8; ++i) {
    schedule.began(kStart);
    schedule.failed(kStart);
  }
  EXPECT_EQ(schedule.failures(), 8u);
  schedule.began(kStart);
  schedule.succeeded(kStart, 1h);
  EXPECT_EQ(schedule.failures(), 0u);
  schedule.began(kStart);
  schedule.failed(kStart);
  EXPECT_LE(schedule.due() - kStart, 1s);
}

TEST(KeySchedule, AFailureKeepsWhatWasHadAndItsAge) {
  KeySchedule schedule = loaded_at(kStart);
  schedule.began(kStart + 40min);
  schedule.failed(kStart + 40min);
  EXPECT_TRUE(schedule.loaded());
  EXPECT_EQ(schedule.age(kStart + 40min), Duration(40min));
  EXPECT_EQ(schedule.stale_at(24h), kStart + 24h);
  schedule.began(kStart + 41min);
  schedule.succeeded(kStart + 41min, 1h);
  EXPECT_EQ(schedule.age(kStart + 41min), Duration(0s)) << "an answer that nothing has changed renews it";
  EXPECT_EQ(schedule.stale_at(24h), kStart + 41min + 24h);
}

TEST(KeySchedule, CountsTheAgeOfASourceThatNeverAnsweredFromItsBeginning) {
  KeySchedule schedule(kStart);
  schedule.began(kStart);
  schedule.failed(kStart + 5s);
  EXPECT_EQ(schedule.age(kStart + 10s), Duration(10s));
}

TEST(KeySchedule, FetchesAtOnceForAKeyThatTheSetLacks) {
  KeySchedule schedule = loaded_at(kStart);
  schedule.want(kStart + 5s);
  EXPECT_EQ(schedule.due(), kStart + 5s) << "however short ago the regular fetch was";
}

TEST(KeySchedule, FetchesOnceInThirtySecondsForWantedKeys) {
  KeySchedule schedule = loaded_at(kStart);
  schedule.want(kStart + 5s);
  schedule.began(kStart + 5s);
  schedule.want(kStart + 5s);
  schedule.succeeded(kStart + 6s, 1h);
  schedule.want(kStart + 6s);
  EXPECT_EQ(schedule.due(), kStart + 35s) << "what is wanted meanwhile is fetched when it may be";
  schedule.want(kStart + 34s);
  EXPECT_EQ(schedule.due(), kStart + 35s);
}

TEST(KeySchedule, AFetchUnderWayAnswersWhoWantsMeanwhile) {
  KeySchedule schedule(kStart);
  schedule.began(kStart);
  schedule.want(kStart + 1s);
  schedule.succeeded(kStart + 2s, 1h);
  EXPECT_GE(schedule.due() - kStart, 30min);
}

TEST(KeySchedule, WantingNeverPutsAFetchOff) {
  KeySchedule schedule = loaded_at(kStart);
  schedule.want(kStart + 1s);
  schedule.began(kStart + 1s);
  schedule.failed(kStart + 2s);
  const Instant again = schedule.due();
  EXPECT_LT(again, kStart + 4s);
  schedule.want(kStart + 2s);
  EXPECT_EQ(schedule.due(), again);
}

TEST(KeySchedule, AFloodOfUnknownKeysForAMinuteCostsThreeFetchesAtMost) {
  KeySchedule schedule = loaded_at(kStart - 20min);
  int fetches = 0;
  for (Instant now = kStart; now <= kStart + 60s; now += 1ms) {
    schedule.want(now);
    if (schedule.due() > now) continue;
    schedule.began(now);
    schedule.succeeded(now, 1h);
    ++fetches;
  }
  EXPECT_LE(fetches, 3);
  EXPECT_GE(fetches, 2);
}

TEST(KeySchedule, AFetchThatFailsForWantedKeysIsNotRepeatedForEachOfThem) {
  KeySchedule schedule = loaded_at(kStart - 20min);
  int fetches = 0;
  for (Instant now = kStart; now < kStart + 60s; now += 10ms) {
    schedule.want(now);
    if (schedule.due() > now) continue;
    schedule.began(now);
    schedule.failed(now);
    ++fetches;
  }
  EXPECT_LE(fetches, 9) << "1 + 2 + 4 + 8 + 16 + 30 s, and two that were wanted";
}

TEST(KeySchedule, HurriesWhenItsSourceIsAnotherOne) {
  KeySchedule schedule = loaded_at(kStart);
  schedule.hurry(kStart + 5s);
  EXPECT_EQ(schedule.due(), kStart + 5s);
  EXPECT_TRUE(schedule.loaded());
}

}  // namespace
}  // namespace sluice::policy
