#include "base/slot_map.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(SlotMap, FindsWhatItWasGiven) {
  SlotMap<int> map;
  int a = 1;
  int b = 2;
  const Slot one = map.insert(&a);
  const Slot two = map.insert(&b);
  EXPECT_EQ(map.find(one), &a);
  EXPECT_EQ(map.find(two), &b);
  EXPECT_EQ(map.size(), 2u);
}

TEST(SlotMap, DropsAStaleName) {
  SlotMap<int> map;
  int a = 1;
  int b = 2;
  const Slot old = map.insert(&a);
  map.erase(old);
  EXPECT_EQ(map.find(old), nullptr);
  const Slot fresh = map.insert(&b);
  EXPECT_EQ(fresh.index, old.index) << "the place is used again";
  EXPECT_NE(fresh, old);
  EXPECT_EQ(map.find(old), nullptr);
  map.erase(old);
  EXPECT_EQ(map.find(fresh), &b) << "a stale name erases nothing";
  EXPECT_EQ(map.size(), 1u);
}

TEST(SlotMap, NamesNothingByDefault) {
  SlotMap<int> map;
  EXPECT_EQ(map.find(Slot{}), nullptr);
  int a = 1;
  map.insert(&a);
  EXPECT_EQ(map.find(Slot{}), nullptr);
  EXPECT_EQ(map.find(Slot{7, 1}), nullptr);
}

TEST(SlotMap, IsSweptByPlaces) {
  SlotMap<int> map;
  int items[3] = {1, 2, 3};
  map.insert(&items[0]);
  const Slot middle = map.insert(&items[1]);
  map.insert(&items[2]);
  map.erase(middle);
  int sum = 0;
  for (std::size_t i = 0; i < map.places(); ++i) {
    if (const int* item = map.at(i)) sum += *item;
  }
  EXPECT_EQ(map.places(), 3u);
  EXPECT_EQ(sum, 4);
}

}  // namespace
}  // namespace sluice
