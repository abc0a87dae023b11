#include "base/inplace_vector.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

TEST(InplaceVector, HoldsWhatItWasGivenInOrder) {
  InplaceVector<int, 3> values;
  EXPECT_TRUE(values.empty());
  EXPECT_EQ(values.push_back(1), 1);
  values.push_back(2);
  values.back() = 5;
  EXPECT_EQ(values.size(), 2u);
  EXPECT_EQ(values[1], 5);
  EXPECT_FALSE(values.full());
  values.push_back(3);
  EXPECT_TRUE(values.full());
  EXPECT_EQ(std::vector<int>(values.begin(), values.end()), (std::vector<int>{1, 5, 3}));
  EXPECT_EQ(values.values().size(), 3u);
}

TEST(InplaceVectorDeathTest, EndsTheProgramRatherThanWriteBeyondItsRoom) {
  InplaceVector<int, 1> values;
  values.push_back(1);
  EXPECT_DEATH(values.push_back(2), "full");
  EXPECT_DEATH(values[1], "beyond the end");
}

}  // namespace
}  // namespace sluice
