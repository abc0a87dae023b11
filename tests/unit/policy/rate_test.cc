#include <gtest/gtest.h>

#include <limits>

#include "policy/limiter.h"

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr Duration kYear = std::chrono::hours(24 * 365);

Instant at(Duration since_zero) { return Instant(since_zero); }

std::uint64_t nanoseconds(const Rate::State& state) { return static_cast<std::uint64_t>(state.tat >> 64); }

TEST(Rate, TakesTheBurstAtOnceAndThenOneAnInterval) {
  const Rate rate(10, 1s, 5);
  Rate::State state;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rate.take(state, 1, at(100s)), 0s) << i;
  EXPECT_EQ(rate.take(state, 1, at(100s)), 100ms);
  EXPECT_EQ(rate.take(state, 1, at(100s + 99ms)), 1ms);
  EXPECT_EQ(rate.take(state, 1, at(100s + 100ms)), 0s);
  EXPECT_EQ(rate.take(state, 1, at(100s + 100ms)), 100ms);
}

TEST(Rate, ForgetsWhatIsLongAgo) {
  const Rate rate(10, 1s, 5);
  Rate::State state;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rate.take(state, 1, at(1s)), 0s);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rate.take(state, 1, at(3600s)), 0s);
  EXPECT_EQ(rate.take(state, 1, at(3600s)), 100ms);
}

TEST(Rate, TakesSeveralUnitsOnlyWhenAllFit) {
  const Rate rate(10, 1s, 5);
  Rate::State state;
  EXPECT_EQ(rate.take(state, 3, at(1s)), 0s);
  EXPECT_EQ(rate.take(state, 3, at(1s)), 100ms);
  EXPECT_EQ(rate.take(state, 2, at(1s)), 0s);
  EXPECT_EQ(rate.take(state, 6, at(100s)), kYear);
  EXPECT_EQ(rate.take(state, 5, at(100s)), 0s);
}

TEST(Rate, HasABurstOfOneSecondUnlessSet) {
  Rate::State a, b, c;
  EXPECT_EQ(Rate(10, 1s, 0).take(a, 10, at(1s)), 0s);
  EXPECT_EQ(Rate(10, 1s, 0).take(a, 1, at(1s)), 100ms);
  EXPECT_EQ(Rate(600, 60s, 0).take(b, 10, at(1s)), 0s);
  EXPECT_EQ(Rate(600, 60s, 0).take(b, 1, at(1s)), 100ms);
  EXPECT_EQ(Rate(1, 24h, 0).take(c, 1, at(1s)), 0s);
  EXPECT_EQ(Rate(1, 24h, 0).take(c, 1, at(1s)), 24h);
}

TEST(Rate, AdmitsOwingAsManyAsTheBurstHoldsAtOnce) {
  const Rate rate(10, 1s, 3);
  Rate::State state;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rate.owe(state, 1, at(1s)), 0s) << i;
  EXPECT_EQ(rate.owe(state, 1, at(1s)), 100ms);
  EXPECT_EQ(rate.debt(state, at(1s)), 100ms);
  EXPECT_EQ(rate.debt(state, at(1s + 100ms)), 0s);
  EXPECT_EQ(rate.owe(state, 1, at(1s + 100ms)), 0s);
}

TEST(Rate, WithABurstOfOneAdmitsWhenTheArrivalTimeIsReached) {
  const Rate rate(10, 1s, 1);
  Rate::State state;
  EXPECT_EQ(rate.owe(state, 1, at(1s)), 0s);
  EXPECT_EQ(rate.owe(state, 1, at(1s)), 100ms);
  EXPECT_EQ(rate.owe(state, 1, at(1s + 100ms)), 0s);
}

TEST(Rate, AdmitsOneMessageBeyondTheBurstAndThenWaitsForAllOfIt) {
  const Rate rate(1000, 1s, 1000);  // octets
  Rate::State state;
  EXPECT_EQ(rate.owe(state, 5000, at(10s)), 0s);
  EXPECT_EQ(rate.owe(state, 1, at(10s)), 4001ms);
  EXPECT_EQ(rate.owe(state, 1, at(14s)), 1ms);
  EXPECT_EQ(rate.owe(state, 1, at(14s + 1ms)), 0s);
}

TEST(Rate, ChargesWithoutAsking) {
  const Rate rate(10, 1s, 1);
  Rate::State state;
  rate.charge(state, 20, at(1s));
  EXPECT_EQ(rate.debt(state, at(1s)), 2s);
  rate.charge(state, 10, at(2s));
  EXPECT_EQ(rate.debt(state, at(2s)), 2s);
  rate.charge(state, 0, at(2s));
  EXPECT_EQ(rate.debt(state, at(2s)), 2s);
  EXPECT_EQ(rate.debt(state, at(4s)), 0s);
}

TEST(Rate, IsExactAtAHundredGibibytesPerSecondOctetByOctet) {
  constexpr std::uint64_t kRate = 100ULL << 30;
  const Rate rate(kRate, 1s, 1);
  Rate::State whole;
  rate.charge(whole, kRate, at(5s));
  EXPECT_LE(nanoseconds(whole), 6'000'000'000U);
  EXPECT_GE(nanoseconds(whole), 5'999'999'999U);
  Rate::State single;
  for (int i = 0; i < 1'000'000; ++i) rate.charge(single, 1, at(5s));
  Rate::State million;
  rate.charge(million, 1'000'000, at(5s));
  EXPECT_TRUE(single.tat == million.tat);
  EXPECT_EQ(nanoseconds(single) - 5'000'000'000U, 9313U);  // 10^6 / 100 GiB/s = 9313.2 ns
}

TEST(Rate, LetsExactlyTheRateThroughOverALongTime) {
  const Rate rate(3, 1s, 1);  // an interval that no decimal holds
  Rate::State state;
  std::uint64_t passed = 0;
  for (Duration now = 0s; now < 1000s; now += 1ms) passed += rate.take(state, 1, at(now)) == 0s;
  EXPECT_GE(passed, 2990U);  // each waits for the next millisecond
  EXPECT_LE(passed, 3000U);
}

TEST(Rate, HoldsOneADay) {
  const Rate rate(1, 24h, 1);
  Rate::State state;
  EXPECT_EQ(rate.take(state, 1, at(1s)), 0s);
  EXPECT_EQ(rate.take(state, 1, at(1s + 23h)), 1h);
  EXPECT_EQ(rate.take(state, 1, at(1s + 24h)), 0s);
}

TEST(Rate, AdmitsWhoeverWaitsAsLongAsItWasTold) {
  for (const std::uint64_t per_second : {3ULL, 7ULL, 1000ULL, 999'999'937ULL, 100ULL << 30}) {
    const Rate rate(per_second, 1s, 1);
    Rate::State state;
    Duration now = 1s;
    for (int i = 0; i < 1000; ++i) {
      const Duration wait = rate.take(state, 1, at(now));
      now += wait;
      if (wait > 0s) {
        ASSERT_EQ(rate.take(state, 1, at(now)), 0s) << per_second << " " << i;
      }
    }
  }
}

TEST(Rate, SaturatesOnAbsurdNumbers) {
  for (const std::uint64_t units : {std::uint64_t{1}, kMax}) {
    for (const std::uint64_t per_second : {std::uint64_t{0}, std::uint64_t{1}, kMax}) {
      for (const Duration per : {Duration::zero(), Duration(1), Duration::max()}) {
        for (const std::uint64_t burst : {std::uint64_t{0}, std::uint64_t{1}, kMax}) {
          const Rate rate(per_second, per, burst);
          Rate::State state;
          for (const Instant now : {Instant::min(), at(0s), at(1s), Instant::max(), at(2s)}) {
            for (const Duration wait :
                 {rate.take(state, units, now), rate.owe(state, units, now), rate.debt(state, now)}) {
              EXPECT_GE(wait, 0s);
              EXPECT_LE(wait, kYear);
            }
            const auto before = state.tat;
            rate.charge(state, units, now);
            EXPECT_TRUE(state.tat >= before);
          }
        }
      }
    }
  }
}

TEST(Rate, WithoutARateAdmitsNothingTwice) {
  const Rate rate(0, 1s, 1);
  Rate::State state;
  EXPECT_EQ(rate.owe(state, 1, at(1s)), 0s);
  EXPECT_EQ(rate.owe(state, 1, at(1s + 1h)), kYear);
}

}  // namespace
}  // namespace sluice::policy
