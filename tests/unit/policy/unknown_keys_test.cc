#include "policy/unknown_keys.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

constexpr Instant kNow{1000s};

TEST(UnknownKeys, HoldAnIdForThirtySeconds) {
  UnknownKeys unknown;
  EXPECT_FALSE(unknown.holds("a", kNow));
  unknown.add("a", kNow);
  EXPECT_TRUE(unknown.holds("a", kNow));
  EXPECT_TRUE(unknown.holds("a", kNow + 30s - 1ns));
  EXPECT_FALSE(unknown.holds("a", kNow + 30s));
  EXPECT_FALSE(unknown.holds("b", kNow));
}

TEST(UnknownKeys, TakeTheSameIdAgainOnceItsTimeIsOver) {
  UnknownKeys unknown;
  unknown.add("a", kNow);
  unknown.add("a", kNow + 10s);
  EXPECT_FALSE(unknown.holds("a", kNow + 30s)) << "its time is from the first";
  unknown.add("a", kNow + 31s);
  EXPECT_TRUE(unknown.holds("a", kNow + 60s));
  EXPECT_EQ(unknown.size(), 1u);
}

TEST(UnknownKeys, ForgetTheOldestWhereThereIsNoRoom) {
  UnknownKeys unknown;
  for (std::size_t i = 0; i <= UnknownKeys::kMost; ++i) unknown.add(std::to_string(i), kNow);
  EXPECT_EQ(unknown.size(), UnknownKeys::kMost);
  EXPECT_FALSE(unknown.holds("0", kNow));
  EXPECT_TRUE(unknown.holds("1", kNow));
  EXPECT_TRUE(unknown.holds(std::to_string(UnknownKeys::kMost), kNow));
}

TEST(UnknownKeys, KeepNoRoomForThoseWhoseTimeIsOver) {
  UnknownKeys unknown;
  for (int i = 0; i < 100; ++i) unknown.add(std::to_string(i), kNow);
  unknown.add("new", kNow + 30s);
  EXPECT_EQ(unknown.size(), 1u);
}

}  // namespace
}  // namespace sluice::policy
