// The line itself; how sessions wait in it is told by sim/protection_test.cc.
#include "upstream/waiting_line.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "upstream/backend.h"

namespace sluice::upstream {
namespace {

struct Caller final : WaitingLine::Waiter {
  void call() override {
    ++calls;
    calls.notify_one();
  }
  std::atomic<int> calls{0};
};

constexpr int kOld = 1;
constexpr int kNew = 2;

TEST(WaitingLine, CallsTheFirstAndNobodyElse) {
  WaitingLine line;
  Caller a;
  Caller b;
  EXPECT_FALSE(line.any(&kNew));
  ASSERT_TRUE(line.enter(&kNew, a, 2));
  ASSERT_TRUE(line.enter(&kNew, b, 2));
  EXPECT_TRUE(line.any(&kNew));
  EXPECT_TRUE(line.first(&kNew, a));
  line.call_first();
  EXPECT_EQ(a.calls, 1);
  EXPECT_EQ(b.calls, 0);
  line.leave(&kNew, a);
  EXPECT_EQ(b.calls, 1) << "its turn";
  EXPECT_TRUE(line.first(&kNew, b));
  line.leave(&kNew, b);
  EXPECT_EQ(line.size(), 0u);
  line.call_first();
  EXPECT_EQ(b.calls, 1);
}

TEST(WaitingLine, WhoLeavesFromTheMiddleIsNoNews) {
  WaitingLine line;
  std::array<Caller, 3> callers;
  for (Caller& one : callers) ASSERT_TRUE(line.enter(&kNew, one, 3));
  line.leave(&kNew, callers[1]);
  line.leave(&kNew, callers[2]);
  for (const Caller& one : callers) EXPECT_EQ(one.calls, 0);
  EXPECT_TRUE(line.first(&kNew, callers[0]));
}

TEST(WaitingLine, HasRoomForSoManyOfAllConfigurationsAndKeepsThemApart) {
  WaitingLine line;
  Caller old;
  Caller young;
  Caller more;
  ASSERT_TRUE(line.enter(&kOld, old, 2));
  EXPECT_FALSE(line.any(&kNew)) << "who came under another configuration is in nobody's way";
  ASSERT_TRUE(line.enter(&kNew, young, 2));
  EXPECT_FALSE(line.enter(&kNew, more, 2));
  EXPECT_TRUE(line.first(&kOld, old));
  EXPECT_TRUE(line.first(&kNew, young));
  line.call_first();
  EXPECT_EQ(old.calls, 1);
  EXPECT_EQ(young.calls, 1);
}

// A place is given back by one thread while others look for one, enter, and look once more: nobody may sleep beside a place
// that is free.
TEST(WaitingLine, NobodyMissesAPlaceThatIsGivenBackMeanwhile) {
  const auto load = std::make_shared<Load>();
  ServerSettings settings;
  settings.max_connections = 1;
  const auto server = std::make_shared<Server>(settings, load);
  std::atomic<int> served{0};
  const auto client = [&] {
    for (int i = 0; i < 5'000; ++i) {
      ServerUse use = ServerUse::within(server, 0);
      if (!use) {
        Caller bell;
        ASSERT_TRUE(load->line.enter(&kNew, bell, 10));
        for (;;) {
          if (load->line.first(&kNew, bell)) use = ServerUse::within(server, 0);
          if (use) break;
          const int heard = bell.calls;
          if (heard == 0) bell.calls.wait(0);
          bell.calls.fetch_sub(heard);
        }
        load->line.leave(&kNew, bell);
      }
      ++served;
      std::this_thread::yield();  // with the place: others shall meet it
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(client);
  threads.clear();
  EXPECT_EQ(served, 15'000);
  EXPECT_EQ(load->line.size(), 0u);
  EXPECT_EQ(server->active, 0u);
}

}  // namespace
}  // namespace sluice::upstream
