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

// ---- per message: the other legs serve on ---------------------------------------------------------------------------------

struct Spread {
  explicit Spread(std::size_t servers = 2) : house(settings(servers)), client(house.open()) {
    for (std::size_t i = 0; i < servers; ++i) say("open " + std::to_string(i));
    for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).peer.answers_close = true;
  }
  static config::Settings settings(std::size_t servers) {
    std::vector<std::string> urls;
    for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
    config::Settings settings = settings_for(urls);
    settings.backends[0].unit = upstream::Unit::message;
    settings.routes[0].close_on_server_down = true;
    return settings;
  }
  void say(const std::string& text) {
    client.peer.text(text);
    house.run();
  }
  // The newest leg to that server.
  Upstream& leg(std::size_t server) {
    const std::string address = "10.0.0." + std::to_string(server + 1) + ":9000";
    for (std::size_t i = house.dials(); i-- > 0;) {
      if (house.upstream(i).address == address) return house.upstream(i);
    }
    throw std::runtime_error("no leg to " + address);
  }
  std::size_t messages() {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < house.dials(); ++i) sum += house.upstream(i).peer.messages().size();
    return sum;
  }
  SimHouse house;
  Client& client;
};

TEST(States, PerMessageOnlyTheLegOfADownServerIsLeft) {
  Spread one;
  ASSERT_EQ(one.house.dials(), 2u);
  one.house.server(0).command_duty(Duty::down);
  one.house.advance(2s);
  EXPECT_EQ(one.leg(0).peer.close_code(), 1001u);
  EXPECT_EQ(one.house.server(0).active.load(), 0u);
  for (int i = 0; i < 5; ++i) one.say("more");
  EXPECT_EQ(one.messages(), 7u);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
  one.house.server(0).command_duty(std::nullopt);
  for (int i = 0; i < 4; ++i) one.say("again");
  EXPECT_EQ(one.house.dials(), 3u) << "its server is used again";
  EXPECT_EQ(one.messages(), 11u);
}

TEST(States, PerMessageTheLastLegTakesTheClientWithIt) {
  Spread one;
  one.house.server(0).command_duty(Duty::down);
  one.house.server(1).command_duty(Duty::down);
  one.house.advance(3s);
  EXPECT_EQ(one.client.peer.close_code(), 1012u);
}

TEST(States, PerMessageAMessageUnderWayGoesToTheLegWhole) {
  Spread one;
  one.client.peer.send(0x01, "half ");
  one.house.run();
  const std::size_t at = one.leg(0).peer.frames.size() > one.leg(1).peer.frames.size() ? 0 : 1;
  one.house.server(at).command_duty(Duty::down);
  one.house.advance(2s);
  EXPECT_EQ(one.leg(at).peer.close_frame(), nullptr);
  one.client.peer.send(0x80, "whole");
  one.house.run();
  EXPECT_EQ(one.leg(at).peer.messages().back(), "half whole");
  EXPECT_EQ(one.leg(at).peer.close_code(), 1001u);
  one.say("after");
  EXPECT_EQ(one.leg(1 - at).peer.messages().back(), "after");
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
}

TEST(States, PerMessageALegThatIsLeftMayStillAnswer) {
  Spread one;
  one.leg(0).peer.answers_close = false;
  one.house.server(0).command_duty(Duty::down);
  one.house.advance(1s);
  ASSERT_EQ(one.leg(0).peer.close_code(), 1001u);
  one.leg(0).peer.text("a late answer");
  one.leg(0).peer.close(1001);
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"a late answer"});
  one.house.advance(1s);
  EXPECT_EQ(one.house.server(0).active.load(), 0u);
  one.say("on");
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
}

TEST(States, PerMessageALegThatAnswersNoCloseIsDropped) {
  Spread one;
  one.leg(0).peer.answers_close = false;
  one.house.server(0).command_duty(Duty::down);
  one.house.advance(10s);
  EXPECT_TRUE(one.leg(0).wire.closed);
  EXPECT_EQ(one.house.server(0).active.load(), 0u);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
}

TEST(States, PerMessageALegThatEndsInsideAMessageEndsTheSession) {
  Spread one;
  one.leg(0).peer.answers_close = false;
  one.leg(0).peer.send(0x01, "half ");
  one.house.run();
  one.house.server(0).command_duty(Duty::down);
  one.house.advance(10s);
  EXPECT_EQ(one.client.peer.close_code(), 1011u);
}

}  // namespace
}  // namespace sluice::test
