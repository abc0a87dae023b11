#include "event/loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "event/timer.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

using std::chrono::milliseconds;

TEST(Loop, RunsWhatWasDeferredInOrder) {
  Loop loop;
  std::string said;
  loop.defer([&] { said += 'a'; });
  loop.defer([&] { said += 'b'; });
  loop.defer([&] {
    said += 'c';
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(said, "abc");
}

TEST(Loop, RunsATaskDeferredByATaskInTheNextPass) {
  Loop loop;
  std::vector<int> passes;
  int pass = 0;
  loop.defer([&] {
    passes.push_back(pass);
    loop.defer([&] {
      passes.push_back(pass);
      loop.stop();
    });
    loop.defer([&] { EXPECT_EQ(passes.size(), 2u) << "after the one before it"; });
  });
  // Runs before the tasks of its own pass.
  Timer timer(loop, [&] { ++pass; });
  loop.defer([&] { timer.arm(Duration::zero()); });
  loop.run();
  EXPECT_EQ(passes, (std::vector<int>{0, 1}));
}

TEST(Loop, RunsWhatWasDeferredBeforeItReturns) {
  Loop loop;
  bool ran = false;
  Timer timer(loop, [&] {
    loop.stop();
    loop.defer([&] { ran = true; });
  });
  timer.arm(Duration::zero());
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(Loop, MayRunAgainAfterAStop) {
  Loop loop;
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    loop.defer([&] {
      ++runs;
      loop.stop();
    });
    loop.run();
  }
  EXPECT_EQ(runs, 3);
}

TEST(Loop, RunsWhatIsLeftWhenItEnds) {
  bool ran = false;
  {
    Loop loop;
    loop.defer([&] { ran = true; });
  }
  EXPECT_TRUE(ran);
}

struct Mourned {
  explicit Mourned(int& deaths) : count(deaths) {}
  ~Mourned() { ++count; }
  int& count;
};

TEST(Loop, BuriesTheRetiredAtTheEndOfThePass) {
  Loop loop;
  int deaths = 0;
  int at_retirement = -1;
  int in_deferred = -1;
  Timer timer(loop, [&] {
    loop.retire(std::make_unique<Mourned>(deaths));
    at_retirement = deaths;
    loop.defer([&] { in_deferred = deaths; });
    loop.stop();
  });
  timer.arm(Duration::zero());
  loop.run();
  EXPECT_EQ(at_retirement, 0);
  EXPECT_EQ(in_deferred, 0) << "deferred tasks of the pass still see it";
  EXPECT_EQ(deaths, 1);
}

TEST(Loop, BuriesWhatTheDyingRetire) {
  struct Owner {
    Owner(Loop& l, std::unique_ptr<Mourned> o) : loop(l), owned(std::move(o)) {}
    ~Owner() { loop.retire(std::move(owned)); }
    Loop& loop;
    std::unique_ptr<Mourned> owned;
  };
  int deaths = 0;
  Loop loop;
  loop.retire(std::make_unique<Owner>(loop, std::make_unique<Mourned>(deaths)));
  loop.defer([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(deaths, 1);
}

TEST(Loop, BuriesTheRetiredWhenItEnds) {
  int deaths = 0;
  {
    Loop loop;
    loop.retire(std::make_unique<Mourned>(deaths));
  }
  EXPECT_EQ(deaths, 1);
}

TEST(Loop, KeepsOneTimeForAPassAndNeverGoesBack) {
  Loop loop;
  std::vector<Instant> seen;
  Timer first(loop, [&] { seen.push_back(loop.now()); });
  Timer second(loop, [&] { seen.push_back(loop.now()); });
  Timer later(loop, [&] { seen.push_back(loop.now()); });
  first.arm(milliseconds(1));
  second.arm(milliseconds(1));
  later.arm(milliseconds(20));
  const Instant start = loop.now();
  EXPECT_TRUE(run_until(loop, [&] { return seen.size() == 3; }));
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_GE(seen[0], start + milliseconds(1)) << "now() is read after the wait, not before it";
  EXPECT_GE(seen[1], seen[0]);
  EXPECT_GE(seen[2], start + milliseconds(20));
}

TEST(Loop, SharesOneQueueForOneDuration) {
  Loop loop;
  const timeval* one = loop.common_timeout(milliseconds(1500));
  EXPECT_EQ(loop.common_timeout(milliseconds(1500)), one);
  EXPECT_NE(loop.common_timeout(milliseconds(1501)), one);
}

}  // namespace
}  // namespace sluice::event
