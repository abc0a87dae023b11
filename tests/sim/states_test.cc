// States of servers: who is given new sessions, and what becomes of those that a server has.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using upstream::Duty;

config::Settings two_servers(bool close) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000"});
  settings.routes[0].close_on_server_down = close;
  return settings;
}

std::size_t relaying(SimHouse& house) { return static_cast<std::size_t>(house.route_tally().connections.get()); }

TEST(States, ADrainedOrDownServerIsGivenNoNewSession) {
  for (const Duty duty : {Duty::drain, Duty::down}) {
    SimHouse house(two_servers(false));
    house.server(0).command_duty(duty);
    for (int i = 0; i < 6; ++i) house.open();
    for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_EQ(house.upstream(i).address, "10.0.0.2:9000");
    EXPECT_EQ(relaying(house), 6u);
    house.server(1).command_duty(duty);
    Client& client = house.open();
    EXPECT_TRUE(client.peer.head.starts_with("HTTP/1.1 503 ")) << client.peer.head;
    house.server(0).command_duty(std::nullopt);
    house.open();
    EXPECT_EQ(house.last().address, "10.0.0.1:9000");
  }
}

TEST(States, TheStateOfTheConfigurationCountsUntilTheOperatorSpeaks) {
  config::Settings settings = two_servers(false);
  settings.backends[0].servers[0].duty = Duty::down;
  SimHouse house(std::move(settings));
  house.open();
  house.open();
  EXPECT_EQ(house.server(0).active.load(), 0u);
  house.server(0).command_duty(Duty::ready);
  house.open();
  house.open();
  EXPECT_EQ(house.server(0).active.load(), 1u);
  house.server(0).command_duty(std::nullopt);
  house.open();
  house.open();
  EXPECT_EQ(house.server(0).active.load(), 1u);
}

TEST(States, SessionsOfADrainedServerLiveOn) {
  SimHouse house(two_servers(true));
  Client& client = house.open();
  house.server(0).command_duty(Duty::drain);
  house.server(1).command_duty(Duty::drain);
  house.advance(10s);
  client.peer.text("still here");
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages(), std::vector<std::string>{"still here"});
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(States, SessionsOfADownServerAreKeptWhereTheRouteSaysSo) {
  SimHouse house(two_servers(false));
  Client& client = house.open();
  house.server(0).command_duty(Duty::down);
  house.server(1).healthy = false;
  house.advance(10s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(relaying(house), 1u);
}

TEST(States, SessionsOfADownServerAreClosedWhereTheRouteSaysSo) {
  SimHouse house(two_servers(true));
  Client& first = house.open();
  Client& second = house.open();
  for (Client* client : {&first, &second}) client->peer.answers_close = true;
  for (std::size_t i = 0; i < 2; ++i) house.upstream(i).peer.answers_close = true;
  const bool first_is_on_first = house.upstream(0).address == "10.0.0.1:9000";
  Client& stays = first_is_on_first ? second : first;
  Client& leaves = first_is_on_first ? first : second;
  house.server(0).command_duty(Duty::down);
  house.advance(1s);
  EXPECT_EQ(leaves.peer.close_frame()->payload, close_payload(1012, "server_down"));
  EXPECT_EQ(stays.peer.close_frame(), nullptr);
  EXPECT_EQ(house.upstream(first_is_on_first ? 0 : 1).peer.close_code(), 1012u);  // its client's answer
  EXPECT_EQ(house.route_tally().closes[static_cast<std::size_t>(Side::gateway)][session::close_label(1012)].get(), 1u);
  leaves.wire.finish();
  house.advance(2s);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  EXPECT_EQ(house.server(1).active.load(), 1u);
  EXPECT_EQ(house.alive(), 1u);
}

TEST(States, TheActiveCheckMakesAServerDownAsAnOperatorDoes) {
  SimHouse house(two_servers(true));
  Client& client = house.open();
  house.server(0).healthy = house.server(1).healthy = false;
  house.advance(1s);
  EXPECT_EQ(client.peer.close_code(), 1012u);
}

TEST(States, LeavingWaitsForTheEndOfAMessageAndLosesNone) {
  SimHouse house(two_servers(true));
  Client& client = house.open();
  Upstream& server = house.last();
  server.peer.send(0x01, "half ");
  house.run();
  house.server(0).command_duty(Duty::down);
  house.server(1).command_duty(Duty::down);
  house.advance(500ms);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  server.peer.send(0x80, "whole");
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"half whole"});
  EXPECT_EQ(client.peer.close_code(), 1012u);
  client.peer.text("on its way");
  client.peer.close(1012);
  house.run();
  EXPECT_EQ(server.peer.messages(), std::vector<std::string>{"on its way"});
  EXPECT_EQ(server.peer.close_code(), 1012u);
}

TEST(States, ASessionOfADownServerThatIsClosingAlreadyEndsAsItBegan) {
  SimHouse house(two_servers(true));
  Client& client = house.open();
  client.peer.close(4000, "mine");
  house.run();
  house.server(0).command_duty(Duty::down);
  house.server(1).command_duty(Duty::down);
  house.advance(1s);
  EXPECT_EQ(house.upstream(0).peer.close_code(), 4000u);
  house.advance(10s);
  EXPECT_EQ(house.route_tally().closes[static_cast<std::size_t>(Side::client)][session::close_label(4000)].get(), 1u);
}

}  // namespace
}  // namespace sluice::test
