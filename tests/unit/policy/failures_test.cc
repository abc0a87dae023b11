#include "policy/failures.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

Instant at(Duration since_zero) { return Instant(since_zero); }
net::Address client(const std::string& ip) { return *net::Address::parse(ip, 1234); }
const FailureLimit kTenAMinute{10, 1min};

void fail_times(Failures& failures, const net::Address& address, int times, Instant now) {
  for (int i = 0; i < times; ++i) failures.count(address, now);
}

TEST(Failures, HoldAnAddressBackUntilTheMinuteIsOver) {
  Failures failures(kTenAMinute);
  const net::Address address = client("192.0.2.1");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(failures.wait(address, at(100s + i * 1s)), 0s) << i;
    failures.count(address, at(100s + i * 1s));
  }
  EXPECT_EQ(failures.wait(address, at(109s)), 51s);
  EXPECT_EQ(failures.wait(address, at(160s) - 1ns), 1ns);
  EXPECT_EQ(failures.wait(address, at(160s)), 0s);
}

TEST(Failures, BeginANewMinuteWithTheNextOne) {
  Failures failures(kTenAMinute);
  const net::Address address = client("192.0.2.1");
  fail_times(failures, address, 10, at(100s));
  fail_times(failures, address, 9, at(160s));
  EXPECT_EQ(failures.wait(address, at(219s)), 0s);
  failures.count(address, at(219s));
  EXPECT_EQ(failures.wait(address, at(219s)), 1s);
  EXPECT_EQ(failures.wait(address, at(220s)), 0s);
  EXPECT_EQ(failures.size(), 1u);
}

TEST(Failures, AreNotCountedOnWhileTheAddressIsHeldBack) {
  Failures failures(kTenAMinute);
  const net::Address address = client("192.0.2.1");
  fail_times(failures, address, 30, at(100s));  // checks of other workers that were under way
  EXPECT_EQ(failures.wait(address, at(130s)), 30s) << "the time does not grow with them";
}

TEST(Failures, AreThoseOfOneSubscriber) {
  Failures failures(kTenAMinute);
  fail_times(failures, client("192.0.2.1"), 10, at(1s));
  fail_times(failures, client("2001:db8:0:1::1"), 5, at(1s));
  fail_times(failures, client("2001:db8:0:1:ffff::2"), 5, at(1s));
  EXPECT_EQ(failures.wait(client("192.0.2.2"), at(1s)), 0s);
  EXPECT_EQ(failures.wait(client("192.0.2.1"), at(1s)), 60s);
  EXPECT_EQ(failures.wait(client("::ffff:192.0.2.1"), at(1s)), 60s) << "the same address, written as IPv6";
  EXPECT_EQ(failures.wait(client("2001:db8:0:1::9"), at(1s)), 60s);
  EXPECT_EQ(failures.wait(client("2001:db8:0:2::1"), at(1s)), 0s);
  // A /64 whose octets begin like an IPv4 address is another one.
  EXPECT_EQ(failures.wait(client("c000:201::1"), at(1s)), 0s);
}

TEST(Failures, KnowTheClientsOfAUnixSocketTogether) {
  Failures failures(kTenAMinute);
  fail_times(failures, *net::Address::parse_bind("unix:/a"), 10, at(1s));
  EXPECT_EQ(failures.wait(*net::Address::parse_bind("unix:/b"), at(1s)), 60s);
}

TEST(Failures, AreBoundedAndForgetTheOldest) {
  Failures failures(kTenAMinute, 3);
  fail_times(failures, client("192.0.2.1"), 10, at(1s));
  fail_times(failures, client("192.0.2.2"), 10, at(2s));
  fail_times(failures, client("192.0.2.3"), 10, at(3s));
  EXPECT_GT(failures.wait(client("192.0.2.1"), at(4s)), 0s);
  failures.count(client("192.0.2.4"), at(4s));
  EXPECT_EQ(failures.size(), 3u);
  EXPECT_EQ(failures.wait(client("192.0.2.1"), at(4s)), 0s);
  EXPECT_GT(failures.wait(client("192.0.2.2"), at(4s)), 0s);
  EXPECT_GT(failures.wait(client("192.0.2.3"), at(4s)), 0s);
}

TEST(Failures, AreDroppedWhenTheirTimeIsOver) {
  Failures failures(kTenAMinute);
  for (int i = 1; i <= 100; ++i) failures.count(client("192.0.2." + std::to_string(i)), at(1s));
  const std::size_t before = failures.size();
  EXPECT_EQ(before, 100u);
  for (int i = 1; i <= 100; ++i) failures.count(client("198.51.100." + std::to_string(i)), at(62s));
  EXPECT_LT(failures.size(), 120u) << "each new one makes room for itself";
}

TEST(Failures, StayCountedOverAReloadWithOtherNumbers) {
  Failures failures(kTenAMinute);
  const net::Address address = client("192.0.2.1");
  fail_times(failures, address, 5, at(1s));
  failures.update({5, 1h});
  EXPECT_EQ(failures.wait(address, at(2s)), 1h - 1s);
  failures.update({6, 1h});
  EXPECT_EQ(failures.wait(address, at(2s)), 0s);
  failures.update({0, 1min});
  fail_times(failures, address, 100, at(3s));
  EXPECT_EQ(failures.wait(address, at(3s)), 0s);
  failures.update(kTenAMinute);
  EXPECT_EQ(failures.wait(address, at(3s)), 0s) << "nothing was counted while it was off";
}

TEST(Failures, AreCountedByAllThreads) {
  Failures failures({4000, 1min});
  const net::Address address = client("192.0.2.1");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(failures.wait(address, at(1s)), 0s);
        failures.count(address, at(1s));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures.wait(address, at(1s)), 60s);
}

}  // namespace
}  // namespace sluice::policy
