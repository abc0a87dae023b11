// Plain TCP listeners: octets to a server and back, the end of each direction, and every way in which one side can fail.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "support/pattern.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Limit = policy::LimitSettings;

config::Settings raw(const std::vector<std::string>& urls = {"tcp://10.0.0.1:7000"}) {
  config::Settings settings = settings_for(urls);
  settings.routes.clear();
  settings.listeners[0].backend = "app";
  settings.listeners[0].idle_timeout = 60s;
  return settings;
}

config::Settings limited() {
  config::Settings settings = raw();
  Limit limit;
  limit.name = "one";
  limit.key = Limit::Key::ip;
  limit.unit = Limit::Unit::connections;
  limit.limit = 1;
  limit.on_limit = Limit::Action::reject;
  settings.limits.push_back(limit);
  settings.listeners[0].rate_limit.push_back("one");
  return settings;
}

struct RawSim : testing::Test {
  static SimHouse& quiet(SimHouse& house) {
    house.polls = false;  // what is said here is no WebSocket
    return house;
  }
  static Client& come(SimHouse& house, const std::string& ip = "192.0.2.7") {
    Client& client = house.connect(ip);
    house.run();
    return client;
  }
  static std::int64_t speaking(SimHouse& house) {
    return house.listener_tally().connections[static_cast<std::size_t>(session::Protocol::tcp)].get();
  }
  static void expect_nothing_left(SimHouse& house) {
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
    EXPECT_EQ(house.listener_tally().all_connections(), 0);
    for (const auto& server : house.runtime().snapshot->clusters()[0]->servers()) EXPECT_EQ(server->active.load(), 0u);
    for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_TRUE(house.upstream(i).wire.closed);
  }
};

TEST_F(RawSim, CarriesOctetsBothWaysWhoeverSpeaksFirst) {
  SimHouse house(raw());
  Client& client = come(quiet(house));
  ASSERT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.upstream(0).address, "10.0.0.1:7000");
  EXPECT_EQ(speaking(house), 1);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  house.upstream(0).wire.send("220 ready\r\n");
  house.run();
  EXPECT_EQ(client.wire.take(), "220 ready\r\n");
  client.wire.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");  // nobody reads it
  house.run();
  EXPECT_EQ(house.upstream(0).wire.take(), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_EQ(house.listener_tally().raw_octets[0].get(), 36u);
  EXPECT_EQ(house.listener_tally().raw_octets[1].get(), 11u);
  EXPECT_EQ(house.server(0).active.load(), 1u);
}

TEST_F(RawSim, WhatCameBeforeTheServerStoodIsKept) {
  SimHouse house(raw());
  house.on_dial = [](Upstream& up) { up.script = SimHouse::Script::hang; };
  Client& client = house.connect();
  client.wire.send("early");
  quiet(house).run();
  EXPECT_EQ(house.upstream(0).wire.take(), "");
  house.upstream(0).script = SimHouse::Script::accept;
  house.run();
  EXPECT_EQ(house.upstream(0).wire.take(), "early");
}

TEST_F(RawSim, PassesTheEndOfEachDirectionOn) {
  SimHouse house(raw());
  Client& client = come(quiet(house));
  client.wire.send("question");
  client.wire.finish();
  house.run();
  EXPECT_EQ(house.upstream(0).wire.take(), "question");
  EXPECT_TRUE(house.upstream(0).wire.ended());
  EXPECT_FALSE(client.wire.ended());
  house.upstream(0).wire.send("answer");
  house.run();
  EXPECT_EQ(client.wire.take(), "answer");
  house.upstream(0).wire.send(" and more");
  house.upstream(0).wire.finish();
  house.run();
  EXPECT_EQ(client.wire.take(), " and more");
  EXPECT_TRUE(client.wire.ended());
  EXPECT_FALSE(client.wire.cut());
  expect_nothing_left(house);
}

TEST_F(RawSim, TheServerMayEndFirst) {
  SimHouse house(raw());
  Client& client = come(quiet(house));
  house.upstream(0).wire.send("bye");
  house.upstream(0).wire.finish();
  house.run();
  EXPECT_EQ(client.wire.take(), "bye");
  EXPECT_TRUE(client.wire.ended());
  EXPECT_EQ(house.alive(), 1u);
  client.wire.send("but");
  house.run();
  EXPECT_EQ(house.upstream(0).wire.take(), "but");
  client.wire.finish();
  house.run();
  EXPECT_FALSE(house.upstream(0).wire.cut());
  expect_nothing_left(house);
}

TEST_F(RawSim, AResetOnOneSideIsAResetOnTheOther) {
  for (const bool of_client : {true, false}) {
    SimHouse house(raw());
    Client& client = come(quiet(house));
    client.wire.send("half a");
    house.run();
    (of_client ? client.wire : house.upstream(0).wire).reset();
    house.run();
    house.advance(2s);
    EXPECT_TRUE((of_client ? house.upstream(0).wire : client.wire).cut());
    expect_nothing_left(house);
  }
}

TEST_F(RawSim, NothingIsReadThatCannotLeave) {
  for (const bool takes_all : {false, true}) {
    SimHouse house(raw());
    quiet(house).on_dial = [takes_all](Upstream& up) {
      up.wire.takes_all = takes_all;
      up.wire.open_window(1000);
    };
    Client& client = come(house);
    const std::string much = pattern(3'000'000);
    client.wire.send(much);
    client.wire.finish();
    house.run();
    EXPECT_GT(client.wire.unread(), much.size() - 4 * kChunk - 1'000'000) << "only what the kernel holds has gone on";
    EXPECT_FALSE(house.upstream(0).wire.finished);
    for (int i = 0; i < 40; ++i) {
      house.upstream(0).wire.open_window(100'000);
      house.run();
    }
    EXPECT_EQ(house.upstream(0).wire.take(), much);
    EXPECT_TRUE(house.upstream(0).wire.ended());
    house.upstream(0).wire.finish();
    house.run();
    expect_nothing_left(house);
  }
}

TEST_F(RawSim, TriesTheNextServer) {
  SimHouse house(raw({"tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"}));
  quiet(house).on_dial = [&house](Upstream& up) {
    if (house.dials() == 1) up.script = SimHouse::Script::refuse;
  };
  Client& client = come(house);
  ASSERT_EQ(house.dials(), 2u);
  client.wire.send("x");
  house.run();
  EXPECT_EQ(house.upstream(1).wire.take(), "x");
}

TEST_F(RawSim, EndsWhereNoServerCanBeHad) {
  for (const auto script : {SimHouse::Script::refuse, SimHouse::Script::hang, SimHouse::Script::fds}) {
    SimHouse house(raw({"tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"}));
    quiet(house).on_dial = [script](Upstream& up) { up.script = script; };
    Client& client = come(house);
    house.advance(30s);
    EXPECT_TRUE(client.wire.ended());
    EXPECT_EQ(client.wire.take(), "");
    const Errc code = script == SimHouse::Script::refuse ? Errc::be_connect
                      : script == SimHouse::Script::hang ? Errc::be_timeout
                                                         : Errc::fd_limit;
    EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(code)].get(), 1u);
    expect_nothing_left(house);
  }
}

TEST_F(RawSim, ConnectingTakesTwiceConnectTimeoutInAll) {
  SimHouse house(raw({"tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000", "tcp://10.0.0.3:7000"}));
  quiet(house).on_dial = [](Upstream& up) { up.script = SimHouse::Script::hang; };
  Client& client = come(house);
  house.advance(5900ms);
  EXPECT_FALSE(client.wire.ended());
  house.advance(200ms);
  EXPECT_TRUE(client.wire.ended());
  EXPECT_EQ(house.dials(), 2u);
}

TEST_F(RawSim, LimitsCountConnectionsByAddress) {
  SimHouse house(limited());
  Client& first = come(quiet(house));
  Client& second = come(house);
  Client& other = come(house, "192.0.2.8");
  EXPECT_EQ(house.dials(), 2u);
  EXPECT_TRUE(second.wire.ended());
  EXPECT_FALSE(other.wire.ended());
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::rl_ip)].get(), 1u);
  first.wire.finish();
  house.upstream(0).wire.finish();
  house.run();
  Client& third = come(house);
  EXPECT_FALSE(third.wire.ended());
  EXPECT_EQ(house.dials(), 3u);
}

TEST_F(RawSim, IdleIsWhereNoOctetMovesEitherWay) {
  SimHouse house(raw());
  Client& client = come(quiet(house));
  for (int i = 0; i < 4; ++i) {
    house.advance(40s);
    (i % 2 ? client.wire : house.upstream(0).wire).send("x");
    house.run();
  }
  EXPECT_EQ(house.alive(), 1u);
  house.advance(70s);
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::idle)].get(), 1u);
  EXPECT_EQ(client.wire.take(), "xx");
  EXPECT_TRUE(client.wire.ended());
  EXPECT_FALSE(client.wire.cut());
  expect_nothing_left(house);
}

TEST_F(RawSim, SlowIsNotIdle) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has not delivered is the kernel's to say";
#endif
  SimHouse house(raw());
  Client& client = come(quiet(house));
  client.wire.open_window(100);
  house.upstream(0).wire.send(pattern(100'000));
  house.run();
  for (int i = 0; i < 10; ++i) {
    client.wire.unacknowledged = static_cast<std::size_t>(1000 - i);
    house.advance(40s);
  }
  EXPECT_EQ(house.alive(), 1u) << "it takes octets";
  house.advance(70s);
  expect_nothing_left(house);
}

TEST_F(RawSim, ADrainLeavesThemAlone) {
  SimHouse house(raw());
  Client& client = come(quiet(house));
  house.drain_all();
  house.run();
  client.wire.send("on its way");
  house.run();
  EXPECT_EQ(house.upstream(0).wire.take(), "on its way");
  EXPECT_EQ(house.alive(), 1u);
}

TEST_F(RawSim, TlsIsASettingOfEachServer) {
  config::Settings settings = raw({"tcp://10.0.0.1:7000", "tls://10.0.0.2:7000"});
  settings.backends[0].tls.server_name = "db.internal";
  SimHouse house(std::move(settings));
  quiet(house);
  for (int i = 0; i < 4; ++i) come(house);
  ASSERT_EQ(house.dials(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(house.upstream(i).encrypted, house.upstream(i).address == "10.0.0.2:7000");
    if (house.upstream(i).encrypted) EXPECT_EQ(house.upstream(i).name, "db.internal");
  }
}

config::Settings waits() {
  config::Settings settings = raw();
  settings.backends[0].servers[0].max_connections = 1;
  settings.backends[0].pending = {2, 5s};
  return settings;
}

std::uint64_t rejects(SimHouse& house, Errc code) {
  return house.worker_tally().rejects[static_cast<std::size_t>(code)].get();
}

TEST_F(RawSim, WaitsForAPlaceWhileItsOctetsStayInTheKernel) {
  SimHouse house(waits());
  Client& first = come(quiet(house));
  Client& second = come(house);
  Client& third = come(house);
  Client& fourth = come(house);
  const auto& line = house.runtime().snapshot->clusters()[0]->load()->line;
  EXPECT_TRUE(fourth.wire.ended());
  EXPECT_EQ(rejects(house, Errc::pending_full), 1u);
  EXPECT_EQ(line.size(), 2u);
  second.wire.send(pattern(300'000));
  house.run();
  EXPECT_EQ(second.wire.fills, 0u);
  first.wire.finish();
  house.upstream(0).wire.finish();
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(1).wire.take(), pattern(300'000));
  third.wire.finish();
  house.run();
  EXPECT_EQ(line.size(), 0u);
  EXPECT_EQ(rejects(house, Errc::client_lost), 1u);
  EXPECT_TRUE(third.wire.ended());
  second.wire.finish();
  house.upstream(1).wire.finish();
  house.run();
  expect_nothing_left(house);
}

TEST_F(RawSim, WaitingHasAnEnd) {
  SimHouse house(waits());
  come(quiet(house));
  Client& second = come(house);
  house.advance(4900ms);
  EXPECT_FALSE(second.wire.ended());
  house.advance(200ms);
  EXPECT_TRUE(second.wire.ended());
  EXPECT_EQ(rejects(house, Errc::pending_timeout), 1u);
  Client& third = come(house);
  house.drain_all();
  house.run();
  EXPECT_TRUE(third.wire.ended());
  EXPECT_EQ(rejects(house, Errc::draining), 1u);
  EXPECT_EQ(house.alive(), 1u) << "who is served is left alone";
}

TEST_F(RawSim, WaitsWhileTheOnlyServerRestarts) {
  SimHouse house(waits());
  bool up = false;
  quiet(house).on_dial = [&](Upstream& one) { one.script = up ? SimHouse::Script::accept : SimHouse::Script::refuse; };
  Client& client = come(house);
  client.wire.send("early");
  house.advance(1s);
  EXPECT_FALSE(client.wire.ended());
  EXPECT_LE(house.dials(), 6u);
  up = true;
  house.advance(500ms);
  EXPECT_EQ(house.last().wire.take(), "early");
}

TEST_F(RawSim, AServerThatIsDownMayLoseItsConnections) {
  using upstream::Server;
  const std::vector<std::pair<std::string, std::function<void(Server&)>>> ways = {
      {"an operator", [](Server& server) { server.command_duty(upstream::Duty::down); }},
      {"a check", [](Server& server) { server.set_healthy(false); }},
      {"discovery", [](Server& server) { server.vanished = true; }}};
  for (const auto& [name, take_down] : ways) {
    for (const bool close : {false, true}) {
      SCOPED_TRACE(name);
      config::Settings settings = raw({"tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"});
      settings.listeners[0].close_on_server_down = close;
      SimHouse house(std::move(settings));
      quiet(house);
      std::array<Client*, 2> clients{&come(house), &come(house)};
      const std::size_t lost = house.upstream(0).address == "10.0.0.1:7000" ? 0 : 1;
      take_down(house.server(0));
      house.advance(2s);
      EXPECT_EQ(clients[lost]->wire.ended(), close);
      EXPECT_FALSE(clients[lost]->wire.cut());
      EXPECT_EQ(house.upstream(lost).wire.ended(), close);
      EXPECT_FALSE(clients[1 - lost]->wire.ended());
      EXPECT_EQ(rejects(house, Errc::server_down), close ? 1u : 0u);
    }
  }
}

TEST_F(RawSim, AServerWithMoreThanItsShareShedsSoManyAsItIsTo) {
  for (const bool close : {false, true}) {
    config::Settings settings = raw();
    settings.listeners[0].close_on_server_down = close;
    SimHouse house(std::move(settings));
    quiet(house);
    for (int i = 0; i < 5; ++i) come(house);
    house.server(0).to_shed = 2;
    house.advance(3s);
    EXPECT_EQ(house.server(0).active.load(), close ? 3u : 5u);
    EXPECT_EQ(rejects(house, Errc::rebalance), close ? 2u : 0u);
  }
}

// As for WebSockets (tests/sim/failing_test.cc): each operation fails in turn, and nothing is left behind.
TEST_F(RawSim, FailingAnywhereLeavesNothingBehind) {
  const auto talk = [](SimHouse& house, bool narrow) {
    quiet(house).on_dial = [narrow](Upstream& up) {
      if (narrow) up.wire.open_window(7);
    };
    Client& client = house.connect();
    if (narrow) client.wire.open_window(5);
    client.wire.send("hello");
    house.run();
    if (house.dials() > 0) house.last().wire.send("welcome, whoever you are");
    house.run();
    for (int i = 0; i < 6; ++i) {
      client.wire.open_window(narrow ? 5 : Wire::kUnlimited);
      if (house.dials() > 0) house.last().wire.open_window(narrow ? 5 : Wire::kUnlimited);
      house.run();
    }
    client.wire.finish();
    house.run();
    if (house.dials() > 0) house.last().wire.finish();
    house.run();
  };
  const auto run_once = [&](bool narrow, Faults::Kind kind, std::size_t at) {
    SimHouse house(limited());
    house.faults.kind = kind;
    house.faults.at = at;
    talk(house, narrow);
    house.advance(70s);
    expect_nothing_left(house);
    return house.faults.count;
  };
  for (const bool narrow : {false, true}) {
    const std::size_t operations = run_once(narrow, Faults::Kind::none, 0);
    ASSERT_GT(operations, 5u);
    for (const Faults::Kind kind : {Faults::Kind::error, Faults::Kind::end, Faults::Kind::block}) {
      for (std::size_t at = 1; at <= operations && !HasFailure(); ++at) {
        SCOPED_TRACE("operation " + std::to_string(at) + ", kind " + std::to_string(static_cast<int>(kind)));
        run_once(narrow, kind, at);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::test
