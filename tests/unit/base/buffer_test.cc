#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/random.h"

namespace sluice {
namespace {

std::string text_of(const Buffer& buffer) { return std::string(as_text(buffer.bytes())); }

TEST(Buffer, OwnsNothingWhileEmpty) {
  BufferPool pool;
  Buffer buffer(pool);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0u);
  buffer.append({});
  EXPECT_EQ(pool.lent(), 0u);
  buffer.append(as_bytes("abc"));
  EXPECT_GT(pool.lent(), 0u);
  buffer.consume(3);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(pool.lent(), 0u) << "the block went back with the last octet";
}

TEST(Buffer, KeepsWhatWasAppendedInOrder) {
  BufferPool pool;
  Buffer buffer(pool);
  std::string model;
  for (int round = 0; round < 2000; ++round) {
    const std::size_t room = 200'000 - model.size();
    std::string piece(random_below(std::min<std::size_t>(room, 3000) + 1), static_cast<char>('a' + round % 26));
    buffer.append(as_bytes(piece));
    model += piece;
    const std::size_t taken = random_below(std::min<std::size_t>(model.size(), 3000) + 1);
    buffer.consume(taken);
    model.erase(0, taken);
    ASSERT_EQ(text_of(buffer), model);
    ASSERT_EQ(pool.lent() == 0, model.empty());
  }
}

TEST(Buffer, UsesTheRoomInFrontAgain) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.append(as_bytes(std::string(512, 'a')));
  buffer.consume(500);
  buffer.append(as_bytes(std::string(500, 'b')));
  EXPECT_EQ(pool.lent(), 512u) << "moved to the front instead of into a larger block";
  EXPECT_EQ(text_of(buffer), std::string(12, 'a') + std::string(500, 'b'));
  buffer.append(as_bytes("c"));
  EXPECT_EQ(pool.lent(), 1024u);
}

TEST(Buffer, GivesItsBlockBackWhenItDies) {
  BufferPool pool;
  {
    Buffer buffer(pool);
    buffer.append(as_bytes("abc"));
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(Buffer, HoldsTheLargestRemainder) {
  BufferPool pool;
  Buffer buffer(pool);
  const std::string most(256 * 1024, 'x');
  buffer.append(as_bytes(most));
  EXPECT_EQ(text_of(buffer), most);
}

TEST(BufferPool, LendsABlockAgain) {
  BufferPool pool;
  Buffer one(pool);
  one.append(as_bytes("a"));
  const std::uint8_t* block = one.bytes().data();
  one.clear();
  Buffer other(pool);
  other.append(as_bytes("b"));
  EXPECT_EQ(other.bytes().data(), block);
}

TEST(BufferPool, FreesWhatItMayNotKeep) {
  BufferPool pool(0);  // a leak or a double free is the sanitizer's to find
  for (int i = 0; i < 3; ++i) {
    Buffer buffer(pool);
    buffer.append(as_bytes(std::string(5000, 'x')));
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(BufferDeathTest, RefusesToConsumeMoreThanThereIs) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.append(as_bytes("abc"));
  EXPECT_DEATH(buffer.consume(4), "beyond the end");
}

}  // namespace
}  // namespace sluice
