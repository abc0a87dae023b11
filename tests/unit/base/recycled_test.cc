#include "base/recycled.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

namespace sluice {
namespace {

struct Small : Recycled<Small> {
  std::array<char, 100> room{};
};
struct Larger : Small {
  std::array<char, 100> more{};
};

TEST(RecycledTest, ServesManyAtOnceAndAgain) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Small>> all;
    for (int i = 0; i < 100; ++i) {
      all.push_back(std::make_unique<Small>());
      all.back()->room.fill(static_cast<char>(i));
    }
    for (int i = 0; i < 100; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)]->room.back(), static_cast<char>(i));
  }
}

#ifndef SLUICE_SANITIZED
TEST(RecycledTest, TheLastOneThatEndedIsTheNext) {
  auto one = std::make_unique<Small>();
  const void* const where = one.get();
  one.reset();
  EXPECT_EQ(std::make_unique<Small>().get(), where);
}
#endif

TEST(RecycledTest, AnotherSizeIsNotMixedUp) {
  std::make_unique<Small>().reset();
  auto larger = std::make_unique<Larger>();
  larger->more.fill('x');
  EXPECT_EQ(larger->more.back(), 'x');
}

TEST(RecycledTest, MayEndInAnotherThread) {
  auto one = std::make_unique<Small>();
  std::thread([mine = std::move(one)]() mutable { mine.reset(); }).join();
  std::thread([] { std::make_unique<Small>().reset(); }).join();
}

}  // namespace
}  // namespace sluice
