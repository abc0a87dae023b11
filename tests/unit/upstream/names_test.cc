#include "upstream/names.h"

#include <gtest/gtest.h>

#include <map>

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

class GroupsTest : public NamesTest {
 protected:
  std::shared_ptr<const Cluster> group_of(const std::string& url, const std::string& host, std::uint16_t port) {
    BackendSettings settings;
    settings.name = "chat";
    settings.retries = 16;
    ServerSettings server;
    server.url = url;
    server.host = host;
    server.port = port;
    server.discovery = url.starts_with("srv+") ? Discovery::services : Discovery::addresses;
    settings.servers = {server};
    return registry_.cluster(settings);
  }
  static std::vector<std::string> urls(const Cluster& cluster) {
    std::vector<std::string> all;
    for (const auto& server : cluster.servers()) all.push_back(server->settings().url);
    return all;
  }
  bool becomes(const Cluster& cluster, const std::vector<std::string>& expected) {
    return run_until(loop_, [&] { return urls(cluster) == expected; });
  }

  int changes_ = 0;
  Names groups_{loop_, resolver_, [this] { ++changes_; }};
};

TEST_F(GroupsTest, AreTheAddressesOfTheirName) {
  dns_.set("chat.example", {.v4 = {"192.0.2.2", "192.0.2.1"}, .v6 = {"2001:db8::1"}});
  const auto cluster = group_of("dns+ws://chat.example:9000", "chat.example", 9000);
  EXPECT_FALSE(cluster->resolved());
  EXPECT_TRUE(cluster->order(0, loop_.now()).empty());
  groups_.watch({cluster});
  EXPECT_TRUE(becomes(*cluster, {"ws://192.0.2.1:9000", "ws://192.0.2.2:9000", "ws://[2001:db8::1]:9000"}));
  EXPECT_EQ(cluster->order(0, loop_.now()).size(), 3u);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(cluster->entries()[0].group->lookups.results[0], 1u);
}

TEST_F(GroupsTest, FollowTheirNameAndOutliveItsLoss) {
  dns_.set("chat.example", {.v4 = {"192.0.2.1", "192.0.2.2"}});
  const auto cluster = group_of("dns+ws://chat.example:9000", "chat.example", 9000);
  groups_.watch({cluster});
  ASSERT_TRUE(becomes(*cluster, {"ws://192.0.2.1:9000", "ws://192.0.2.2:9000"}));
  const auto stays = cluster->servers()[1];
  dns_.set("chat.example", {.v4 = {"192.0.2.3", "192.0.2.2"}});
  groups_.refresh();
  ASSERT_TRUE(becomes(*cluster, {"ws://192.0.2.2:9000", "ws://192.0.2.3:9000"}));
  EXPECT_EQ(cluster->servers()[0], stays);
  const Lookups& lookups = cluster->entries()[0].group->lookups;
  for (const auto& [code, result] : std::map<int, std::size_t>{{3, 1}, {0, 2}, {2, 4}}) {
    dns_.set("chat.example", {.code = code});
    groups_.refresh();
    EXPECT_TRUE(run_until(loop_, [&] { return lookups.results[result] >= 1; })) << code;
    EXPECT_EQ(urls(*cluster).size(), 2u) << "the last good answer stays";
  }
  EXPECT_EQ(changes_, 2);
  EXPECT_GT(lookups.stale(loop_.now() + std::chrono::hours(1)), std::chrono::minutes(50));
}

TEST_F(GroupsTest, OfServicesAreTheirTargets) {
  dns_.set("_ws._tcp.chat.example",
           {.services = {{20, 7, 9002, "c.example"}, {10, 0, 9000, "a.example"}, {10, 30, 9001, "b.example"}}});
  dns_.set("a.example", {.v4 = {"192.0.2.1", "192.0.2.9"}});
  dns_.set("b.example", {.v4 = {"192.0.2.2"}});
  dns_.set("c.example", {.v4 = {"192.0.2.3"}});
  const auto cluster = group_of("srv+ws://_ws._tcp.chat.example", "_ws._tcp.chat.example", 0);
  groups_.watch({cluster});
  ASSERT_TRUE(becomes(*cluster, {"ws://a.example:9000", "ws://b.example:9001", "ws://c.example:9002"}));
  const auto servers = cluster->servers();
  EXPECT_EQ(servers[0]->addresses().size(), 2u) << "tried in turn";
  EXPECT_EQ(servers[0]->addresses()[0].port(), 9000);
  EXPECT_EQ(servers[0]->settings().host, "chat.example") << "what a certificate must be for";
  EXPECT_EQ(servers[0]->weight, 1u);
  EXPECT_EQ(servers[1]->weight, 30u);
  const auto& found = cluster->entries()[0].group->found();
  EXPECT_FALSE(found[0].backup);
  EXPECT_FALSE(found[1].backup);
  EXPECT_TRUE(found[2].backup) << "of a higher priority number";
}

TEST_F(GroupsTest, OfServicesKeepATargetThatCannotBeResolvedNow) {
  dns_.set("_ws._tcp.chat.example", {.services = {{0, 0, 9000, "a.example"}, {0, 0, 9001, "b.example"}}});
  dns_.set("a.example", {.v4 = {"192.0.2.1"}});
  dns_.set("b.example", {.v4 = {"192.0.2.2"}});
  const auto cluster = group_of("srv+ws://_ws._tcp.chat.example", "_ws._tcp.chat.example", 0);
  groups_.watch({cluster});
  ASSERT_TRUE(becomes(*cluster, {"ws://a.example:9000", "ws://b.example:9001"}));
  const auto b = cluster->servers()[1];
  dns_.set("b.example", {.code = 2});
  dns_.set("_ws._tcp.chat.example", {.services = {{0, 0, 9001, "b.example"}, {0, 0, 9002, "missing.example"}}});
  groups_.refresh();
  EXPECT_TRUE(becomes(*cluster, {"ws://b.example:9001"})) << "one that was never resolved is left out";
  EXPECT_EQ(cluster->servers()[0], b);
  EXPECT_EQ(b->addresses()[0].text(), "192.0.2.2:9001");
}

TEST_F(GroupsTest, AskOnForANameThatIsNotThereAtTheStart) {
  const auto cluster = group_of("dns+ws://late.example:9000", "late.example", 9000);
  groups_.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return cluster->entries()[0].group->lookups.results[1] >= 1; }));
  dns_.set("late.example", {.v4 = {"192.0.2.1"}});
  EXPECT_TRUE(becomes(*cluster, {"ws://192.0.2.1:9000"}));
}

}  // namespace
}  // namespace sluice::upstream
