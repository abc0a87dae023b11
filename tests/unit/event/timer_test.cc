#include "event/timer.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "event/loop.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

using std::chrono::milliseconds;

TEST(Timer, FiresOnceForOneArming) {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  EXPECT_FALSE(timer.armed());
  timer.arm(Duration::zero());
  EXPECT_TRUE(timer.armed());
  int later = 0;
  Timer after(loop, [&] { ++later; });
  after.arm(milliseconds(5));
  EXPECT_TRUE(run_until(loop, [&] { return later == 1; }));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.armed());
}

TEST(Timer, NeverFiresBeforeItsTime) {
  Loop loop;
  for (const Duration wait : {Duration(1), Duration(999), Duration(std::chrono::microseconds(1500)),
                              Duration(milliseconds(3))}) {
    std::optional<Instant> fired;
    Timer timer(loop, [&] { fired = loop.now(); });
    Instant armed{};
    loop.defer([&] {
      armed = loop.now();
      timer.arm(wait);
    });
    EXPECT_TRUE(run_until(loop, [&] { return fired.has_value(); }));
    EXPECT_GE(fired.value_or(Instant{}), armed + wait);
  }
}

TEST(Timer, FiresInTheOrderOfTheDeadlines) {
  Loop loop;
  std::vector<int> order;
  Timer late(loop, [&] { order.push_back(3); });
  Timer middle(loop, [&] { order.push_back(2); });
  Timer early(loop, [&] { order.push_back(1); });
  late.arm(milliseconds(9));
  middle.arm_common(milliseconds(5));
  early.arm(milliseconds(1));
  EXPECT_TRUE(run_until(loop, [&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Timer, DoesNotFireOnceCancelled) {
  Loop loop;
  bool fired = false;
  Timer timer(loop, [&] { fired = true; });
  timer.arm(milliseconds(1));
  timer.cancel();
  EXPECT_FALSE(timer.armed());
  bool later = false;
  Timer after(loop, [&] { later = true; });
  after.arm(milliseconds(5));
  EXPECT_TRUE(run_until(loop, [&] { return later; }));
  EXPECT_FALSE(fired);
}

TEST(Timer, ForgetsTheFirstDeadlineWhenArmedAgain) {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.arm(std::chrono::hours(1));
  timer.arm(milliseconds(1));
  EXPECT_TRUE(run_until(loop, [&] { return fired == 1; }));
  timer.arm(milliseconds(1));
  timer.arm(std::chrono::hours(1));
  bool later = false;
  Timer after(loop, [&] { later = true; });
  after.arm(milliseconds(5));
  EXPECT_TRUE(run_until(loop, [&] { return later; }));
  EXPECT_EQ(fired, 1);
}

TEST(Timer, MovesBetweenTheQueueAndTheHeap) {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.arm_common(std::chrono::hours(1));
  timer.arm(milliseconds(1));
  EXPECT_TRUE(run_until(loop, [&] { return fired == 1; }));
  timer.arm(std::chrono::hours(1));
  timer.arm_common(milliseconds(1));
  EXPECT_TRUE(run_until(loop, [&] { return fired == 2; }));
}

TEST(Timer, MayBeArmedFromItself) {
  Loop loop;
  int fired = 0;
  Timer* self = nullptr;
  Timer timer(loop, [&] {
    if (++fired < 3) self->arm(Duration::zero());
  });
  self = &timer;
  timer.arm(Duration::zero());
  EXPECT_TRUE(run_until(loop, [&] { return fired == 3; }));
}

TEST(Timer, MayBeDestroyedFromItself) {
  Loop loop;
  bool fired = false;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    fired = true;
    timer.reset();
  });
  timer->arm(Duration::zero());
  EXPECT_TRUE(run_until(loop, [&] { return fired; }));
  EXPECT_EQ(timer, nullptr);
}

TEST(Timer, SaysNothingOnceDestroyed) {
  Loop loop;
  bool fired = false;
  {
    Timer timer(loop, [&] { fired = true; });
    timer.arm(Duration::zero());
  }
  bool later = false;
  Timer after(loop, [&] { later = true; });
  after.arm(milliseconds(2));
  EXPECT_TRUE(run_until(loop, [&] { return later; }));
  EXPECT_FALSE(fired);
}

TEST(Timer, FallsBackToTheHeapBeyondTheQueuesThatExist) {
  Loop loop;
  for (int i = 1; i <= 300; ++i) loop.common_timeout(std::chrono::hours(i));
  bool fired = false;
  Timer timer(loop, [&] { fired = true; });
  timer.arm_common(milliseconds(2));
  EXPECT_TRUE(run_until(loop, [&] { return fired; }));
}

}  // namespace
}  // namespace sluice::event
