#include "event/watch.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <vector>

#include "event/loop.h"
#include "event/timer.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

class Recorder final : public WatchHandler {
 public:
  void on_edge(Edge edge) override {
    edges.push_back(edge);
    if (then) then();
  }
  bool any(bool Edge::* what) const {
    for (const Edge& edge : edges) {
      if (edge.*what) return true;
    }
    return false;
  }
  std::vector<Edge> edges;
  std::function<void()> then;
};

class WatchTest : public testing::Test {
 protected:
  WatchTest() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_), 0); }
  ~WatchTest() override {
    watch_.stop();
    for (const int fd : fds_) {
      if (fd >= 0) ::close(fd);
    }
  }
  void settle() {
    bool turned = false;
    Timer timer(loop_, [&] { turned = true; });
    timer.arm(std::chrono::milliseconds(2));
    EXPECT_TRUE(run_until(loop_, [&] { return turned; }));
  }

  Loop loop_;
  int fds_[2];
  Recorder recorder_;
  Watch watch_;
};

TEST_F(WatchTest, TellsThatAFreshSocketIsWritable) {
  watch_.start(loop_, fds_[0], recorder_);
  EXPECT_TRUE(watch_.started());
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::writable); }));
  EXPECT_FALSE(recorder_.any(&Edge::readable));
}

TEST_F(WatchTest, TellsThatBytesCame) {
  watch_.start(loop_, fds_[0], recorder_);
  ASSERT_EQ(::write(fds_[1], "a", 1), 1);
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::readable); }));
  EXPECT_FALSE(recorder_.any(&Edge::closed));
}

TEST_F(WatchTest, TellsBytesThatCameBeforeItStarted) {
  ASSERT_EQ(::write(fds_[1], "a", 1), 1);
  watch_.start(loop_, fds_[0], recorder_);
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::readable); }));
}

TEST_F(WatchTest, TellsAnEdgeOnceAndEachNewOneAgain) {
  watch_.start(loop_, fds_[0], recorder_);
  settle();
  ASSERT_EQ(::write(fds_[1], "a", 1), 1);
  settle();
  const std::size_t after_first = recorder_.edges.size();
  settle();
  EXPECT_EQ(recorder_.edges.size(), after_first) << "unread bytes alone are no edge";
  ASSERT_EQ(::write(fds_[1], "b", 1), 1);
  settle();
  EXPECT_GT(recorder_.edges.size(), after_first);
}

TEST_F(WatchTest, TellsThatThereIsRoomAgain) {
  watch_.start(loop_, fds_[0], recorder_);
  settle();
  std::vector<char> block(64 * 1024);
  while (::write(fds_[0], block.data(), block.size()) > 0) {
  }
  recorder_.edges.clear();
  settle();
  EXPECT_FALSE(recorder_.any(&Edge::writable));
  while (::read(fds_[1], block.data(), block.size()) > 0) {
  }
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::writable); }));
}

TEST_F(WatchTest, TellsThatTheOtherEndFinished) {
  watch_.start(loop_, fds_[0], recorder_);
  ASSERT_EQ(::shutdown(fds_[1], SHUT_WR), 0);
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::closed); }));
  EXPECT_TRUE(recorder_.any(&Edge::readable)) << "the end is something to read";
}

TEST_F(WatchTest, TellsThatTheOtherEndIsGone) {
  watch_.start(loop_, fds_[0], recorder_);
  ::close(fds_[1]);
  fds_[1] = -1;
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::readable); }));
}

TEST_F(WatchTest, SaysNothingOnceStopped) {
  watch_.start(loop_, fds_[0], recorder_);
  watch_.stop();
  EXPECT_FALSE(watch_.started());
  ASSERT_EQ(::write(fds_[1], "a", 1), 1);
  settle();
  EXPECT_TRUE(recorder_.edges.empty());
  watch_.start(loop_, fds_[0], recorder_);
  EXPECT_TRUE(run_until(loop_, [&] { return recorder_.any(&Edge::readable); })) << "it may start again";
}

TEST_F(WatchTest, MayBeDestroyedFromItsEdge) {
  auto watch = std::make_unique<Watch>();
  recorder_.then = [&] { watch.reset(); };
  watch->start(loop_, fds_[0], recorder_);
  EXPECT_TRUE(run_until(loop_, [&] { return !watch; }));
  settle();
  EXPECT_EQ(recorder_.edges.size(), 1u);
}

TEST_F(WatchTest, MayStopAnotherOfTheSamePass) {
  Recorder other;
  Watch second;
  recorder_.then = [&] { second.stop(); };
  other.then = [&] { watch_.stop(); };
  watch_.start(loop_, fds_[0], recorder_);
  second.start(loop_, fds_[1], other);
  settle();
  EXPECT_EQ(recorder_.edges.size() + other.edges.size(), 1u) << "the one that was stopped is not called any more";
}

}  // namespace
}  // namespace sluice::event
