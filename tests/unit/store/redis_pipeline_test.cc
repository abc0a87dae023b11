#include "store/redis_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/backoff.h"

namespace sluice::store {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class RedisPipelineTest : public testing::Test {
 protected:
  bool ask(const std::string& word, Duration timeout = Duration::zero()) {
    const std::vector<std::string> command{word};
    return pipeline_.ask(command, timeout, now_, [this, word](const RedisPipeline::Answer& answer) {
      said_.push_back(word + ": " + (answer ? answer->text : std::string(kRedisFaultNames[static_cast<std::size_t>(answer.error())])));
      if (then_) std::exchange(then_, nullptr)();
    });
  }
  std::expected<void, RedisFault> take(std::string_view octets) { return pipeline_.take(as_bytes(octets), now_); }

  Instant now_{1h};
  std::vector<std::string> said_;
  std::vector<std::string> messages_;
  std::vector<Duration> took_;
  std::function<void()> then_;
  RedisPipeline pipeline_{[this](std::string_view channel, std::string_view payload) {
                            messages_.push_back(std::string(channel) + "=" + std::string(payload));
                          },
                          [this](Duration duration) { took_.push_back(duration); }};
};

TEST_F(RedisPipelineTest, RepliesComeInTheOrderOfTheirCommands) {
  ask("A");
  now_ += 10ms;
  ask("B");
  EXPECT_EQ(pipeline_.out(), "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n");
  EXPECT_EQ(pipeline_.oldest(), now_ - 10ms);
  EXPECT_TRUE(take("+one\r\n+tw"));
  EXPECT_THAT(said_, ElementsAre("A: one"));
  EXPECT_TRUE(take("o\r\n"));
  EXPECT_THAT(said_, ElementsAre("A: one", "B: two"));
  EXPECT_THAT(took_, ElementsAre(10ms, 0ms));
  EXPECT_EQ(pipeline_.oldest(), kNever);
}

TEST_F(RedisPipelineTest, WhatTakesTooLongIsToldOnceAndItsReplyDropped) {
  ask("A", 50ms);
  ask("B");
  EXPECT_EQ(pipeline_.due(), now_ + 50ms);
  now_ += 49ms;
  pipeline_.expire(now_);
  EXPECT_TRUE(said_.empty());
  now_ += 1ms;
  pipeline_.expire(now_);
  EXPECT_THAT(said_, ElementsAre("A: timeout"));
  EXPECT_EQ(pipeline_.due(), kNever);
  EXPECT_TRUE(take("+late\r\n+two\r\n"));
  EXPECT_THAT(said_, ElementsAre("A: timeout", "B: two"));
  EXPECT_EQ(took_.size(), 1u) << "of B alone";
}

TEST_F(RedisPipelineTest, MessagesAreNoReplies) {
  ask("SUBSCRIBE");
  EXPECT_TRUE(take("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"));
  ask("PING");
  EXPECT_TRUE(take("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\nyou\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
  EXPECT_THAT(said_, ElementsAre("SUBSCRIBE: ", "PING: "));
  EXPECT_THAT(messages_, ElementsAre("c=hello", "c=you"));
}

TEST_F(RedisPipelineTest, AReplyThatNobodyAskedForEndsIt) {
  EXPECT_EQ(take("+hello\r\n").error(), RedisFault::protocol);
}

TEST_F(RedisPipelineTest, GarbageEndsItBehindWhatWasGood) {
  ask("A");
  ask("B");
  EXPECT_EQ(take("+one\r\n*1000000000\r\n").error(), RedisFault::protocol);
  EXPECT_THAT(said_, ElementsAre("A: one"));
  pipeline_.fail(RedisFault::protocol);
  EXPECT_THAT(said_, ElementsAre("A: one", "B: protocol"));
}

TEST_F(RedisPipelineTest, AServerThatServesNobodyEndsIt) {
  for (const char* word : {"LOADING", "READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN", "NOAUTH"}) {
    said_.clear();
    ask("A");
    EXPECT_EQ(take("-" + std::string(word) + " so\r\n").error(), RedisFault::refused) << word;
    EXPECT_THAT(said_, ElementsAre("A: " + std::string(word) + " so"));
  }
  ask("A");
  EXPECT_TRUE(take("-ERR wrong number of arguments\r\n")) << "that is about one command";
}

TEST_F(RedisPipelineTest, AnAnswerMayAskForMore) {
  then_ = [this] { ask("B"); };
  ask("A");
  EXPECT_TRUE(take("+one\r\n"));
  EXPECT_TRUE(take("+two\r\n"));
  EXPECT_THAT(said_, ElementsAre("A: one", "B: two"));
  then_ = [this] { ask("D", 1ms); };
  ask("C", 1ms);
  now_ += 1ms;
  pipeline_.expire(now_);
  EXPECT_EQ(said_.back(), "C: timeout");
  EXPECT_EQ(pipeline_.due(), now_ + 1ms);
}

TEST_F(RedisPipelineTest, NoMoreThanSoManyWait) {
  for (std::size_t i = 0; i < RedisPipeline::kMostWaiting; ++i) ASSERT_TRUE(ask("A"));
  EXPECT_FALSE(ask("A"));
  EXPECT_TRUE(said_.empty());
  pipeline_.fail(RedisFault::lost);
  EXPECT_EQ(said_.size(), RedisPipeline::kMostWaiting);
}

TEST_F(RedisPipelineTest, NoMoreThanSoMuchIsUnsent) {
  const std::string large(1024 * 1024, 'x');
  std::size_t taken = 0;
  while (ask(large)) ASSERT_LE(++taken, 9u);
  EXPECT_EQ(taken, 8u);
}

TEST(BackoffTest, GrowsToABoundWithUpToHalfLess) {
  Backoff backoff(50ms, 1s);
  for (const Duration whole : std::vector<Duration>{50ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s}) EXPECT_EQ(backoff.next(0), whole);
  Backoff random(50ms, 1s);
  for (const Duration whole : std::vector<Duration>{50ms, 100ms, 200ms, 400ms, 800ms, 1s}) {
    const Duration got = random.next(0xfedcba9876543210);
    EXPECT_LE(got, whole);
    EXPECT_GE(got, whole / 2);
  }
}

TEST(BackoffTest, StartsAnewOnceSomethingHasHeld) {
  Backoff backoff(50ms, 1s);
  for (int i = 0; i < 6; ++i) backoff.next(0);
  backoff.held(999ms);
  EXPECT_EQ(backoff.next(0), 1s) << "a server that comes and goes is not run after";
  backoff.held(1s);
  EXPECT_EQ(backoff.next(0), 50ms);
}

}  // namespace
}  // namespace sluice::store
