// A client whose messages are spread over several upstreams (balance.unit = "message").
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/sim_house.h"

namespace sluice::test {

inline config::Settings spread(std::size_t servers, std::uint32_t max_legs = 0) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  settings.backends[0].unit = upstream::Unit::message;
  settings.backends[0].max_legs = max_legs;
  rules_of(settings).ping_interval = {};
  return settings;
}

inline std::size_t all_messages(SimHouse& house) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < house.dials(); ++i) sum += house.upstream(i).peer.messages().size();
  return sum;
}

// A client joined to two upstreams.
struct Two {
  explicit Two(config::Settings settings = spread(2)) : house(std::move(settings)), client(house.open()) {
    for (int i = 0; house.dials() < 2 && i < 10; ++i) {
      client.peer.text("warm up");
      house.run();
    }
  }
  Upstream& a() { return house.upstream(0); }
  Upstream& b() { return house.upstream(1); }
  void expect_gone() {
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.server(0).active.load() + house.server(1).active.load(), 0u);
    EXPECT_TRUE(a().wire.closed);
    EXPECT_TRUE(b().wire.closed);
  }
  SimHouse house;
  Client& client;
};

}  // namespace sluice::test
