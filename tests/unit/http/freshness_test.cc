#include "http/freshness.h"

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

using Fields = std::vector<Field>;

// In seconds; -1: the sender does not say.
std::int64_t seconds(Fields fields) {
  Head head;
  head.fields = std::move(fields);
  const auto found = freshness(head);
  return found ? std::chrono::duration_cast<std::chrono::seconds>(*found).count() : -1;
}
std::int64_t seconds(std::string_view control) { return seconds(Fields{{"Cache-Control", control}}); }

TEST(Freshness, IsWhatMaxAgeSays) {
  EXPECT_EQ(seconds("max-age=600"), 600);
  EXPECT_EQ(seconds("public, Max-Age=600, must-revalidate"), 600);
  EXPECT_EQ(seconds("max-age=\"600\""), 600);
  EXPECT_EQ(seconds("max-age=0"), 0);
  EXPECT_EQ(seconds("s-maxage=5, max-age=600"), 600) << "this is no shared cache";
}

TEST(Freshness, IsUnsaidWithoutADirectiveThatSaysIt) {
  EXPECT_EQ(seconds(Fields{}), -1);
  EXPECT_EQ(seconds(""), -1);
  EXPECT_EQ(seconds("public, immutable"), -1);
  EXPECT_EQ(seconds(Fields{{"Age", "5"}}), -1);
  EXPECT_EQ(seconds("x-max-age=5, max-agent=7"), -1);
}

TEST(Freshness, IsTheSmallestOfSeveral) {
  EXPECT_EQ(seconds("max-age=600, max-age=60"), 60);
  EXPECT_EQ(seconds(Fields{{"Cache-Control", "max-age=60"}, {"cache-control", "max-age=600"}}), 60);
  EXPECT_EQ(seconds("max-age=600, no-cache"), 0);
  EXPECT_EQ(seconds("no-cache=\"Set-Cookie\", max-age=600"), 0);
  EXPECT_EQ(seconds("no-store"), 0);
}

TEST(Freshness, IsNoneWhereMaxAgeCannotBeRead) {
  for (const char* bad : {"max-age", "max-age=", "max-age=x", "max-age=-1", "max-age=1.5", "max-age=+60", "max-age=60s", "max-age=\"60"}) {
    EXPECT_EQ(seconds(bad), 0) << bad;
  }
  EXPECT_EQ(seconds("max-age=99999999999999999999"), std::int64_t{1} << 31) << "large, not wrong";
}

TEST(Freshness, GoesDownByTheAgeThatTheAnswerHasAlready) {
  const auto aged = [](std::string_view age) { return seconds(Fields{{"Cache-Control", "max-age=600"}, {"Age", age}}); };
  EXPECT_EQ(aged("100"), 500);
  EXPECT_EQ(aged("600"), 0);
  EXPECT_EQ(aged("9000"), 0);
  EXPECT_EQ(aged("-5"), 600) << "no age at all";
}

}  // namespace
}  // namespace sluice::http
