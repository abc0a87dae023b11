#include "net/connect_check.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/run_until.h"

namespace sluice::net {
namespace {

class ConnectChecks : public testing::Test {
 protected:
  // The failure, "" for success.
  std::string outcome(const Address& address, Duration timeout = std::chrono::seconds(10)) {
    std::optional<std::string> got;
    ConnectCheck check(loop_, [&got](const char* failure) { got = failure ? failure : ""; });
    check.start(address, timeout);
    EXPECT_FALSE(got) << "never from inside start()";
    EXPECT_TRUE(run_until(loop_, [&got] { return got.has_value(); }));
    return got.value_or("nothing");
  }
  Fd listener(const char* ip, Address& address) {
    int error = 0;
    Fd fd = listen_on(*Address::parse(ip, 0), error);
    if (fd) address = local_address(fd.get());
    return fd;
  }

  event::Loop loop_;
};

TEST_F(ConnectChecks, SucceedWhereSomeoneListens) {
  Address address;
  const Fd fd = listener("127.0.0.1", address);
  ASSERT_TRUE(fd);
  EXPECT_EQ(outcome(address), "");
}

TEST_F(ConnectChecks, FailWhereNobodyListens) {
  Address address;
  { const Fd closed = listener("127.0.0.1", address); }
  EXPECT_EQ(outcome(address), "refused");
}

TEST_F(ConnectChecks, FailWhenTheTimeIsOver) {
  // A socket that is bound and whose backlog is full: the kernel drops further SYNs.
  Address address;
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address any = *Address::parse("127.0.0.1", 0);
  ASSERT_EQ(::bind(fd.get(), any.raw(), any.raw_size()), 0);
  ASSERT_EQ(::listen(fd.get(), 0), 0);
  address = local_address(fd.get());
  std::vector<Fd> filling;
  for (int i = 0; i < 8; ++i) {
    int error = 0;
    filling.push_back(connect_to(address, {}, error));
  }
  EXPECT_EQ(outcome(address, std::chrono::milliseconds(50)), "timeout");
}

TEST_F(ConnectChecks, MayBeDestroyedFromTheirAnswer) {
  Address address;
  const Fd fd = listener("127.0.0.1", address);
  bool called = false;
  std::unique_ptr<ConnectCheck> check;
  check = std::make_unique<ConnectCheck>(loop_, [&](const char*) {
    check.reset();
    called = true;
  });
  check->start(address, std::chrono::seconds(10));
  EXPECT_TRUE(run_until(loop_, [&] { return called; }));
}

TEST_F(ConnectChecks, SayNothingOnceDestroyed) {
  Address address;
  const Fd fd = listener("127.0.0.1", address);
  bool called = false;
  {
    ConnectCheck check(loop_, [&](const char*) { called = true; });
    check.start(address, std::chrono::milliseconds(1));
  }
  int passes = 0;
  event::Timer after(loop_, [&passes] { ++passes; });
  after.arm(std::chrono::milliseconds(5));
  EXPECT_TRUE(run_until(loop_, [&] { return passes > 0; }));
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace sluice::net
