#include "base/list.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace sluice {
namespace {

struct Item : Link {
  explicit Item(int n) : number(n) {}
  int number;
};

std::vector<int> drain(List<Item>& list) {
  std::vector<int> numbers;
  while (!list.empty()) {
    numbers.push_back(list.front().number);
    list.front().unlink();
  }
  return numbers;
}

TEST(List, KeepsTheOrder) {
  List<Item> list;
  Item a(1), b(2), c(3);
  for (Item* item : {&a, &b, &c}) list.push_back(*item);
  EXPECT_TRUE(b.linked());
  EXPECT_EQ(drain(list), (std::vector<int>{1, 2, 3}));
  EXPECT_FALSE(b.linked());
}

TEST(List, LosesAnItemThatDies) {
  List<Item> list;
  Item a(1), c(3);
  auto b = std::make_unique<Item>(2);
  list.push_back(a);
  list.push_back(*b);
  list.push_back(c);
  b.reset();
  EXPECT_EQ(drain(list), (std::vector<int>{1, 3}));
}

TEST(List, MovesAnItemThatIsPushedAgain) {
  List<Item> list;
  List<Item> other;
  Item a(1), b(2);
  list.push_back(a);
  list.push_back(b);
  list.push_back(a);
  EXPECT_EQ(list.front().number, 2);
  other.push_back(b);
  EXPECT_EQ(drain(list), std::vector<int>{1});
  EXPECT_EQ(drain(other), std::vector<int>{2});
}

TEST(List, LetsGoOfItsItemsWhenItDies) {
  Item a(1);
  {
    List<Item> list;
    list.push_back(a);
  }
  EXPECT_FALSE(a.linked());
  a.unlink();  // twice is nothing
}

}  // namespace
}  // namespace sluice
