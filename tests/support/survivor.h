// A client on a route with survive, before several scripted servers; what the servers have got, told apart by message.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/sim_house.h"

namespace sluice::test {

inline config::Settings surviving(config::InFlight in_flight = config::InFlight::hold, std::size_t servers = 2) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  settings.routes[0].survive.emplace();
  settings.routes[0].survive->in_flight = in_flight;
  settings.backends[0].ejection.failures = 0;
  rules_of(settings).ping_interval = {};
  return settings;
}
inline config::SurviveSettings& survive_of(config::Settings& settings) { return *settings.routes[0].survive; }

struct Survivor {
  explicit Survivor(config::Settings settings = surviving()) : house(std::move(settings)), client(house.open()) {}

  // The first leg, and the newest.
  Upstream& first() { return house.upstream(0); }
  Upstream& last() { return house.last(); }
  // Time for the longest pause before the first attempt, and for what follows.
  void wait() { house.advance(std::chrono::seconds(1)); }
  std::uint64_t revivals(session::Revived result) {
    return house.route_tally().revivals[static_cast<std::size_t>(result)].get();
  }
  std::uint64_t dropped(session::Dropped why) { return house.route_tally().dropped[static_cast<std::size_t>(why)].get(); }
  std::uint64_t all_dropped() {
    std::uint64_t sum = 0;
    for (const Counter& counter : house.route_tally().dropped) sum += counter.get();
    return sum;
  }
  // Messages that the gateway has taken from the client.
  std::uint64_t taken() {
    const auto& messages = house.route_tally().flow[0].messages;
    return messages[0].get() + messages[1].get();
  }
  // Whole messages that reached servers, in the order of the servers.
  std::vector<std::string> delivered() {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < house.dials(); ++i) {
      std::string open;
      bool begun = false;
      for (const Frame& frame : house.upstream(i).peer.frames) {
        if (frame.opcode() >= 8) continue;
        EXPECT_EQ(frame.opcode() == 0, begun) << "a fragment out of place before server " << i;
        open += frame.payload;
        begun = !frame.fin();
        if (frame.fin()) all.push_back(std::exchange(open, {}));
      }
    }
    return all;
  }
  void expect_alive() {
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    EXPECT_FALSE(client.wire.closed);
  }
  void leave() {
    client.wire.finish();
    house.run();
    house.advance(std::chrono::seconds(8));
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_TRUE(house.upstream(i).wire.closed) << i;
    for (const auto& server : house.runtime().snapshot->clusters()[0]->servers()) EXPECT_EQ(server->active.load(), 0u);
  }

  SimHouse house;
  Client& client;
};

}  // namespace sluice::test
