#include "policy/key_source.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

constexpr Instant kNow{1000s};

class KeySourceTest : public testing::Test {
 protected:
  void SetUp() override {
    source_->on_asked([this] { ++asked_; });
  }
  std::unique_ptr<KeySource::Wait> wait(Instant now = kNow) {
    return source_->wait(now, [this] { ++woken_; });
  }

  std::shared_ptr<KeySource> source_ = std::make_shared<KeySource>(KeySourceSettings{.url = "https://id.example.com/keys"});
  std::atomic<int> asked_ = 0;
  std::atomic<int> woken_ = 0;
};

TEST_F(KeySourceTest, HasNothingUntilSomethingIsPublished) {
  EXPECT_EQ(source_->generation(), 0u);
  EXPECT_EQ(source_->keys(), nullptr);
  source_->publish("one");
  ASSERT_TRUE(source_->keys());
  EXPECT_EQ(source_->keys()->text, "one");
  EXPECT_EQ(source_->keys()->generation, source_->generation());
}

TEST_F(KeySourceTest, MovesItsGenerationWithEveryChange) {
  source_->publish("one");
  const auto first = source_->keys();
  source_->publish("two");
  EXPECT_NE(source_->generation(), first->generation);
  EXPECT_EQ(first->text, "one") << "whoever reads goes on reading";
  source_->withdraw();
  EXPECT_EQ(source_->keys(), nullptr);
  EXPECT_EQ(source_->generation(), 3u);
}

TEST_F(KeySourceTest, AsksOnceForAllWhoAskUntilThatIsAnswered) {
  const auto one = wait();
  const auto two = wait();
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(source_->waiting(), 2u);
  source_->answered();
  const auto three = wait();
  EXPECT_EQ(asked_, 2);
}

TEST_F(KeySourceTest, WakesAllWhoWaitOnceWhenTheOutcomeIsThere) {
  const auto one = wait();
  const auto two = wait();
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(one->over());
  source_->publish("new");
  EXPECT_EQ(woken_, 0) << "the fetch has not ended";
  source_->answered();
  EXPECT_TRUE(one->over() && two->over());
  EXPECT_EQ(woken_, 2);
  source_->answered();
  EXPECT_EQ(woken_, 2);
  EXPECT_EQ(source_->waiting(), 0u);
}

TEST_F(KeySourceTest, NeverWakesWhoGaveUp) {
  auto gone = wait();
  const auto stays = wait();
  gone.reset();
  EXPECT_EQ(source_->waiting(), 1u);
  source_->answered();
  EXPECT_EQ(woken_, 1);
  EXPECT_TRUE(stays->over());
}

TEST_F(KeySourceTest, LetsOnlySoManyWait) {
  std::vector<std::unique_ptr<KeySource::Wait>> waits;
  for (std::size_t i = 0; i < KeySource::kMostWaiters; ++i) waits.push_back(wait());
  EXPECT_TRUE(waits.back());
  EXPECT_EQ(wait(), nullptr);
  waits.pop_back();
  EXPECT_TRUE(wait()) << "a place that was given up is free";
}

TEST_F(KeySourceTest, LetsNobodyWaitForAFetchThatMayNotBeginInTime) {
  const auto early = wait();
  source_->rest(kNow + 30s);
  EXPECT_TRUE(early->over()) << "it waits in vain, too";
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(wait(kNow + 1s), nullptr);
  EXPECT_EQ(wait(kNow + 27s), nullptr);
  EXPECT_TRUE(wait(kNow + 28s));
  source_->answered();
  EXPECT_TRUE(wait(kNow + 1s)) << "and after the fetch everybody again";
}

TEST_F(KeySourceTest, NobodyWaitsWhereNobodyFetches) {
  source_->on_asked(nullptr);
  EXPECT_EQ(wait(), nullptr);
  source_->on_asked([this] { ++asked_; });
  EXPECT_TRUE(wait());
  EXPECT_EQ(asked_, 1) << "what was asked of nobody is asked again";
}

TEST_F(KeySourceTest, OutlivesWhoeverElseHeldIt) {
  auto last = wait();
  std::weak_ptr<KeySource> alive = source_;
  source_.reset();
  EXPECT_FALSE(alive.expired());
  last.reset();
  EXPECT_TRUE(alive.expired());
}

TEST_F(KeySourceTest, IsUsedByManyThreadsWhileOnePublishes) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 500;
  std::vector<std::thread> threads;
  std::atomic<int> running = kThreads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const auto one = wait();
        auto given_up = wait();
        given_up.reset();
        const auto keys = source_->keys();
        if (keys) {
          EXPECT_LE(keys->generation, source_->generation());
        }
      }
      --running;
    });
  }
  while (running > 0) {
    source_->publish("text");
    source_->answered();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(source_->waiting(), 0u);
  EXPECT_LE(woken_, 2 * kThreads * kRounds);
}

TEST(KeySourceSettings, SpeakOfTheSameKeysHoweverTheyAreReached) {
  const KeySourceSettings url{.url = "https://a/keys"};
  KeySourceSettings other = url;
  EXPECT_TRUE(url.remote());
  other.ca = "PEM";
  other.allow = {*net::Cidr::parse("127.0.0.1")};
  other.stale_max = 1h;
  EXPECT_TRUE(url.same_keys(other));
  other.url = "https://b/keys";
  EXPECT_FALSE(url.same_keys(other));
  const KeySourceSettings found{.discovery = true, .issuer = "https://a"};
  const KeySourceSettings elsewhere{.discovery = true, .issuer = "https://b"};
  EXPECT_TRUE(found.remote());
  EXPECT_FALSE(found.same_keys(elsewhere));
  EXPECT_FALSE(KeySourceSettings{}.remote());
}

}  // namespace
}  // namespace sluice::policy
