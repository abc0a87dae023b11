#include "base/decimal.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

Decimal number(std::string_view text) {
  const auto found = Decimal::parse(text);
  EXPECT_TRUE(found) << text;
  return found.value_or(Decimal{});
}

TEST(Decimal, IsTheSameHoweverItIsWritten) {
  for (const char* text : {"120", "120.0", "1.2e2", "12E+1", "0.12e3", "1200e-1"}) EXPECT_EQ(number(text), number("120")) << text;
  for (const char* text : {"-0", "0.000", "0e99", "-0.0e-5"}) EXPECT_EQ(number(text), number("0")) << text;
}

TEST(Decimal, ComparesByValue) {
  const char* const rising[] = {"-1e30", "-120", "-12.5", "-12.4", "-0.001", "0", "1e-300", "0.1", "0.12", "9", "10", "99", "100.5", "1e300"};
  for (std::size_t i = 0; i < std::size(rising); ++i) {
    for (std::size_t j = 0; j < std::size(rising); ++j) {
      EXPECT_EQ(number(rising[i]) < number(rising[j]), i < j) << rising[i] << " " << rising[j];
      EXPECT_EQ(number(rising[i]) == number(rising[j]), i == j) << rising[i] << " " << rising[j];
    }
  }
}

TEST(Decimal, RoundsNothing) {
  EXPECT_LT(number("9007199254740992"), number("9007199254740993"));  // 2^53 and the next, one double
  EXPECT_LT(number("9007199254740992.5"), number("9007199254740993"));
  EXPECT_LT(number("0.1"), number("0.1000000000000000055511151231257827"));
  EXPECT_GT(number("18446744073709551616"), number("18446744073709551615"));
}

TEST(Decimal, TakesOnlyNumbersOfJson) {
  for (const char* text : {"", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "0x10", "1 ", " 1", "1,0", "nan", "inf", "1e1234567890", "1.e1", "1e1.0"}) {
    EXPECT_FALSE(Decimal::parse(text)) << text;
  }
}

}  // namespace
}  // namespace sluice
