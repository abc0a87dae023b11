#include "base/breaker.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using State = Breaker::State;

class BreakerTest : public testing::Test {
 protected:
  BreakerTest() { settings_.enabled = true; }
  State state() const { return breaker_.state(settings_, now_); }
  bool allow() { return breaker_.allow(settings_, now_); }
  bool report(bool success) { return breaker_.report(settings_, success, now_); }
  void open() {
    for (std::uint32_t i = 0; i < settings_.failures; ++i) report(false);
    ASSERT_EQ(state(), State::open);
  }

  BreakerSettings settings_;
  Breaker breaker_;
  Instant now_{std::chrono::hours(3)};
};

TEST_F(BreakerTest, OpensAtFailuresInARow) {
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(report(false));
  report(true);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(report(false));
  EXPECT_TRUE(allow());
  EXPECT_TRUE(report(false));
  EXPECT_EQ(state(), State::open);
  EXPECT_FALSE(allow());
  EXPECT_FALSE(report(false)) << "it is open already";
}

TEST_F(BreakerTest, OpensAtARateOverTheWindow) {
  settings_.failures = 0;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(report(true));
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(report(false)) << "fewer than `attempts`, or than half";
  EXPECT_TRUE(report(false));
}

TEST_F(BreakerTest, ForgetsWhatIsOlderThanTheWindow) {
  settings_.failures = 0;
  for (int i = 0; i < 19; ++i) report(false);
  now_ += 11s;
  for (int i = 0; i < 19; ++i) EXPECT_FALSE(report(false));
  now_ += 9s;
  EXPECT_TRUE(report(false)) << "these are within it still";
}

TEST_F(BreakerTest, ARateOfMostSuccessesKeepsItClosed) {
  settings_.failures = 0;
  for (int i = 0; i < 300; ++i) {
    EXPECT_FALSE(report(i % 3 == 0 ? false : true));
    now_ += 50ms;
  }
  EXPECT_EQ(state(), State::closed);
}

TEST_F(BreakerTest, LetsAFewProbesThroughAndCloses) {
  open();
  now_ += 10s - 1ms;
  EXPECT_FALSE(allow());
  now_ += 1ms;
  EXPECT_EQ(state(), State::half_open);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allow());
  EXPECT_FALSE(allow());
  report(true);
  report(true);
  EXPECT_EQ(state(), State::half_open);
  EXPECT_FALSE(allow());
  report(true);
  EXPECT_EQ(state(), State::closed);
  EXPECT_TRUE(allow());
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(report(false)) << "it begins anew";
}

TEST_F(BreakerTest, OneFailedProbeOpensItAgain) {
  open();
  now_ += 10s;
  EXPECT_TRUE(allow());
  EXPECT_TRUE(report(false));
  EXPECT_EQ(state(), State::open);
  EXPECT_FALSE(allow());
  now_ += 10s;
  EXPECT_TRUE(allow());
}

TEST_F(BreakerTest, ProbesThatNobodyReportsAreGivenOutAgain) {
  open();
  now_ += 10s;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allow());
  now_ += 9s;
  EXPECT_FALSE(allow());
  now_ += 1s;
  EXPECT_TRUE(allow());
}

TEST_F(BreakerTest, IsNothingWhenSwitchedOff) {
  settings_.enabled = false;
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(report(false));
  EXPECT_TRUE(allow());
  EXPECT_EQ(state(), State::closed);
}

TEST_F(BreakerTest, GivesOutNoProbeTooManyToManyThreads) {
  settings_.probes = 5;
  open();
  now_ += 10s;
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) allowed += allow();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 5);
}

}  // namespace
}  // namespace sluice
