#include "base/random.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(Random, FillsEveryOctet) {
  // 3000 octets cross the batches; each position stays 0 in all of 40 rounds by a chance of 2^-320.
  std::vector<bool> touched(3000);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::uint8_t> octets(touched.size());
    random_fill(octets);
    for (std::size_t i = 0; i < octets.size(); ++i) touched[i] = touched[i] || octets[i] != 0;
  }
  for (std::size_t i = 0; i < touched.size(); ++i) ASSERT_TRUE(touched[i]) << i;
  random_fill({});
}

TEST(Random, DoesNotRepeat) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10000; ++i) EXPECT_TRUE(seen.insert(random_u64()).second);
}

TEST(Random, StaysBelowTheBound) {
  for (const std::uint64_t bound : {1ULL, 2ULL, 3ULL, 1000ULL, 1ULL << 63}) {
    for (int i = 0; i < 1000; ++i) EXPECT_LT(random_below(bound), bound);
  }
}

TEST(Random, IsEven) {
  int count[5] = {};
  for (int i = 0; i < 50000; ++i) ++count[random_below(5)];
  for (const int n : count) EXPECT_NEAR(n, 10000, 600);  // 6 standard deviations are 537
}

TEST(Random, DiffersBetweenThreads) {
  std::uint64_t values[2];
  std::thread one([&] { values[0] = random_u64(); });
  std::thread two([&] { values[1] = random_u64(); });
  one.join();
  two.join();
  EXPECT_NE(values[0], values[1]);
}

TEST(RandomDeathTest, RefusesABoundOfZero) { EXPECT_DEATH(random_below(0), "random_below"); }

}  // namespace
}  // namespace sluice
