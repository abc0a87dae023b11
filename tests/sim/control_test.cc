// Control frames while relaying: who answers pings, the gateway's own pings, floods.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

config::Settings answering() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).forward_pings = false;
  return settings;
}

TEST(Control, ForwardsPingsAndPongsBothWays) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  client.peer.ping("a");
  client.peer.pong("b");
  server.peer.ping("c");
  server.peer.pong("d");
  house.run();
  EXPECT_EQ(server.peer.frames, (std::vector<Frame>{{0x89, true, "a"}, {0x8A, true, "b"}}));
  EXPECT_EQ(client.peer.frames, (std::vector<Frame>{{0x89, false, "c"}, {0x8A, false, "d"}}));
}

TEST(Control, AnswersPingsItselfWhenTold) {
  SimHouse house(answering());
  Client& client = house.open();
  Upstream& server = house.last();
  client.peer.ping("a");
  client.peer.pong("b");
  server.peer.ping("c");
  server.peer.pong("d");
  house.run();
  EXPECT_EQ(client.peer.frames, (std::vector<Frame>{{0x8A, false, "a"}}));
  EXPECT_EQ(server.peer.frames, (std::vector<Frame>{{0x8A, true, "c"}}));
}

TEST(Control, AnswersPingsBeforeTcp) {
  SimHouse house(settings_for({"tcp://10.0.0.2:7000"}));
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house.open();
  client.peer.ping("a");
  client.peer.send(0x02, "x");
  client.peer.ping("b");
  client.peer.send(0x80, "y");
  house.run();
  EXPECT_EQ(client.peer.frames.back(), (Frame{0x8A, false, "b"}));
  EXPECT_EQ(house.last().peer.raw, "xy");
}

TEST(Control, AnswersAPingInsideAFragmentedMessageAndKeepsTheMessageWhole) {
  SimHouse house(answering());
  Client& client = house.open();
  client.peer.send(0x01, "A");
  house.run();
  client.peer.ping("B");
  house.run();
  EXPECT_EQ(client.peer.frames, (std::vector<Frame>{{0x8A, false, "B"}}));
  client.peer.send(0x80, "C");
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{"AC"});
}

TEST(Control, PutsItsOwnPongOnlyBetweenFrames) {
  SimHouse house(answering());
  Client& client = house.open();
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  house.last().wire.send(frame.substr(0, 50));
  house.run();
  client.peer.ping("p");
  house.run();
  EXPECT_EQ(client.peer.raw, frame.substr(0, 50));  // half a frame, and nothing inside it
  house.last().wire.send(frame.substr(50));
  house.run();
  EXPECT_EQ(client.peer.frames, (std::vector<Frame>{{0x82, false, std::string(100, 'd')}, {0x8A, false, "p"}}));
}

TEST(Control, AnswersOnlyTheNewestPingOfAClientThatDoesNotRead) {
  config::Settings settings = answering();
  rules_of(settings).control_burst = 100;
  SimHouse house(settings);
  Client& client = house.open();
  client.wire.open_window(0);
  for (int i = 0; i < 90; ++i) client.peer.ping(std::to_string(i));
  house.run();
  EXPECT_LE(house.pool().lent(), 1024u);
  client.wire.open_window(Wire::kUnlimited);
  house.run();
  ASSERT_LE(client.peer.frames.size(), 2u);  // one may have been on its way
  EXPECT_EQ(client.peer.frames.back(), (Frame{0x8A, false, "89"}));
}

TEST(Control, EndsAFloodOfPings) {
  for (const bool forwards : {false, true}) {
    config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
    rules_of(settings).forward_pings = forwards;
    SimHouse house(settings);
    Client& client = house.open();
    house.last().peer.answers_close = true;
    for (int i = 0; i < 50; ++i) client.peer.ping("x");
    house.run();
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    client.peer.ping("one too many");
    house.run();
    EXPECT_EQ(client.peer.close_code(), 1008u);
    EXPECT_EQ(house.last().peer.close_code(), 1001u);
    house.advance(7s);
    EXPECT_EQ(house.alive(), 0u);
  }
}

TEST(Control, LetsTwentyControlFramesASecondPassForEver) {
  SimHouse house;
  Client& client = house.open();
  client.peer.echoes = true;
  for (int second = 0; second < 20; ++second) {
    for (int i = 0; i < 20; ++i) client.peer.ping("x");
    house.run();
    house.advance(1s);
  }
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(house.last().peer.count(9), 400u);
}

TEST(Control, PingsAQuietClientAndSwallowsThePong) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  server.peer.echoes = true;
  house.advance(24s);
  EXPECT_EQ(client.peer.count(9), 0u);
  house.advance(2s);
  ASSERT_EQ(client.peer.count(9), 1u);
  EXPECT_EQ(client.peer.frames.back().payload.size(), 8u);
  client.peer.pong(client.peer.frames.back().payload);
  house.run();
  EXPECT_EQ(server.peer.count(10), 0u);
  EXPECT_EQ(server.peer.count(9), 1u);  // the upstream is asked as well; its pong does not reach the client
  EXPECT_EQ(client.peer.count(10), 0u);
  house.advance(20s);
  EXPECT_EQ(house.alive(), 1u);
}

std::uint64_t measured(SimHouse& house, std::size_t side) {
  std::uint64_t all = 0;
  for (std::size_t i = 0; i <= kSecondsBounds.size(); ++i) all += house.worker_tally().ping_seconds[side].bucket(i);
  return all;
}

TEST(Control, MeasuresTheRoundTripToBothSides) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  house.advance(26s);
  ASSERT_EQ(client.peer.count(9), 1u);
  ASSERT_EQ(server.peer.count(9), 1u);
  house.only_clock(250ms);
  client.peer.pong(client.peer.frames.back().payload);
  house.run();
  house.only_clock(250ms);
  server.peer.pong(server.peer.frames.back().payload);
  house.run();
  for (const std::size_t side : {0u, 1u}) EXPECT_EQ(measured(house, side), 1u);
  const double client_trip = house.worker_tally().ping_seconds[0].sum();
  EXPECT_GE(client_trip, 0.25);
  EXPECT_LE(client_trip, 1.25);  // a sweep may have come between
  EXPECT_NEAR(house.worker_tally().ping_seconds[1].sum() - client_trip, 0.25, 0.001);
}

TEST(Control, TakesNoPongForTheAnswerOfAPingThatItGaveUp) {
  SimHouse house;
  Client& client = house.open();
  house.advance(26s);
  ASSERT_EQ(client.peer.count(9), 1u);
  const std::string mark = client.peer.frames.back().payload;
  house.advance(1s);
  client.peer.text("alive");  // that is answer enough: nothing is awaited any more
  house.run();
  house.advance(2s);
  client.peer.pong(mark);
  house.run();
  EXPECT_EQ(house.last().peer.count(10), 0u);  // it is the gateway's own all the same
  EXPECT_EQ(measured(house, 0), 0u);
}

TEST(Control, ClosesADeadClientWithin50Seconds) {
  SimHouse house;
  Client& client = house.open();
  house.last().peer.echoes = house.last().peer.answers_close = true;
  house.advance(50s);
  EXPECT_TRUE(client.wire.closed);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.route_tally().closes[static_cast<std::size_t>(Side::client)][session::close_label(1006)].get(), 1u);
}

TEST(Control, ClosesTheClientOfADeadUpstreamWithin50Seconds) {
  SimHouse house;
  Client& client = house.open();
  client.peer.echoes = client.peer.answers_close = true;
  house.advance(50s);
  EXPECT_EQ(client.peer.close_code(), 1011u);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Control, AnyOctetOfTheClientCountsAsLife) {
  SimHouse house;
  Client& client = house.open();
  house.last().peer.echoes = true;
  for (int i = 0; i < 10; ++i) {
    house.advance(10s);
    client.peer.text("busy");
    house.run();
  }
  EXPECT_EQ(client.peer.count(9), 0u);
  EXPECT_FALSE(client.wire.closed);
}

TEST(Control, NeverPingsWhenTold) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).ping_interval = {};
  SimHouse house(settings);
  Client& client = house.open();
  house.advance(300s);
  EXPECT_EQ(client.peer.frames.size(), 0u);
  EXPECT_EQ(house.last().peer.frames.size(), 0u);
  EXPECT_EQ(house.alive(), 1u);
}

TEST(Control, DoesNotTakeAForeignPongForItsOwn) {
  SimHouse house;
  Client& client = house.open();
  house.last().peer.echoes = true;
  house.advance(26s);
  client.peer.pong("12345678");
  house.run();
  EXPECT_EQ(house.last().peer.count(10), 1u);
}

}  // namespace
}  // namespace sluice::test
