#include "server/shared_revocations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::server {
namespace {

using store::RedisFault;
using store::RedisReply;
using testing::ElementsAre;
using testing::IsEmpty;
using Type = RedisReply::Type;
using Kind = policy::Revocation::Kind;

struct MovingClock final : Clock {
  Instant now() const override { return Instant(time.time_since_epoch()); }
  WallTime wall() const override { return time; }
  WallTime time{std::chrono::hours(24 * 365 * 56)};
};

RedisReply text(std::string octets, Type type = Type::string) { return {type, std::move(octets), 0, {}}; }
RedisReply nil() { return {}; }
RedisReply number(std::int64_t value) { return {Type::integer, "", value, {}}; }
RedisReply page(const std::string& cursor, std::vector<std::string> ids) {
  RedisReply members{Type::array, "", 0, {}};
  for (std::string& id : ids) {
    members.items.push_back(text(std::move(id)));
    members.items.push_back(text("1"));
  }
  return {Type::array, "", 0, {text(cursor), std::move(members)}};
}

class SharedRevocationsTest : public testing::Test {
 protected:
  SharedRevocationsTest() {
    shared_.changed = [this] { ++changes_; };
  }
  // What has been asked and not answered.
  std::vector<std::string> asked() const {
    std::vector<std::string> out;
    for (const auto& [command, done] : asked_) out.push_back(command[0] == "EVAL" ? "PUT " + command[7] + " " + command[6] : command[0] + " " + command[1]);
    return out;
  }
  void answer(RedisReply reply) {
    auto done = std::move(asked_.front().second);
    asked_.pop_front();
    done(std::move(reply));
  }
  void lose() {
    auto asked = std::exchange(asked_, {});
    shared_.down();
    for (auto& [command, done] : asked) done(std::unexpected(RedisFault::lost));
  }
  void catch_up() {
    shared_.up();
    answer(page("0", {}));
  }
  policy::Revocation revocation(const std::string& value) {
    policy::Revocation what;
    what.value = value;
    what.id = "some";
    what.made = clock_.time;
    what.expires = clock_.time + std::chrono::minutes(10);
    return what;
  }
  std::string id(const std::string& value) { return policy::Revocations::id_of(revocation(value)); }
  // As another gateway says it.
  std::string said(char flag, const std::string& value, std::chrono::seconds ago = {}) {
    const policy::Revocation what = revocation(value);
    return std::string(1, flag) + " " + std::to_string((what.made - ago).time_since_epoch().count()) + " " +
           std::to_string(what.expires.time_since_epoch().count()) + " other {\"id\":\"x\",\"kind\":\"sub\",\"value\":\"" + value +
           "\",\"made\":1,\"expires\":1}";
  }
  void revoke(const std::string& body) {
    RevokeCommand command;
    EXPECT_FALSE(command.read(body)) << body;
    revoker_.revoke(command, "127.0.0.1", [](const AdminReply&) {});
  }
  void restore(const std::string& value) { revoker_.restore(id(value), "127.0.0.1"); }
  bool known(const std::string& value) { return table_->find_same(revocation(value)) != nullptr; }

  MovingClock clock_;
  event::Loop loop_{&clock_};
  std::shared_ptr<policy::Revocations> table_ = std::make_shared<policy::Revocations>();
  std::vector<std::string> kicks_;
  Revoker revoker_{loop_, table_, [this](std::shared_ptr<const session::Kick> kick, std::move_only_function<void(std::size_t)> done) {
                     kicks_.push_back(kick->revocation().value);
                     done(1);
                   }};
  std::deque<std::pair<std::vector<std::string>, store::RedisPipeline::Done>> asked_;
  int changes_ = 0;
  bool takes_ = true;
  SharedRevocations shared_{loop_, revoker_, table_, "p", "me", [this](const std::vector<std::string>& command, store::RedisPipeline::Done done) {
                              if (takes_) asked_.emplace_back(command, std::move(done));
                              return takes_;
                            }};
};

TEST_F(SharedRevocationsTest, WhatIsDoneHereIsTold) {
  catch_up();
  EXPECT_TRUE(shared_.current());
  revoke(R"({"sub":"ann","ttl":"10m"})");
  EXPECT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
  EXPECT_THAT(asked_[0].first[3], "p:{v1}:rev:" + id("ann"));
  answer(number(1));
  restore("ann");
  EXPECT_THAT(asked(), ElementsAre("PUT - " + id("ann")));
  answer(number(1));
  EXPECT_EQ(shared_.tally().sent, 2u);
  revoke(R"({"sub":"bob"})");
  EXPECT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].first[7], "!");
}

TEST_F(SharedRevocationsTest, WhatOthersDoIsDoneHere) {
  catch_up();
  shared_.came(said('+', "ann"));
  EXPECT_TRUE(known("ann"));
  shared_.came(said('+', "ann"));
  EXPECT_THAT(kicks_, ElementsAre("ann")) << "that was no news";
  shared_.came(said('!', "bob"));
  EXPECT_THAT(kicks_, ElementsAre("ann", "bob"));
  EXPECT_FALSE(known("bob"));
  clock_.time += std::chrono::milliseconds(1);
  shared_.came(said('-', "ann"));
  EXPECT_FALSE(known("ann"));
  EXPECT_THAT(asked(), IsEmpty()) << "nobody is told what came from there";
}

TEST_F(SharedRevocationsTest, WhatWasTakenBackEarlierThanItWasSaidHolds) {
  catch_up();
  shared_.came(said('+', "ann"));
  shared_.came(said('-', "ann", std::chrono::seconds(5)));
  EXPECT_TRUE(known("ann"));
}

TEST_F(SharedRevocationsTest, WhoComesBackReadsAllOfItAPageAtATime) {
  shared_.up();
  EXPECT_THAT(asked(), ElementsAre("ZSCAN p:{v1}:revocations"));
  answer(page("7", {id("ann"), id("bob")}));
  EXPECT_THAT(asked(), ElementsAre("GET p:{v1}:rev:" + id("ann"), "GET p:{v1}:rev:" + id("bob")));
  answer(text(said('+', "ann")));
  answer(nil());  // it has ended meanwhile
  EXPECT_FALSE(shared_.current());
  EXPECT_THAT(kicks_, ElementsAre("ann"));
  ASSERT_THAT(asked(), ElementsAre("ZSCAN p:{v1}:revocations"));
  EXPECT_EQ(asked_[0].first[2], "7");
  answer(page("0", {id("zoe")}));
  answer(text(said('+', "zoe")));
  EXPECT_TRUE(shared_.current());
  EXPECT_EQ(changes_, 1);
  EXPECT_TRUE(known("ann") && known("zoe") && !known("bob"));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(SharedRevocationsTest, WhatWasDoneWhileItWasAwayIsTold) {
  catch_up();
  revoke(R"({"sub":"zoe","ttl":"10m"})");
  answer(number(1));
  lose();
  EXPECT_FALSE(shared_.current());
  revoke(R"({"sub":"ann","ttl":"10m"})");
  restore("zoe");
  revoke(R"({"sub":"bob"})");
  EXPECT_THAT(asked(), IsEmpty());
  shared_.up();
  // First what would come back otherwise.
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked()[0], "PUT - " + id("zoe"));
  EXPECT_EQ(asked_[1].first[7], "!");
  answer(number(1));
  EXPECT_EQ(asked_.size(), 1u) << "not read yet";
  answer(number(1));
  EXPECT_THAT(asked(), ElementsAre("ZSCAN p:{v1}:revocations"));
  answer(page("0", {id("zoe")}));
  answer(text(said('-', "zoe")));
  EXPECT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
}

TEST_F(SharedRevocationsTest, WhatWasTakenBackAndThenSaidAgainWhileItWasAwayIsTold) {
  // The mark of the restore lasts longer than what is said after it.
  const std::string restored = said('-', "ann");
  clock_.time += std::chrono::seconds(10);
  shared_.down();
  revoke(R"({"sub":"ann","ttl":"1m"})");
  shared_.up();
  answer(page("0", {id("ann")}));
  answer(text(restored));
  EXPECT_TRUE(known("ann"));
  EXPECT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
}

TEST_F(SharedRevocationsTest, WhatWasSaidAnewWhileItWasAwayIsToldThoughItsEndIsNot) {
  const std::string before = said('+', "ann");
  clock_.time += std::chrono::seconds(10);
  shared_.down();
  revoke(R"({"sub":"ann","ttl":"1m"})");
  shared_.up();
  answer(page("0", {id("ann")}));
  answer(text(before));
  ASSERT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
  EXPECT_EQ(asked_[0].first[8], std::to_string(clock_.time.time_since_epoch().count())) << "when it was said last";
}

TEST_F(SharedRevocationsTest, WhatIsTakenBackBetweenTheRepliesOfAPageStaysBack) {
  shared_.up();
  answer(page("0", {id("ann"), id("bob")}));
  answer(text(said('+', "ann")));
  shared_.came(said('-', "ann"));
  answer(text(said('+', "bob")));
  EXPECT_FALSE(known("ann"));
  EXPECT_TRUE(known("bob"));
}

TEST_F(SharedRevocationsTest, AnEmptyServerIsFilledAgain) {
  catch_up();
  shared_.came(said('+', "ann"));
  lose();
  catch_up();
  EXPECT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
}

TEST_F(SharedRevocationsTest, WhatGotLostOnTheWayIsToldAgain) {
  catch_up();
  revoke(R"({"sub":"ann","ttl":"10m"})");
  revoke(R"({"sub":"bob"})");
  lose();
  shared_.up();
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].first[7], "!");
  answer(number(1));
  answer(page("0", {}));
  EXPECT_THAT(asked(), ElementsAre("PUT + " + id("ann")));
}

TEST_F(SharedRevocationsTest, AKickIsForgottenAfterAMinute) {
  revoke(R"({"sub":"ann"})");
  clock_.time += std::chrono::seconds(61);
  shared_.up();
  EXPECT_THAT(asked(), ElementsAre("ZSCAN p:{v1}:revocations"));
}

TEST_F(SharedRevocationsTest, WhatIsTakenBackWhileItReadsStaysBack) {
  for (const bool here : {false, true}) {
    shared_.down();
    asked_.clear();
    policy::Revocation ann = revocation("ann");
    ann.id.clear();  // as made here
    table_->add(std::move(ann));
    shared_.up();
    answer(page("0", {id("ann")}));
    const std::string before = said('+', "ann");
    clock_.time += std::chrono::milliseconds(1);
    if (here) {
      restore("ann");
    } else {
      shared_.came(said('-', "ann"));
    }
    EXPECT_FALSE(known("ann"));
    answer(text(before));
    EXPECT_FALSE(known("ann")) << here;
  }
}

TEST_F(SharedRevocationsTest, RepliesOfAnEarlierLinkSayNothing) {
  shared_.up();
  auto asked = std::exchange(asked_, {});
  shared_.down();
  shared_.up();
  asked.front().second(page("0", {}));
  EXPECT_FALSE(shared_.current());
  answer(page("0", {}));
  EXPECT_TRUE(shared_.current());
}

TEST_F(SharedRevocationsTest, WhatIsNoEntryIsLeftOut) {
  catch_up();
  const std::string good = said('+', "ann");
  for (std::size_t size = 0; size < good.size(); ++size) shared_.came(good.substr(0, size));
  shared_.came("* " + good.substr(2));
  std::string code = good;
  code.insert(code.size() - 1, ",\"code\":1005");
  shared_.came(code);
  const std::string far = std::to_string((clock_.time + std::chrono::hours(24 * 400)).time_since_epoch().count());
  shared_.came("+ 1 " + far + good.substr(good.find(" other")));
  EXPECT_FALSE(known("ann"));
  EXPECT_THAT(kicks_, IsEmpty());
}

}  // namespace
}  // namespace sluice::server
