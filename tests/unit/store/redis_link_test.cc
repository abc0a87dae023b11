#include "store/redis_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/buffer.h"
#include "event/loop.h"
#include "support/run_until.h"
#include "support/scripted_connector.h"

namespace sluice::store {
namespace {

using namespace std::chrono_literals;
using sluice::run_until;
using test::Faults;
using test::ScriptedConnector;
using test::Wire;
using testing::ElementsAre;
using testing::HasSubstr;

class RedisLinkTest : public testing::Test {
 protected:
  struct Far {
    Faults faults;
    Wire wire{faults};
    ScriptedConnector::Script script = ScriptedConnector::Script::accept;
    bool answered = true;
  };

  RedisLinkTest() { answer_.addresses = {*net::Address::parse("192.0.2.1", 6379)}; }

  void make(std::string channel = "") {
    RedisLink::Way way;
    way.resolve = [this](std::move_only_function<void(net::Resolver::Answer)> done) {
      ++resolved_;
      done(answer_);
    };
    way.dial = [this](const net::Address& address, net::Ready& ready) {
      dialled_.push_back(address.text());
      Far& far = *fars_.emplace_back(std::make_unique<Far>());
      if (!scripts_.empty()) {
        far.script = scripts_.front();
        scripts_.erase(scripts_.begin());
      }
      return std::make_unique<ScriptedConnector>(place_, far.wire, far.script, far.answered, ready);
    };
    way.username = "user";
    way.password = Secret(std::string("password"));
    way.database = 3;
    way.channel = std::move(channel);
    RedisLink::Hooks hooks;
    hooks.up = [this] { ++ups_; };
    hooks.down = [this](RedisFault fault, const std::string& why) {
      downs_.push_back(std::string(kRedisFaultNames[static_cast<std::size_t>(fault)]) + ": " + why);
    };
    hooks.message = [this](std::string_view payload) { messages_.emplace_back(payload); };
    link_ = std::make_unique<RedisLink>(loop_, std::move(way), std::move(hooks), tally_, [] { return ~std::uint64_t{0}; });
    link_->open();
  }
  bool wait(const std::function<bool()>& so) { return run_until(loop_, so, 20s); }
  Far& far() { return *fars_.back(); }
  void say(std::string_view octets) {
    far().wire.send(octets);
    far().wire.stream->edge(true, false);
  }
  void bring_up() {
    const std::size_t before = fars_.size();
    ASSERT_TRUE(wait([&] { return fars_.size() > before && !far().wire.out.empty(); }));
    say("+OK\r\n+OK\r\n+PONG\r\n");
    ASSERT_TRUE(link_->up());
    far().wire.out.clear();
  }
  bool ask(const std::string& word, Duration timeout = Duration::zero()) {
    const std::vector<std::string> command{word};
    return link_->ask(command, timeout, [this](const RedisPipeline::Answer& answer) {
      said_.push_back(answer ? answer->text : std::string(kRedisFaultNames[static_cast<std::size_t>(answer.error())]));
    });
  }

  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
  RedisTally tally_;
  net::Resolver::Answer answer_;
  std::vector<ScriptedConnector::Script> scripts_;
  std::vector<std::unique_ptr<Far>> fars_;
  std::vector<std::string> dialled_;
  std::vector<std::string> downs_;
  std::vector<std::string> messages_;
  std::vector<std::string> said_;
  int resolved_ = 0;
  int ups_ = 0;
  std::unique_ptr<RedisLink> link_;
};

constexpr std::string_view kGreeting =
    "*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$8\r\npassword\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";

TEST_F(RedisLinkTest, GreetsAndThenTakesCommands) {
  make();
  EXPECT_FALSE(ask("GET")) << "it is not up";
  ASSERT_TRUE(wait([&] { return !fars_.empty() && !far().wire.out.empty(); }));
  EXPECT_EQ(far().wire.out, std::string(kGreeting) + "*1\r\n$4\r\nPING\r\n");
  const std::string_view replies = "+OK\r\n+OK\r\n+PONG\r\n";
  for (std::size_t i = 0; i < replies.size(); ++i) {  // whatever it is cut into
    EXPECT_FALSE(link_->up());
    say(replies.substr(i, 1));
  }
  EXPECT_TRUE(link_->up());
  EXPECT_EQ(ups_, 1);
  far().wire.out.clear();
  EXPECT_TRUE(ask("ONE") && ask("TWO"));
  EXPECT_TRUE(far().wire.out.empty()) << "what is asked in one pass leaves in one write";
  ASSERT_TRUE(wait([&] { return !far().wire.out.empty(); }));
  EXPECT_EQ(far().wire.out, "*1\r\n$3\r\nONE\r\n*1\r\n$3\r\nTWO\r\n");
  say("+1\r\n+2\r\n");
  EXPECT_THAT(said_, ElementsAre("1", "2"));
}

TEST_F(RedisLinkTest, Listens) {
  make("news");
  ASSERT_TRUE(wait([&] { return !fars_.empty() && !far().wire.out.empty(); }));
  EXPECT_EQ(far().wire.out, std::string(kGreeting) + "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n");
  say("+OK\r\n+OK\r\n*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
  EXPECT_TRUE(link_->up());
  say("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
  EXPECT_THAT(messages_, ElementsAre("hello"));
}

TEST_F(RedisLinkTest, ALoginThatIsRefusedIsSaidAndTriedAgain) {
  make();
  ASSERT_TRUE(wait([&] { return !fars_.empty() && !far().wire.out.empty(); }));
  say("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_THAT(downs_, ElementsAre(HasSubstr("auth: WRONGPASS")));
  EXPECT_TRUE(fars_[0]->wire.closed);
  bring_up();
  EXPECT_EQ(resolved_, 2) << "the name is resolved each time";
}

TEST_F(RedisLinkTest, AServerThatLoadsItsDataIsNotUp) {
  make();
  ASSERT_TRUE(wait([&] { return !fars_.empty() && !far().wire.out.empty(); }));
  say("+OK\r\n+OK\r\n-LOADING Redis is loading the dataset in memory\r\n");
  EXPECT_THAT(downs_, ElementsAre("refused: LOADING Redis is loading the dataset in memory"));
  EXPECT_EQ(ups_, 0);
}

TEST_F(RedisLinkTest, WhoWaitsWhenItIsLostIsTold) {
  make();
  bring_up();
  ASSERT_TRUE(ask("GET"));
  far().wire.finish();
  far().wire.stream->edge(true, false);
  EXPECT_THAT(said_, ElementsAre("lost"));
  EXPECT_THAT(downs_, ElementsAre("lost: the connection ended"));
  EXPECT_FALSE(ask("GET"));
  bring_up();
  EXPECT_EQ(ups_, 2);
  EXPECT_EQ(tally_.faults[static_cast<std::size_t>(RedisFault::lost)], 1u);
}

TEST_F(RedisLinkTest, GarbageEndsIt) {
  for (const char* garbage : {"*1000000000\r\n", "HTTP/1.1 400 Bad Request\r\n", "+nobody asked\r\n"}) {
    downs_.clear();
    make();
    bring_up();
    say(garbage);
    ASSERT_EQ(downs_.size(), 1u) << garbage;
    EXPECT_THAT(downs_[0], HasSubstr("protocol: "));
    EXPECT_TRUE(far().wire.closed);
  }
}

TEST_F(RedisLinkTest, AReplicaIsLeft) {
  make();
  bring_up();
  ASSERT_TRUE(ask("SET"));
  say("-READONLY You can't write against a read only replica.\r\n");
  EXPECT_THAT(said_, ElementsAre(HasSubstr("READONLY")));
  EXPECT_THAT(downs_, ElementsAre("refused: it serves nobody now"));
}

TEST_F(RedisLinkTest, WhatIsNotAnsweredInTimeIsToldAndTheLinkStays) {
  make();
  bring_up();
  ASSERT_TRUE(ask("GET", 1ms));
  ASSERT_TRUE(wait([&] { return !said_.empty(); }));
  EXPECT_THAT(said_, ElementsAre("timeout"));
  EXPECT_TRUE(link_->up());
  say("$4\r\nlate\r\n");
  ASSERT_TRUE(ask("GET"));
  say("$4\r\nsoon\r\n");
  EXPECT_THAT(said_, ElementsAre("timeout", "soon"));
}

TEST_F(RedisLinkTest, AServerThatAnswersNoMoreIsGivenUp) {
  make();
  bring_up();
  ASSERT_TRUE(ask("GET"));
  ASSERT_TRUE(wait([&] { return !downs_.empty(); }));
  EXPECT_THAT(downs_, ElementsAre("timeout: it answers no more"));
  EXPECT_THAT(said_, ElementsAre("timeout"));
}

TEST_F(RedisLinkTest, AnIdleLinkIsLookedAfter) {
  make();
  bring_up();
  ASSERT_TRUE(wait([&] { return far().wire.out == "*1\r\n$4\r\nPING\r\n"; }));
  say("+PONG\r\n");
  EXPECT_TRUE(link_->up());
}

TEST_F(RedisLinkTest, AddressesAreTriedInTurn) {
  answer_.addresses = {*net::Address::parse("192.0.2.1", 1), *net::Address::parse("192.0.2.2", 2)};
  scripts_ = {ScriptedConnector::Script::refuse};
  make();
  ASSERT_TRUE(wait([&] { return fars_.size() == 2 && !far().wire.out.empty(); }));
  EXPECT_THAT(dialled_, ElementsAre("192.0.2.1:1", "192.0.2.2:2"));
  EXPECT_TRUE(downs_.empty());
}

TEST_F(RedisLinkTest, SaysWhyItCannotBeMade) {
  using Script = ScriptedConnector::Script;
  answer_.addresses = {*net::Address::parse("192.0.2.1", 1), *net::Address::parse("192.0.2.2", 2)};
  scripts_ = {Script::tls, Script::refuse};
  make();
  ASSERT_TRUE(wait([&] { return !downs_.empty(); }));
  EXPECT_THAT(downs_[0], HasSubstr("tls: ")) << "it got further than the other";
  downs_.clear();
  answer_.addresses.clear();
  answer_.result = net::Lookup::nxdomain;
  answer_.error = "no such name";
  make();
  ASSERT_TRUE(wait([&] { return !downs_.empty(); }));
  EXPECT_EQ(downs_[0], "dns: no such name");
}

TEST_F(RedisLinkTest, CanBeDroppedAtAnyMoment) {
  make();
  link_.reset();
  make();
  ASSERT_TRUE(wait([&] { return !fars_.empty(); }));
  link_.reset();
  make();
  bring_up();
  ASSERT_TRUE(ask("GET"));
  link_.reset();
  EXPECT_TRUE(far().wire.closed);
  EXPECT_TRUE(said_.empty()) << "nobody is there to be told";
}

}  // namespace
}  // namespace sluice::store
