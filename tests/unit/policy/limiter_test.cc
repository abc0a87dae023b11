#include "policy/limiter.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

Instant at(Duration since_zero) { return Instant(since_zero); }
Bytes key(std::string_view text) { return as_bytes(text); }

LimitSettings rate_settings(std::uint64_t rate, std::uint64_t burst, std::size_t table = 1000) {
  LimitSettings settings;
  settings.name = "test";
  settings.rate = rate;
  settings.burst = burst;
  settings.table = table;
  return settings;
}

LimitSettings count_settings(std::uint64_t limit, std::size_t table = 1000) {
  LimitSettings settings;
  settings.unit = LimitSettings::Unit::connections;
  settings.limit = limit;
  settings.table = table;
  return settings;
}

TEST(Limiter, KeepsKeysApartAndJoinsHandlesOfOneKey) {
  Limiter limiter(rate_settings(10, 2));
  Bucket a = limiter.bucket(key("a"), at(1s));
  Bucket same = limiter.bucket(key("a"), at(1s));
  Bucket b = limiter.bucket(key("b"), at(1s));
  EXPECT_TRUE(a && same && b);
  EXPECT_EQ(a.take(1, at(1s)), 0s);
  EXPECT_EQ(same.take(1, at(1s)), 0s);
  EXPECT_EQ(a.take(1, at(1s)), 100ms);
  EXPECT_EQ(b.take(2, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key("a"), 1, at(1s)), 100ms);
  EXPECT_EQ(limiter.take(key("a"), 1, at(1s + 100ms)), 0s);
  EXPECT_EQ(limiter.size(), 2U);
}

TEST(Limiter, RemembersWhatIsOwedAfterTheHandleIsGone) {
  Limiter limiter(rate_settings(1, 1));
  limiter.bucket(key("a"), at(1s)).charge(60, at(1s));
  EXPECT_EQ(limiter.bucket(key("a"), at(31s)).debt(at(31s)), 30s);
  EXPECT_EQ(limiter.take(key("a"), 1, at(31s)), 30s);
}

TEST(Limiter, OwesAndChargesThroughAHandle) {
  Limiter limiter(rate_settings(1000, 1000));
  Bucket bucket = limiter.bucket(key("a"), at(1s));
  EXPECT_EQ(bucket.owe(3000, at(1s)), 0s);
  EXPECT_EQ(bucket.debt(at(1s)), 2001ms);
  bucket.charge(1000, at(1s));
  EXPECT_EQ(bucket.owe(1, at(1s)), 3001ms);
}

TEST(Limiter, TellsLongKeysFromTheirDigestsAndFromEachOther) {
  Limiter limiter(rate_settings(1, 1));
  const std::string long_key(1000, 'k');
  EXPECT_EQ(limiter.take(key(long_key), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key(long_key), 1, at(1s)), 1s);
  EXPECT_EQ(limiter.take(key(long_key + "x"), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key(std::string(64, 'k')), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key(std::string(65, 'k')), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key(""), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key(std::string_view("\0", 1)), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.size(), 6U);
}

TEST(Limiter, EvictsOnlyIdleEntriesWhenFull) {
  Limiter limiter(rate_settings(1, 1, 2));
  Bucket held = limiter.bucket(key("held"), at(1s));
  EXPECT_EQ(limiter.take(key("owing"), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.size(), 2U);

  const Bucket none = limiter.bucket(key("new"), at(1s));
  EXPECT_FALSE(none);
  EXPECT_EQ(limiter.take(key("new"), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.take(key("new"), 1, at(1s)), 0s);
  EXPECT_EQ(limiter.overflows(), 3U);
  EXPECT_EQ(limiter.size(), 2U);

  const Bucket later = limiter.bucket(key("new"), at(2s));  // "owing" owes nothing any more
  EXPECT_TRUE(later);
  EXPECT_EQ(limiter.overflows(), 3U);
  EXPECT_EQ(limiter.size(), 2U);
  EXPECT_EQ(held.take(1, at(2s)), 0s);
}

TEST(Limiter, AllowsEverythingThroughAnEmptyHandle) {
  Bucket empty;
  EXPECT_FALSE(empty);
  EXPECT_EQ(empty.take(~0ULL, at(1s)), 0s);
  EXPECT_EQ(empty.owe(~0ULL, at(1s)), 0s);
  empty.charge(~0ULL, at(1s));
  EXPECT_EQ(empty.debt(at(1s)), 0s);
}

TEST(Limiter, NeverHoldsMoreThanItsTableUnderAFloodOfKeys) {
  Limiter limiter(rate_settings(1, 1, 5000));  // more than one shard
  for (int i = 0; i < 20'000; ++i) limiter.take(key("k" + std::to_string(i)), 1, at(1s));
  EXPECT_LE(limiter.size(), 5000U);
  EXPECT_GE(limiter.size(), 4000U);
  EXPECT_GE(limiter.overflows(), 15'000U);
  for (int i = 0; i < 20'000; ++i) limiter.take(key("l" + std::to_string(i)), 1, at(100s));
  EXPECT_LE(limiter.size(), 5000U);
}

TEST(Limiter, DropsIdleEntriesWhileItTakesNewOnes) {
  Limiter limiter(rate_settings(1000, 1, 100'000));
  for (int i = 0; i < 50'000; ++i) limiter.take(key("k" + std::to_string(i)), 1, at(1s + i * 1ms));
  EXPECT_LT(limiter.size(), 1000U);
  EXPECT_EQ(limiter.overflows(), 0U);
}

TEST(Limiter, ForgetsNoDebtWhenItEvicts) {
  Limiter limiter(rate_settings(1, 1, 50));
  for (int i = 0; i < 25; ++i) limiter.bucket(key("debtor" + std::to_string(i)), at(1s)).charge(1000, at(1s));
  for (int i = 0; i < 1000; ++i) limiter.take(key("k" + std::to_string(i)), 1, at(10s + i * 500ms));
  for (int i = 0; i < 25; ++i)
    EXPECT_GT(limiter.take(key("debtor" + std::to_string(i)), 1, at(900s)), 0s) << i;
}

TEST(Limiter, KeepsItsStateOverAnUpdate) {
  Limiter limiter(rate_settings(1, 1));
  Bucket bucket = limiter.bucket(key("a"), at(1s));
  EXPECT_EQ(bucket.take(1, at(1s)), 0s);
  const LimitSettings& before = limiter.settings();
  LimitSettings next = rate_settings(10, 1);
  next.key = LimitSettings::Key::route;
  next.unit = LimitSettings::Unit::bytes;
  next.table = 7;
  next.on_limit = LimitSettings::Action::drop;
  limiter.update(next);
  EXPECT_EQ(before.rate, 1U);
  EXPECT_EQ(limiter.settings().rate, 10U);
  EXPECT_EQ(limiter.settings().on_limit, LimitSettings::Action::drop);
  EXPECT_EQ(limiter.settings().key, LimitSettings::Key::ip);
  EXPECT_EQ(limiter.settings().unit, LimitSettings::Unit::messages);
  EXPECT_EQ(limiter.settings().table, 1000U);
  EXPECT_EQ(bucket.take(1, at(1s)), 1s);  // what was taken at the old rate stays owed
  EXPECT_EQ(bucket.take(1, at(2s)), 0s);
  EXPECT_EQ(bucket.take(1, at(2s)), 100ms);
}

TEST(Limiter, CountsWhatItsCallersRefuse) {
  Limiter limiter(rate_settings(1, 1));
  limiter.count_refused();
  limiter.count_refused();
  EXPECT_EQ(limiter.refused(), 2U);
}

TEST(Permit, IsGrantedUpToTheLimitAndGivenBack) {
  Limiter limiter(count_settings(2));
  bool granted = false;
  Permit a = limiter.acquire(key("k"), at(1s), granted);
  EXPECT_TRUE(granted && a);
  Permit b = limiter.acquire(key("k"), at(1s), granted);
  EXPECT_TRUE(granted && b);
  {
    const Permit c = limiter.acquire(key("k"), at(1s), granted);
    EXPECT_FALSE(granted);
    EXPECT_FALSE(c);
    const Permit other = limiter.acquire(key("l"), at(1s), granted);
    EXPECT_TRUE(granted && other);
  }
  Permit moved = std::move(a);
  limiter.acquire(key("k"), at(1s), granted);
  EXPECT_FALSE(granted);
  moved = Permit();
  Permit d = limiter.acquire(key("k"), at(1s), granted);
  EXPECT_TRUE(granted && d);
  b = std::move(d);  // gives back what b held
  Permit e = limiter.acquire(key("k"), at(1s), granted);
  EXPECT_TRUE(granted && e);
}

TEST(Permit, KeepsItsEntryFromEviction) {
  Limiter limiter(count_settings(1, 1));
  bool granted = false;
  Permit a = limiter.acquire(key("a"), at(1s), granted);
  EXPECT_TRUE(granted && a);
  const Permit b = limiter.acquire(key("b"), at(100s), granted);
  EXPECT_TRUE(granted);
  EXPECT_FALSE(b);
  EXPECT_EQ(limiter.overflows(), 1U);
  limiter.acquire(key("a"), at(100s), granted);
  EXPECT_FALSE(granted);
  a = Permit();
  const Permit c = limiter.acquire(key("b"), at(100s), granted);
  EXPECT_TRUE(granted && c);
}

TEST(Permit, NeverExceedsTheLimitOverThreads) {
  Limiter limiter(count_settings(5));
  std::atomic<int> holding{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        bool granted = false;
        const Permit permit = limiter.acquire(key("k"), at(1s), granted);
        if (!granted) continue;
        const int now = holding.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        holding.fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(most.load(), 1);
  EXPECT_LE(most.load(), 5);
  bool granted = false;
  std::vector<Permit> permits;
  for (int i = 0; i < 5; ++i) {
    permits.push_back(limiter.acquire(key("k"), at(1s), granted));
    EXPECT_TRUE(granted) << i;
  }
}

TEST(Limiter, AdmitsExactlyTheBurstOverThreads) {
  Limiter limiter(rate_settings(1, 1000));
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Bucket bucket = limiter.bucket(key("k"), at(1s));
      for (int i = 0; i < 1000; ++i) {
        if (bucket.take(1, at(1s)) == 0s) admitted.fetch_add(1);
        if (limiter.take(key("k"), 1, at(1s)) == 0s) admitted.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted.load(), 1000);
}

TEST(Limiter, IsUpdatedEvictedAndUsedAtTheSameTime) {
  Limiter limiter(rate_settings(1'000'000, 1, 5000));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 4000; ++i) {
        const Instant now = at(1s + i * 1ms);
        Bucket bucket = limiter.bucket(key(std::to_string(i * (t + 1) % 7000)), now);
        bucket.take(1, now);
        bucket.charge(1, now);
        EXPECT_GE(limiter.settings().rate, 1U);
      }
    });
  }
  for (int i = 1; i < 200; ++i) limiter.update(rate_settings(i, 1));
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(limiter.size(), 5004U);
}

}  // namespace
}  // namespace sluice::policy
