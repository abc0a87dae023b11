// What must not be taken for a dead end: long frames towards who is silent; octets owed when their sender has gone.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

// The head of a binary frame of 1 GiB.
std::string long_head(bool masked) {
  std::string head{'\x82', static_cast<char>(masked ? 0xFF : 0x7F), 0, 0, 0, 0, 0x40, 0, 0, 0};
  if (masked) head.append(4, '\0');
  return head;
}

config::Settings unlimited() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes.front().websocket.max_message = 0;
  settings.routes.front().websocket.max_message_to_client = 0;
  return settings;
}

TEST(Stalls, ALongFrameToASilentClientOutlastsThePing) {
  SimHouse house(unlimited());
  house.polls = false;
  Client& client = house.open();
  house.last().peer.poll();
  house.run();
  house.last().wire.send(long_head(false));
  for (int i = 0; i < 120; ++i) {
    house.last().wire.send(std::string(1000, 'x'));
    house.run();
    house.advance(1s);
    ASSERT_FALSE(client.wire.closed || client.wire.aborted) << "after " << i << " s";
  }
  EXPECT_GE(client.wire.out.size(), 120'000u);
}

TEST(Stalls, ALongFrameToASilentUpstreamOutlastsThePing) {
  SimHouse house(unlimited());
  house.polls = false;
  Client& client = house.open();
  house.last().peer.poll();
  house.run();
  client.wire.send(long_head(true));
  for (int i = 0; i < 120; ++i) {
    client.wire.send(std::string(1000, 'x'));
    house.run();
    house.advance(1s);
    ASSERT_FALSE(house.last().wire.closed) << "after " << i << " s";
  }
  EXPECT_GE(house.last().wire.out.size(), 120'000u);
}

TEST(Stalls, WhatWasReadIsDeliveredAfterTheClientHasGone) {
  SimHouse house(unlimited());
  house.polls = false;
  Client& client = house.open();
  Upstream& up = house.last();
  up.peer.poll();
  house.run();
  const std::size_t before = up.wire.out.size();
  up.wire.open_window(100);
  const std::string message = frame_octets(0x82, std::string(5000, 'm'), true);
  client.wire.send(message);
  house.run();
  client.wire.reset();
  // A writing client learns of the reset: the upstream sends.
  up.wire.send(frame_octets(0x81, "news", false));
  house.run();
  up.wire.open_window(Wire::kUnlimited);
  house.run();
  EXPECT_EQ(up.wire.out.substr(before, message.size()), message);
  EXPECT_GT(up.wire.out.size(), before + message.size());  // and a Close behind it
}

}  // namespace
}  // namespace sluice::test
