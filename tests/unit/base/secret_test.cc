#include "base/secret.h"

#include <gtest/gtest.h>

#include <concepts>
#include <ostream>
#include <string>
#include <type_traits>

namespace sluice {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!Printable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string> && !std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<std::string, Secret>);

TEST(Secret, RevealsWhatItWasGiven) {
  const Secret secret(std::string("octets\0and more", 15));
  EXPECT_EQ(secret.reveal(), std::string_view("octets\0and more", 15));
  EXPECT_EQ(secret.size(), 15u);
  EXPECT_FALSE(secret.empty());
  EXPECT_TRUE(Secret().empty());
  EXPECT_TRUE(Secret(std::string()).empty());
}

TEST(Secret, LeavesNothingInTheStringThatItCameIn) {
  for (const std::size_t size : {4u, 15u, 16u, 1000u}) {
    std::string from(size, 's');
    const Secret secret(std::move(from));
    EXPECT_TRUE(from.empty());
    for (std::size_t i = 0; i < from.capacity(); ++i) EXPECT_NE(from.data()[i], 's') << size << " " << i;
    EXPECT_EQ(secret.reveal(), std::string(size, 's'));
  }
}

TEST(Secret, IsSharedByItsCopies) {
  Secret one(std::string(40, 'x'));
  const Secret two = one;
  EXPECT_EQ(two.reveal().data(), one.reveal().data());
  one = "another";
  EXPECT_EQ(one.reveal(), "another");
  EXPECT_EQ(two.reveal(), std::string(40, 'x'));
  one.clear();
  EXPECT_TRUE(one.empty());
}

}  // namespace
}  // namespace sluice
