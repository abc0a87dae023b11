#include "upstream/names.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "support/fake_dns.h"
#include "support/run_until.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

class NamesTest : public testing::Test {
 protected:
  NamesTest() { log::set_level(Level::off); }
  ~NamesTest() override { log::set_level(Level::info); }
  std::shared_ptr<const Cluster> cluster_of(const std::vector<std::string>& hosts) {
    BackendSettings settings;
    settings.name = "chat";
    for (const std::string& host : hosts) {
      ServerSettings server;
      server.host = host;
      server.port = 9000;
      server.url = "ws://" + host + ":9000";
      settings.servers.push_back(server);
    }
    return registry_.cluster(settings);
  }
  static std::string first(const Server& server) {
    const auto addresses = server.addresses();
    return addresses.empty() ? "" : addresses[0].text();
  }

  FakeDns dns_;
  event::Loop loop_;
  net::Resolver resolver_{loop_, dns_.servers()};
  Registry registry_;
  Names names_{loop_, resolver_};
};

TEST_F(NamesTest, GiveEveryServerItsAddresses) {
  dns_.set("one.example", {.v4 = {"192.0.2.1"}});
  dns_.set("two.example", {.v6 = {"2001:db8::2"}});
  const auto cluster = cluster_of({"one.example", "two.example", "192.0.2.3", "localhost"});
  EXPECT_EQ(cluster->up(loop_.now()), 1u) << "only the literal is known at once";
  names_.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return cluster->up(loop_.now()) == 4; }));
  EXPECT_EQ(first(*cluster->servers()[0]), "192.0.2.1:9000");
  EXPECT_EQ(first(*cluster->servers()[1]), "[2001:db8::2]:9000");
  EXPECT_EQ(first(*cluster->servers()[2]), "192.0.2.3:9000");
  EXPECT_EQ(first(*cluster->servers()[3]), "127.0.0.1:9000");
}

TEST_F(NamesTest, AskAgainAfterAFailure) {
  const auto cluster = cluster_of({"late.example"});
  names_.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return dns_.questions() >= 2; }));
  dns_.set("late.example", {.v4 = {"192.0.2.9"}});
  EXPECT_TRUE(run_until(loop_, [&] { return cluster->servers()[0]->resolved(); }));
}

TEST_F(NamesTest, KeepTheLastGoodAnswerAndFollowAChange) {
  dns_.set("moving.example", {.v4 = {"192.0.2.1"}});
  const auto cluster = cluster_of({"moving.example"});
  names_.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return cluster->servers()[0]->resolved(); }));
  dns_.set("moving.example", {.code = 3});
  names_.refresh();
  // Asked after it, so answered after it.
  bool refused = false;
  resolver_.resolve("moving.example", 1, [&refused](net::Resolver::Answer answer) { refused = !answer.error.empty(); });
  EXPECT_TRUE(run_until(loop_, [&] { return refused; }));
  EXPECT_EQ(first(*cluster->servers()[0]), "192.0.2.1:9000");
  dns_.set("moving.example", {.v4 = {"192.0.2.2"}});
  EXPECT_TRUE(run_until(loop_, [&] { return first(*cluster->servers()[0]) == "192.0.2.2:9000"; }))
      << "asked again without being told to";
}

TEST_F(NamesTest, DoNotAskAgainForServersThatStay) {
  dns_.set("stays.example", {.v4 = {"192.0.2.1"}});
  dns_.set("comes.example", {.v4 = {"192.0.2.2"}});
  const auto before = cluster_of({"stays.example"});
  names_.watch({before});
  EXPECT_TRUE(run_until(loop_, [&] { return before->servers()[0]->resolved(); }));
  const int asked = dns_.questions();
  const auto after = cluster_of({"stays.example", "comes.example"});
  EXPECT_TRUE(after->servers()[0]->resolved());
  names_.watch({after});
  EXPECT_TRUE(run_until(loop_, [&] { return after->servers()[1]->resolved(); }));
  EXPECT_EQ(dns_.questions(), asked + 2) << "A and AAAA of the new one";
}

TEST_F(NamesTest, DropTheAnswerForAServerThatLeft) {
  dns_.set("gone.example", {.v4 = {"192.0.2.1"}});
  const auto cluster = cluster_of({"gone.example"});
  names_.watch({cluster});
  names_.watch({});
  EXPECT_TRUE(run_until(loop_, [&] { return dns_.questions() >= 2; }));
  bool answered = false;
  resolver_.resolve("gone.example", 1, [&answered](net::Resolver::Answer) { answered = true; });
  EXPECT_TRUE(run_until(loop_, [&] { return answered; }));
  EXPECT_FALSE(cluster->servers()[0]->resolved());
}

}  // namespace
}  // namespace sluice::upstream
