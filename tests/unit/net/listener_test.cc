// Listener on a real loop: how many it accepts at a time, what it does without descriptors, and how it ends.
#include "net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <vector>

#include "support/run_until.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

// All descriptors of the process are in use while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit small{64, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
    for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0; fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
      taken_.emplace_back(fd);
    }
    EXPECT_EQ(errno, EMFILE);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  void free_one() { taken_.pop_back(); }
  void free_all() { taken_.clear(); }

 private:
  rlimit before_{};
  std::vector<Fd> taken_;
};

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() { listen(); }

  void listen() {
    int error = 0;
    Fd fd = listen_on(*Address::parse("127.0.0.1", 0), error);
    ASSERT_TRUE(fd) << error;
    address_ = local_address(fd.get());
    listener_.emplace(
        loop_, std::move(fd),
        [this](Fd accepted, const Address& peer) {
          accepted_.push_back(std::move(accepted));
          peer_ = peer;
        },
        [this](int error_number) { faults_.push_back(error_number); });
  }
  void connect(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      int error = 0;
      clients_.push_back(connect_to(address_, {}, error));
      ASSERT_TRUE(clients_.back()) << error;
    }
  }
  bool until(const std::function<bool()>& so) { return run_until(loop_, so); }
  // UBSan looks at an object's type when it first meets it, and needs descriptors for that.
  void accept_one() {
    connect(1);
    ASSERT_TRUE(until([&] { return accepted_.size() == 1; }));
  }
  // One pass of the loop.
  void pass() {
    loop_.defer([this] { loop_.stop(); });
    loop_.run();
  }

  event::Loop loop_;
  Address address_;
  Address peer_;
  std::vector<Fd> clients_;
  std::vector<Fd> accepted_;
  std::vector<int> faults_;
  std::optional<Listener> listener_;  // its end accepts who still waits
};

TEST_F(ListenerTest, AcceptsNonBlockingSocketsAndSaysWhoTheyAre) {
  connect(1);
  ASSERT_TRUE(until([&] { return accepted_.size() == 1; }));
  EXPECT_EQ(peer_, local_address(clients_.front().get()));
  EXPECT_NE(fcntl(accepted_.front().get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted_.front().get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ListenerTest, AcceptsABoundedNumberInAPassAndTheOthersLater) {
  connect(100);
  std::size_t most = 0;
  for (std::size_t passes = 0; accepted_.size() < 100 && passes < 10'000; ++passes) {
    const std::size_t before = accepted_.size();
    pass();
    most = std::max(most, accepted_.size() - before);
  }
  EXPECT_EQ(accepted_.size(), 100u);  // from one edge: no other comes
  EXPECT_LE(most, 32u);
}

TEST_F(ListenerTest, PausesWithoutDescriptorsAndGoesOnByItself) {
  accept_one();
  connect(3);
  {
    NoDescriptors none;
    const Instant began = loop_.exactly_now();
    ASSERT_TRUE(until([&] { return !faults_.empty(); }));
    EXPECT_EQ(faults_.front(), EMFILE);
    // It asks again only after its pause, however often the loop turns, and says so each time.
    ASSERT_TRUE(until([&] { return faults_.size() == 3; }));
    EXPECT_GE(loop_.exactly_now() - began, 200ms);
    EXPECT_EQ(accepted_.size(), 1u);
    EXPECT_TRUE(listener_->listening());
    none.free_all();
    ASSERT_TRUE(until([&] { return accepted_.size() == 4; }));  // without another edge
  }
  connect(1);
  EXPECT_TRUE(until([&] { return accepted_.size() == 5; }));
}

TEST_F(ListenerTest, DoesNotTakeAnEdgeForTheEndOfItsPause) {
  accept_one();
  NoDescriptors none;
  none.free_one();
  connect(1);  // takes the one that was free
  Instant paused{};
  ASSERT_TRUE(until([&] {
    paused = loop_.exactly_now();
    return faults_.size() == 1;
  }));
  none.free_one();
  connect(1);  // an edge while it pauses, and still nothing free
  while (loop_.exactly_now() - paused < 50ms && faults_.size() == 1) pass();
  // A machine that stood still meanwhile proves nothing.
  if (loop_.exactly_now() - paused < 90ms) {
    EXPECT_EQ(faults_.size(), 1u);
  }
}

TEST_F(ListenerTest, AcceptsWhoWaitsBeforeItCloses) {
  connect(50);
  listener_->stop();
  EXPECT_EQ(accepted_.size(), 50u);
  EXPECT_FALSE(listener_->listening());
  listener_->stop();  // idempotent
  int error = 0;
  const Fd late = connect_to(address_, {}, error);
  EXPECT_EQ(late ? socket_error(late.get()) : error, ECONNREFUSED);
}

TEST_F(ListenerTest, SharesItsPortWithTheOtherWorkers) {
  int error = 0;
  EXPECT_TRUE(listen_on(address_, error)) << error;
}

}  // namespace
}  // namespace sluice::net
