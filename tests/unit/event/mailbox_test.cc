#include "event/mailbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "event/loop.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

TEST(Mailbox, RunsTasksOnTheOwnersThreadInOrder) {
  Loop loop;
  Mailbox mailbox(loop);
  const auto owner = std::this_thread::get_id();
  std::vector<int> seen;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i) {
      mailbox.post([&seen, owner, i] {
        EXPECT_EQ(std::this_thread::get_id(), owner);
        seen.push_back(i);
      });
    }
  });
  EXPECT_TRUE(run_until(loop, [&] { return seen.size() == 1000; }));
  poster.join();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(Mailbox, LosesNothingFromManyThreads) {
  Loop loop;
  Mailbox mailbox(loop);
  std::vector<int> next(4, 0);
  int total = 0;
  std::vector<std::thread> posters;
  for (std::size_t t = 0; t < next.size(); ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        mailbox.post([&, t, i] {
          EXPECT_EQ(next[t], i) << "one thread's tasks stay in order";
          ++next[t];
          ++total;
        });
      }
    });
  }
  EXPECT_TRUE(run_until(loop, [&] { return total == 8000; }));
  for (auto& poster : posters) poster.join();
}

TEST(Mailbox, WakesALoopThatWaits) {
  // The loop has nothing else: only the post can end its wait.
  Loop loop;
  Mailbox mailbox(loop);
  std::thread poster([&] { mailbox.post([&loop] { loop.stop(); }); });
  loop.run();
  poster.join();
}

TEST(Mailbox, TakesATaskPostedByATask) {
  Loop loop;
  Mailbox mailbox(loop);
  bool second = false;
  mailbox.post([&] { mailbox.post([&second] { second = true; }); });
  EXPECT_TRUE(run_until(loop, [&] { return second; }));
}

TEST(Mailbox, DestroysWhatItCouldNotRun) {
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = token;
  bool ran = false;
  {
    Loop loop;
    Mailbox mailbox(loop);
    mailbox.post([token = std::move(token), &ran] { ran = true; });
  }
  EXPECT_TRUE(alive.expired());
  EXPECT_FALSE(ran);
}

TEST(Mailbox, LetsATaskStopTheLoop) {
  Loop loop;
  Mailbox mailbox(loop);
  int ran = 0;
  mailbox.post([&] {
    ++ran;
    loop.stop();
  });
  mailbox.post([&] { ++ran; });
  loop.run();
  EXPECT_EQ(ran, 2) << "what had been posted before runs with it";
}

}  // namespace
}  // namespace sluice::event
