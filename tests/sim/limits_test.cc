// Rates of messages and bytes: delay, drop, close; and their keys.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Limit = policy::LimitSettings;

config::Settings limited(Limit::Unit unit, Limit::Action action, std::uint64_t rate,
                         Limit::Key key = Limit::Key::connection) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).ping_interval = {};
  add_limit(settings, unit, key, rate).on_limit = action;
  return settings;
}

TEST(Limits, DelaysMessagesAndLosesNone) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::delay, 10));
  Client& client = house.open();
  for (int i = 0; i < 35; ++i) client.peer.text(std::to_string(i));
  house.run();
  Upstream& server = house.last();
  EXPECT_EQ(server.peer.messages().size(), 10u);  // the burst
  for (int i = 1; i <= 10; ++i) {
    house.advance(100ms);
    EXPECT_EQ(server.peer.messages().size(), 10u + static_cast<std::size_t>(i));
  }
  house.advance(2s);
  ASSERT_EQ(server.peer.messages().size(), 35u);
  for (int i = 0; i < 35; ++i) EXPECT_EQ(server.peer.messages()[static_cast<std::size_t>(i)], std::to_string(i));
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Limits, ReadsNoMoreOfADelayedClientThanOneTurn) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::delay, 1));
  Client& client = house.open();
  for (int i = 0; i < 100; ++i) client.peer.binary(std::string(10'000, 'm'));
  house.run();
  EXPECT_GE(client.wire.unread(), 100u * 10'000 - 3 * kChunk);
  house.advance(3s);
  EXPECT_EQ(house.last().peer.messages().size(), 4u);
  EXPECT_LE(house.pool().lent(), 2 * kChunk);
}

TEST(Limits, DoesNotTakeADelayedClientForASilentOne) {
  config::Settings settings = limited(Limit::Unit::messages, Limit::Action::delay, 1);
  settings.limits[0].per = 200s;
  settings.limits[0].burst = 1;
  SimHouse house(settings);
  Client& client = house.open();
  client.peer.text("a");
  client.peer.text("b");
  house.run();
  house.advance(150s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(house.last().peer.messages().size(), 1u);
  house.advance(51s);
  EXPECT_EQ(house.last().peer.messages().size(), 2u);
}

TEST(Limits, DropsWholeMessagesAndKeepsTheRestIntact) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::drop, 2));
  Client& client = house.open();
  client.peer.text("one");
  client.peer.send(0x01, "tw");
  client.peer.send(0x80, "o");
  client.peer.send(0x01, "dropped ");
  client.peer.ping("p");
  client.peer.send(0x00, "with all its ");
  client.peer.send(0x80, "fragments");
  client.peer.text("dropped too");
  house.run();
  Upstream& server = house.last();
  EXPECT_EQ(server.peer.messages(), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(server.peer.count(9), 1u);
  EXPECT_EQ(house.route_tally().discarded_limit.get(), 2u);
  house.advance(1s);
  client.peer.text("three");
  house.run();
  EXPECT_EQ(server.peer.messages().back(), "three");
}

TEST(Limits, DropsAMessageThatComesInPieces) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::drop, 1));
  Client& client = house.open();
  client.peer.text("one");
  const std::string frame = frame_octets(0x82, std::string(1000, 'd'), true);
  for (const char octet : frame) {
    client.wire.send({&octet, 1});
    house.run();
  }
  house.advance(1s);
  client.peer.text("two");
  house.run();
  EXPECT_EQ(house.last().peer.messages(), (std::vector<std::string>{"one", "two"}));
}

TEST(Limits, ClosesWithTheConfiguredCode) {
  config::Settings settings = limited(Limit::Unit::messages, Limit::Action::close, 3);
  settings.limits[0].close_code = 4429;
  SimHouse house(settings);
  Client& client = house.open();
  Upstream& server = house.last();
  client.peer.answers_close = server.peer.answers_close = true;
  for (int i = 0; i < 5; ++i) client.peer.text(std::to_string(i));
  house.run();
  EXPECT_EQ(server.peer.messages().size(), 3u);
  EXPECT_EQ(client.peer.close_code(), 4429u);
  EXPECT_EQ(server.peer.close_code(), 1001u);
  EXPECT_EQ(house.limiter().refused(), 1u);
  client.wire.finish();
  house.run();
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Limits, DelaysBytesWithinALargeMessage) {
  SimHouse house(limited(Limit::Unit::bytes, Limit::Action::delay, 10'000));
  Client& client = house.open();
  const std::string message(200'000, 'm');
  client.peer.binary(message);
  house.run();
  const std::size_t at_once = house.last().wire.out.size();
  EXPECT_LE(at_once, 2 * kChunk);
  house.advance(25s);
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{message});
}

TEST(Limits, OnOneKeyHoldOverConnections) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::delay, 10, Limit::Key::ip));
  Client& first = house.open();
  Upstream& up_first = house.last();
  Client& second = house.open();
  Upstream& up_second = house.last();
  Client& stranger = house.connect("198.51.100.1");
  stranger.wire.send(upgrade_request());
  house.run();
  Upstream& up_stranger = house.last();
  for (int i = 0; i < 10; ++i) {
    first.peer.text("x");
    second.peer.text("x");
    stranger.peer.text("x");
  }
  house.run();
  EXPECT_EQ(up_first.peer.messages().size() + up_second.peer.messages().size(), 10u);
  EXPECT_EQ(up_stranger.peer.messages().size(), 10u);
  house.advance(1s);
  EXPECT_EQ(up_first.peer.messages().size() + up_second.peer.messages().size(), 20u);
}

TEST(Limits, ADelayedClientsCloseComesAfterItsMessages) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::delay, 1));
  Client& client = house.open();
  house.last().peer.answers_close = true;
  client.peer.text("a");
  client.peer.text("b");
  client.peer.close(1000);
  house.run();
  EXPECT_EQ(house.last().peer.close_frame(), nullptr);
  house.advance(1s);
  EXPECT_EQ(house.last().peer.messages(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(house.last().peer.close_code(), 1000u);
}

TEST(Limits, AGatewayThatDelaysStillDrains) {
  SimHouse house(limited(Limit::Unit::messages, Limit::Action::delay, 1));
  Client& client = house.open();
  house.last().peer.answers_close = true;
  for (int i = 0; i < 10; ++i) client.peer.text("x");
  client.peer.close(1001);
  house.run();
  house.drain_all();
  house.run();
  house.advance(8s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(client.peer.close_code(), 1001u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

}  // namespace
}  // namespace sluice::test
