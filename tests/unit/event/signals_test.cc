#include "event/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "event/loop.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

TEST(Signals, ArriveOnTheLoop) {
  Loop loop;
  std::vector<int> seen;
  Signals signals(loop, [&](int number) { seen.push_back(number); });
  signals.watch(SIGUSR1);
  signals.watch(SIGHUP);
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  ASSERT_EQ(kill(getpid(), SIGHUP), 0);
  EXPECT_TRUE(run_until(loop, [&] { return seen.size() == 2; }));
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGUSR1}));
}

TEST(Signals, ArriveAgainAndAgain) {
  Loop loop;
  int count = 0;
  Signals signals(loop, [&](int) { ++count; });
  signals.watch(SIGUSR2);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(kill(getpid(), SIGUSR2), 0);
    EXPECT_TRUE(run_until(loop, [&] { return count == i; }));
  }
}

TEST(Signals, MakeABrokenPipeAnError) {
  Loop loop;
  const Signals signals(loop, [](int) {});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "a", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

}  // namespace
}  // namespace sluice::event
