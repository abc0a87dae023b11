#include "config/units.h"

#include <gtest/gtest.h>

#include "config/reporter.h"

namespace sluice::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, ReadsDurationsOfEveryUnit) {
  const std::pair<const char*, Duration> table[] = {{"0s", 0ns},      {"7ns", 7ns}, {"3us", 3us},
                                                    {"250ms", 250ms}, {"30s", 30s}, {"5m", 5min},
                                                    {"1h", 1h},       {"1d", 24h},  {"007s", 7s}};
  for (const auto& [text, expected] : table) EXPECT_EQ(parse_duration(text), expected) << text;
}

TEST(Units, RefusesWhatIsNoDuration) {
  const std::pair<const char*, const char*> table[] = {{"", "does not begin with a whole number"},
                                                       {"s", "does not begin with a whole number"},
                                                       {"-1s", "does not begin with a whole number"},
                                                       {" 1s", "does not begin with a whole number"},
                                                       {"30", "has no unit"},
                                                       {"1.5s", "is not a whole number; use a smaller unit"},
                                                       {"99999999999999999999s", "is too large"},
                                                       {"9223372036854775807h", "is too large"}};
  for (const auto& [text, why] : table) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error(), why) << text;
  }
  for (const char* text : {"1S", "1sec", "1 s", "1s ", "1m30s", "1MiB", "1min"}) {
    ASSERT_FALSE(parse_duration(text)) << text;
    EXPECT_NE(parse_duration(text).error().find("unknown unit"), std::string::npos) << text;
  }
}

TEST(Units, ReadsSizesOfEveryUnit) {
  const std::pair<const char*, std::int64_t> table[] = {{"512B", 512},          {"64KiB", 65536},
                                                        {"16MiB", 16 << 20},    {"1GiB", 1 << 30},
                                                        {"2TiB", 2LL << 40},    {"1kB", 1000},
                                                        {"1KB", 1000},          {"1MB", 1'000'000},
                                                        {"1GB", 1'000'000'000}, {"1TB", 1'000'000'000'000}};
  for (const auto& [text, expected] : table) EXPECT_EQ(parse_size(text), expected) << text;
  for (const char* text : {"64", "64K", "64kib", "64 KiB", "KiB", "1.5MiB", "9999999999TiB", "-1B"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, ReadsPercentages) {
  EXPECT_EQ(parse_percent("125%"), 125);
  EXPECT_EQ(parse_percent("0%"), 0);
  for (const char* text : {"125", "1.25", "125 %", "%", "-1%", "125%%", "99999999999999999999%"}) {
    EXPECT_FALSE(parse_percent(text)) << text;
  }
}

TEST(Units, ReadsRates) {
  const auto plain = parse_rate("1000000/s");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->amount, 1'000'000);
  EXPECT_EQ(plain->per, Duration(1s));
  EXPECT_FALSE(plain->octets);
  const auto octets = parse_rate("100GiB/s");
  ASSERT_TRUE(octets);
  EXPECT_EQ(octets->amount, 100LL << 30);
  EXPECT_TRUE(octets->octets);
  EXPECT_EQ(parse_rate("10/m")->per, Duration(1min));
  EXPECT_EQ(parse_rate("5/h")->per, Duration(1h));
  EXPECT_EQ(parse_rate("5/d")->per, Duration(24h));
  for (const char* text : {"50", "50/", "/s", "50/x", "50/sec", "50/s/s", "50 /s", "5KiBs/s", "50/1s"}) {
    EXPECT_FALSE(parse_rate(text)) << text;
  }
}

TEST(Units, WritesWhatItReads) {
  for (const char* text : {"25s", "1500ms", "1m", "90s", "1d", "7ns", "0s"}) {
    EXPECT_EQ(duration_text(*parse_duration(text)), text);
  }
  for (const char* text : {"64KiB", "1MiB", "1000B", "0B", "3TiB"}) {
    EXPECT_EQ(size_text(static_cast<std::uint64_t>(*parse_size(text))), text);
  }
}

TEST(Suggestions, NameTheNearestWord) {
  EXPECT_EQ(did_you_mean("listner", {"route", "listener"}), "did you mean 'listener'?");
  EXPECT_EQ(did_you_mean("bidn", {"bind", "name"}), "did you mean 'bind'?");
  EXPECT_EQ(did_you_mean("aap", {"app", "web"}), "did you mean 'app'?");
}

TEST(Suggestions, AreSilentWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean("zebra", {"route", "listener"}), "");
  EXPECT_EQ(did_you_mean("x", {"abc"}), "");
  EXPECT_EQ(did_you_mean("", {"a"}), "");
  EXPECT_EQ(did_you_mean(std::string(1000, 'a'), {"a"}), "");
}

}  // namespace
}  // namespace sluice::config
