// Sessions that a rebalance closes: who leaves, when, and what their servers are counted with.
#include <gtest/gtest.h>

#include "support/survivor.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

config::Settings rebalanced(std::size_t servers, upstream::Policy policy = upstream::Policy::round_robin) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  settings.backends[0].rebalance = {.rate = 10, .threshold = 0.1};
  settings.backends[0].policy = policy;
  return settings;
}

std::size_t told_to_leave(const std::vector<Client*>& clients) {
  return static_cast<std::size_t>(
      std::ranges::count_if(clients, [](Client* client) { return client->peer.close_frame() != nullptr; }));
}

TEST(Rebalance, AsManySessionsLeaveAsAreToBeShed) {
  SimHouse house(rebalanced(1));
  std::vector<Client*> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(&house.open());
  house.advance(3s);
  EXPECT_EQ(told_to_leave(clients), 0u);
  house.server(0).to_shed = 2;
  house.advance(1s);
  EXPECT_EQ(told_to_leave(clients), 2u);
  EXPECT_EQ(house.server(0).to_shed, 0u);
  EXPECT_EQ(house.server(0).shed, 2u);
  house.advance(20s);
  EXPECT_EQ(told_to_leave(clients), 2u);
  EXPECT_EQ(house.server(0).active, 3u);
  EXPECT_EQ(house.server(0).leaving, 0u);
}

TEST(Rebalance, ASessionLeavesWith1012AndItsReason) {
  SimHouse house(rebalanced(1));
  Client& client = house.open();
  house.server(0).to_shed = 1;
  house.advance(1s);
  ASSERT_NE(client.peer.close_frame(), nullptr);
  EXPECT_EQ(client.peer.close_code(), 1012);
  EXPECT_EQ(client.peer.close_frame()->reason(), "rebalance");
}

TEST(Rebalance, AServerIsCountedWithoutThoseThatLeave) {
  SimHouse house(rebalanced(1));
  house.open();
  house.open();
  house.polls = false;  // nobody answers a Close
  house.server(0).to_shed = 1;
  const std::uint32_t active = house.server(0).active;
  house.advance(1s);
  EXPECT_EQ(house.server(0).leaving, 1u);
  EXPECT_EQ(house.server(0).staying(), active - 1);
}

// Where the client survives, a session that is to be shed is moved, and the client sees nothing of it.
TEST(Rebalance, SessionsThatSurviveAreMoved) {
  config::Settings settings = surviving(config::InFlight::hold, 2);
  settings.backends[0].rebalance = {.rate = 10, .threshold = 0.1};
  settings.backends[0].policy = upstream::Policy::least_connections;
  SimHouse house(settings);
  house.server(1).healthy = false;
  std::vector<Client*> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(&house.open());
  ASSERT_EQ(house.server(0).active, 6u);
  house.server(1).healthy = true;
  house.on_dial = [](Upstream& up) { up.peer.answers_close = true; };
  house.server(0).to_shed = 3;
  house.advance(3s);
  for (std::size_t i = 0; i < clients.size(); ++i) clients[i]->peer.text(std::to_string(i));
  house.run();
  for (std::size_t i = 0; i < house.dials(); ++i) {
    if (house.upstream(i).peer.close_frame()) house.upstream(i).wire.finish();
  }
  house.run();
  EXPECT_EQ(told_to_leave(clients), 0u);
  EXPECT_EQ(house.dials(), 9u);
  EXPECT_EQ(house.server(0).active, 3u);
  EXPECT_EQ(house.server(1).active, 3u);
  EXPECT_EQ(house.server(0).shed, 3u);
  EXPECT_EQ(house.server(0).leaving, 0u);
  const auto& revivals = house.route_tally().revivals;
  EXPECT_EQ(revivals[static_cast<std::size_t>(session::Revived::moved)].get(), 3u);
  std::size_t messages = 0;
  for (std::size_t i = 0; i < house.dials(); ++i) messages += house.upstream(i).peer.messages().size();
  EXPECT_EQ(messages, 6u);
}

TEST(Rebalance, NobodyLeavesAServerThatIsDownToItsShare) {
  SimHouse house(rebalanced(1));
  std::vector<Client*> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(&house.open());
  house.server(0).share_limit = 3;
  house.server(0).to_shed = 4;
  house.advance(2s);
  EXPECT_EQ(told_to_leave(clients), 1u) << "the others of those that were to leave have left by themselves";
}

TEST(Rebalance, NewSessionsGoToServersBelowTheirShare) {
  SimHouse house(rebalanced(2));
  house.server(0).share_limit = 2;
  house.server(1).share_limit = 9;
  for (int i = 0; i < 8; ++i) house.open();
  EXPECT_EQ(house.server(0).active, 2u);
  EXPECT_EQ(house.server(1).active, 6u);
  house.server(1).share_limit = 1;
  for (int i = 0; i < 4; ++i) house.open();
  EXPECT_EQ(house.server(0).active, 4u) << "where all have their share it counts no more";
}

TEST(Rebalance, AServerWithItsShareIsStillTheLastResort) {
  SimHouse house(rebalanced(2));
  house.server(0).share_limit = 1;
  house.server(1).share_limit = 9;
  house.open();
  house.open();
  ASSERT_EQ(house.server(0).active, 1u);
  house.on_dial = [](Upstream& up) {
    if (up.address.starts_with("10.0.0.2")) up.script = SimHouse::Script::refuse;
  };
  house.open();
  EXPECT_EQ(house.server(0).active, 2u);
}

// Sessions by key: only those whose key has another server now.
TEST(Rebalance, ByKeyOnlySessionsThatMovedLeave) {
  config::Settings settings = rebalanced(3, upstream::Policy::consistent_hash);
  settings.backends[0].key = {upstream::HashKey::Kind::query, "room"};
  SimHouse house(std::move(settings));
  house.server(2).healthy = false;
  struct Member {
    Client* client;
    upstream::Server* home;
  };
  std::vector<Member> members;
  for (int i = 0; i < 24; ++i) {
    std::array<std::uint32_t, 3> before{};
    for (std::size_t s = 0; s < 3; ++s) before[s] = house.server(s).active;
    Client& client = house.open(upgrade_request("/?room=" + std::to_string(i)));
    for (std::size_t s = 0; s < 3; ++s) {
      if (house.server(s).active > before[s]) members.push_back({&client, &house.server(s)});
    }
  }
  ASSERT_EQ(members.size(), 24u);
  for (std::size_t s = 0; s < 2; ++s) house.server(s).to_shed = 100;
  house.advance(2s);
  for (const Member& member : members) EXPECT_EQ(member.client->peer.close_frame(), nullptr) << "all are at home";
  house.server(2).healthy = true;
  house.advance(2s);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto key = "/?room=" + std::to_string(i);
    const std::uint32_t before = house.server(2).active;
    house.open(upgrade_request(key));
    const bool belongs_to_new = house.server(2).active > before;
    EXPECT_EQ(members[i].client->peer.close_frame() != nullptr, belongs_to_new) << key;
    moved += belongs_to_new;
  }
  EXPECT_GT(moved, 0u);
  EXPECT_LT(moved, members.size());
}

}  // namespace
}  // namespace sluice::test
