#include "upstream/members.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

ServerSettings named(std::uint32_t weight = 1) {
  ServerSettings settings;
  settings.url = "dns+wss://chat.example:9000";
  settings.scheme = Scheme::wss;
  settings.host = "chat.example";
  settings.port = 9000;
  settings.weight = weight;
  settings.discovery = Discovery::addresses;
  return settings;
}

Found at(const std::string& ip, std::uint16_t port = 9000, std::uint32_t weight = 1) {
  return {ip, port, weight, false, {*net::Address::parse(ip, port)}};
}

std::vector<std::string> urls(std::span<const std::shared_ptr<Server>> servers) {
  std::vector<std::string> all;
  for (const auto& server : servers) all.push_back(server->settings().url);
  return all;
}

class Members : public testing::Test {
 protected:
  std::shared_ptr<Changes> changes_ = std::make_shared<Changes>(1);
  std::shared_ptr<Group> group_ = std::make_shared<Group>(named(), changes_);
};

TEST_F(Members, AreServersOfTheirOwnUnderTheConfiguredName) {
  EXPECT_TRUE(group_->members()->empty());
  EXPECT_FALSE(group_->resolved());
  group_->update({at("192.0.2.1"), at("2001:db8::2")});
  const auto members = group_->members();
  EXPECT_EQ(urls(*members), (std::vector<std::string>{"wss://192.0.2.1:9000", "wss://[2001:db8::2]:9000"}));
  EXPECT_EQ((*members)[0]->settings().host, "chat.example") << "certificates are verified by it";
  EXPECT_EQ((*members)[1]->addresses(), (std::vector{*net::Address::parse("2001:db8::2", 9000)}));
  EXPECT_TRUE((*members)[0]->resolved());
}

TEST_F(Members, AreTheSameObjectsForAsLongAsTheyStay) {
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  const auto before = group_->members();
  (*before)[1]->failures = 7;
  group_->update({at("192.0.2.3"), at("192.0.2.2")});
  const auto after = group_->members();
  EXPECT_EQ((*after)[1], (*before)[1]);
  EXPECT_EQ((*after)[1]->failures, 7u);
  EXPECT_FALSE((*after)[1]->vanished);
  EXPECT_TRUE((*before)[0]->vanished);
}

TEST_F(Members, ThatComeBackToTheirSessionsAreTheSame) {
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  const auto server = group_->members()->front();
  const ServerUse session(server);
  group_->update({at("192.0.2.2")});
  EXPECT_TRUE(server->vanished);
  EXPECT_EQ(group_->leaving(), ServerList{server});
  group_->update({at("192.0.2.2"), at("192.0.2.1")});
  EXPECT_EQ(group_->members()->back(), server);
  EXPECT_FALSE(server->vanished);
  EXPECT_TRUE(group_->leaving().empty());
}

TEST_F(Members, ThatVanishedAreForgottenWithTheirLastSession) {
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  {
    const ServerUse session(group_->members()->front());
    group_->update({at("192.0.2.2")});
    EXPECT_EQ(group_->leaving().size(), 1u);
  }
  EXPECT_TRUE(group_->leaving().empty());
}

TEST_F(Members, CountAChangeOnlyWhenThereIsOne) {
  const std::uint64_t before = changes_->load();
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  EXPECT_EQ(changes_->load(), before + 1);
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  EXPECT_EQ(changes_->load(), before + 1);
}

TEST_F(Members, ListedTwiceAreOne) {
  group_->update({at("192.0.2.1"), at("192.0.2.1"), at("192.0.2.1", 9001)});
  EXPECT_EQ(group_->members()->size(), 2u);
}

TEST_F(Members, WeighByTheConfigurationAndTheRecord) {
  group_->update({at("192.0.2.1", 9000, 10), at("192.0.2.2", 9000, 30)});
  EXPECT_EQ((*group_->members())[1]->weight, 30u);
  group_->configure(named(2));
  EXPECT_EQ((*group_->members())[0]->weight, 20u);
  EXPECT_EQ((*group_->members())[1]->weight, 60u);
  group_->update({at("192.0.2.1", 9000, 5), at("192.0.2.2", 9000, 30)});
  EXPECT_EQ((*group_->members())[0]->weight, 10u) << "the record has another weight now";
}

TEST_F(Members, StandInTheOrderOfTheConfiguration) {
  const auto servers = make_servers({1, 1});
  const Roster roster({{servers[0], nullptr}, {nullptr, group_}, {servers[1], nullptr}}, changes_);
  EXPECT_EQ(urls(roster.servers()), (std::vector<std::string>{"ws://10.0.0.1:80", "ws://10.0.0.2:80"}));
  group_->update({at("192.0.2.1")});
  EXPECT_EQ(urls(roster.servers()),
            (std::vector<std::string>{"ws://10.0.0.1:80", "wss://192.0.2.1:9000", "ws://10.0.0.2:80"}));
}

TEST_F(Members, OfARosterAtTheAddressOfAnotherAreItsOwn) {
  group_->update({at("192.0.2.1")});
  const auto other = std::make_shared<Group>(named(), changes_);
  std::optional<Roster> roster;
  roster.emplace(std::vector<Roster::Entry>{{nullptr, group_}}, changes_);
  EXPECT_EQ(roster->servers().size(), 1u);
  roster.emplace(std::vector<Roster::Entry>{{nullptr, other}}, changes_);
  EXPECT_TRUE(roster->servers().empty());
}

TEST_F(Members, CanBeWalkedWhileTheyChange) {
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  const Roster roster({{nullptr, group_}}, changes_);
  const auto walked = roster.servers();
  group_->update({at("192.0.2.3")});
  EXPECT_EQ(roster.servers().size(), 1u);
  EXPECT_EQ(urls(walked).size(), 2u) << "the list before stays once";
}

// Each thread sees whole lists only, and in the end the last one.
TEST_F(Members, AreReadByOtherThreadsMeanwhile) {
  const Roster roster({{nullptr, group_}}, changes_);
  group_->update({at("192.0.2.1"), at("192.0.2.2")});
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!done.load(std::memory_order_acquire)) {
        const auto servers = roster.servers();
        if (servers.size() != 2) ++torn;
        for (const auto& server : servers) torn += server->addresses().size() != 1;
      }
      torn += roster.servers()[0]->settings().url != "wss://192.0.2.99:9000";
    });
  }
  for (int i = 0; i < 500; ++i) {
    group_->update({at("192.0.2." + std::to_string(i % 90)), at("198.51.100." + std::to_string(i % 7))});
  }
  group_->update({at("192.0.2.99"), at("198.51.100.1")});
  done.store(true, std::memory_order_release);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

TEST(Registries, KeepWhatANameLedToOverAReload) {
  Registry registry;
  BackendSettings settings;
  settings.name = "chat";
  settings.servers = {named(), server_settings(1)};
  const auto before = registry.cluster(settings);
  registry.take_effect({before});
  before->entries()[0].group->update({at("192.0.2.1")});
  const auto server = before->servers()[0];
  settings.servers = {server_settings(2), named(3)};
  const auto after = registry.cluster(settings);
  after->take_effect();
  registry.take_effect({after});
  EXPECT_EQ(after->servers()[1], server);
  EXPECT_EQ(server->weight, 3u);
  EXPECT_FALSE(server->vanished);
  EXPECT_TRUE(before->servers()[1]->vanished) << "the configuration in force does not name it";
  after->entries()[1].group->update({at("192.0.2.7")});
  EXPECT_EQ(before->servers()[0]->settings().url, "wss://192.0.2.7:9000") << "sessions of before follow the name, too";
  registry.take_effect({});
  EXPECT_TRUE(after->servers()[1]->vanished);
}

}  // namespace
}  // namespace sluice::upstream
