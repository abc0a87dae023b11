#include "base/counters.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice {
namespace {

TEST(Counter, IsReadWhileItsThreadWrites) {
  Counter counter;
  std::thread writer([&counter] {
    for (int i = 0; i < 100000; ++i) counter.add();
  });
  std::uint64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t now = counter.get();
    EXPECT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_EQ(counter.get(), 100000u);
}

TEST(Gauge, GoesUpAndDown) {
  Gauge gauge;
  gauge.add(5);
  gauge.sub();
  EXPECT_EQ(gauge.get(), 4);
  gauge.sub(10);
  EXPECT_EQ(gauge.get(), -6);
  gauge.set(3);
  EXPECT_EQ(gauge.get(), 3);
}

TEST(Histogram, PutsEachValueIntoItsBucket) {
  constexpr static std::array<double, 3> kBounds{1, 10, 100};
  Histogram<3> histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 10.0, 99.0, 100.5, 1e6}) histogram.observe(value);
  EXPECT_EQ(histogram.bucket(0), 2u) << "a bound belongs to its bucket (le)";
  EXPECT_EQ(histogram.bucket(1), 2u);
  EXPECT_EQ(histogram.bucket(2), 1u);
  EXPECT_EQ(histogram.bucket(3), 2u) << "+Inf";
  EXPECT_NEAR(histogram.sum(), 0.5 + 1 + 1.5 + 10 + 99 + 100.5 + 1e6, 1e-3);
}

}  // namespace
}  // namespace sluice
