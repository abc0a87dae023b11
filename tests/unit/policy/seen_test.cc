#include "policy/seen.h"

#include <gtest/gtest.h>

#include <string_view>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

Seen::Key key(std::string_view text) { return net::sha256(as_bytes(text)); }
const WallTime kNow{1h};

TEST(Seen, OneIsGoodOnceUntilItsEnd) {
  Seen seen;
  EXPECT_TRUE(seen.add(key("a"), kNow + 10s, kNow));
  EXPECT_FALSE(seen.add(key("a"), kNow + 10s, kNow));
  EXPECT_FALSE(seen.add(key("a"), kNow + 99s, kNow + 10s - 1ms));
  EXPECT_TRUE(seen.add(key("b"), kNow + 20s, kNow));
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen.add(key("a"), kNow + 20s, kNow + 10s));
}

TEST(Seen, WhatWasNotUsedAfterAllMayComeAgain) {
  Seen seen;
  EXPECT_TRUE(seen.add(key("a"), kNow + 10s, kNow));
  seen.remove(key("a"));
  seen.remove(key("b"));
  EXPECT_EQ(seen.size(), 0U);
  EXPECT_TRUE(seen.add(key("a"), kNow + 10s, kNow));
}

TEST(Seen, AFullTableForgetsWhatEndsFirst) {
  Seen seen(2);
  EXPECT_TRUE(seen.add(key("long"), kNow + 20s, kNow));
  EXPECT_TRUE(seen.add(key("short"), kNow + 10s, kNow));
  EXPECT_TRUE(seen.add(key("third"), kNow + 15s, kNow));
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_FALSE(seen.add(key("long"), kNow + 20s, kNow));
  EXPECT_TRUE(seen.add(key("short"), kNow + 10s, kNow)) << "it was forgotten";
}

}  // namespace
}  // namespace sluice::policy
