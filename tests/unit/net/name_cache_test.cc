#include "net/name_cache.h"

#include <gtest/gtest.h>

#include "support/fake_dns.h"
#include "support/run_until.h"

namespace sluice::net {
namespace {

struct NameCacheTest : testing::Test {
  std::vector<std::string> ask(const std::string& host) {
    std::vector<std::string> found;
    bool done = false;
    cache.resolve(host, [&](const Resolver::Answer& answer) {
      for (const Address& address : answer.addresses) found.push_back(address.ip());
      done = true;
    });
    EXPECT_TRUE(run_until(loop, [&] { return done; }));
    return found;
  }

  FakeDns dns;
  event::Loop loop;
  NameCache cache{loop, dns.servers()};
};

TEST_F(NameCacheTest, RemembersAnAnswerAndAFailure) {
  dns.set("vm1.test", {.v4 = {"203.0.113.9"}});
  EXPECT_EQ(ask("vm1.test"), std::vector<std::string>{"203.0.113.9"});
  dns.set("vm1.test", {.v4 = {"203.0.113.10"}});
  EXPECT_EQ(ask("vm1.test"), std::vector<std::string>{"203.0.113.9"}) << "for some seconds";
  EXPECT_TRUE(ask("nobody.test").empty());
  dns.set("nobody.test", {.v4 = {"203.0.113.10"}});
  EXPECT_TRUE(ask("nobody.test").empty());
}

TEST_F(NameCacheTest, AsksOnceForAllWhoAskTheSame) {
  dns.set("vm1.test", {.v4 = {"203.0.113.9"}});
  int answers = 0;
  for (int i = 0; i < 10; ++i) {
    cache.resolve("vm1.test", [&](const Resolver::Answer& answer) { answers += answer.addresses.size() == 1; });
  }
  EXPECT_TRUE(run_until(loop, [&] { return answers == 10; }));
}

TEST_F(NameCacheTest, WhoeverIsCalledMayAskAgain) {
  dns.set("vm1.test", {.v4 = {"203.0.113.9"}});
  dns.set("vm2.test", {.v4 = {"203.0.113.10"}});
  std::string second;
  cache.resolve("vm1.test", [&](const Resolver::Answer&) {
    cache.resolve("vm2.test", [&](const Resolver::Answer& answer) { second = answer.addresses.at(0).ip(); });
  });
  EXPECT_TRUE(run_until(loop, [&] { return !second.empty(); }));
}

TEST_F(NameCacheTest, AsksForSoManyAtATime) {
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string host = "silent" + std::to_string(i) + ".test";
    dns.set(host, {.silent = true});
    cache.resolve(host, [&](const Resolver::Answer& answer) { refused += answer.addresses.empty(); });
  }
  EXPECT_EQ(refused, 300 - 256);
}

TEST_F(NameCacheTest, KeepsSoManyAnswers) {
  for (int i = 0; i < 3000; ++i) EXPECT_EQ(ask("203.0.113." + std::to_string(i % 250)).size(), 1u);
  for (int i = 0; i < 1100; ++i) ask("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250));
  EXPECT_EQ(ask("10.9.9.9").size(), 1u);
}

}  // namespace
}  // namespace sluice::net
