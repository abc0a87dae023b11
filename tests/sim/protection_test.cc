// Limits, the waiting room and the circuit breaker, as a client meets them; and the faults F30 and F31.
#include <gtest/gtest.h>

#include <functional>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

config::Settings limited(std::size_t servers, std::uint32_t each, std::uint32_t pending = 0) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  for (auto& server : settings.backends[0].servers) server.max_connections = each;
  settings.backends[0].pending = {pending, 5s};
  return settings;
}

std::string status_of(const Client& client) {
  return client.peer.head.empty() ? "none" : client.peer.head.substr(9, 3);
}

void expect_refused(const Client& client, const std::string& reason) {
  EXPECT_EQ(status_of(client), "503");
  EXPECT_NE(client.peer.body.find(reason), std::string::npos) << client.peer.head << client.peer.body;
  EXPECT_NE(client.peer.head.find("Retry-After: "), std::string::npos);
}

std::uint64_t rejects(SimHouse& house, Errc code) {
  return house.worker_tally().rejects[static_cast<std::size_t>(code)].get();
}

// In place of a 101.
void answer_instead(Upstream& upstream, int status) {
  upstream.peer.greeting = WsPeer::Greeting::none;
  upstream.wire.send("HTTP/1.1 " + std::to_string(status) + " Fault\r\nContent-Length: 5\r\n\r\nsorry");
}

// ---- limits -----------------------------------------------------------------------------------------------------------

TEST(Protection, EveryRefusalNamesItsLimit) {
  {
    SimHouse house(limited(2, 1));
    house.open();
    house.open();
    expect_refused(house.open(), "server_limit");
    EXPECT_EQ(rejects(house, Errc::server_limit), 1u);
    EXPECT_EQ(house.dials(), 2u);
  }
  {
    config::Settings settings = limited(2, 0);
    settings.backends[0].max_connections = 3;
    SimHouse house(std::move(settings));
    for (int i = 0; i < 3; ++i) house.open();
    expect_refused(house.open(), "backend_limit");
    EXPECT_EQ(rejects(house, Errc::backend_limit), 1u);
  }
  {
    SimHouse house(limited(2, 0));
    house.server(0).healthy = house.server(1).healthy = false;
    expect_refused(house.open(), "no_backend");
  }
}

// Every way to be refused for the sake of servers, before every kind of client: one label each, in the answer (where there is
// one) and in the count.
struct Standing final : upstream::WaitingLine::Waiter {
  void call() override {}
};

struct Refused {
  Errc code;
  std::function<void(config::Settings&)> configure;
  std::function<void(SimHouse&, std::vector<upstream::ServerUse>&)> begin;
};

const std::vector<Refused>& refusals() {
  using Uses = std::vector<upstream::ServerUse>;
  static const auto nothing = [](SimHouse&, Uses&) {};
  static const auto take = [](SimHouse& house, Uses& uses) { uses.emplace_back(house.server(0).shared_from_this()); };
  static const auto one_each = [](config::Settings& settings) { settings.backends[0].servers[0].max_connections = 1; };
  static const auto waits = [](config::Settings& settings) {
    one_each(settings);
    settings.backends[0].pending = {1, 1s};
  };
  static const std::vector<Refused> all = {
      {Errc::server_limit, one_each, take},
      {Errc::backend_limit, [](config::Settings& settings) { settings.backends[0].max_connections = 1; }, take},
      {Errc::pending_full, waits,
       [](SimHouse& house, Uses& uses) {
         take(house, uses);
         static Standing one;
         house.runtime().snapshot->clusters()[0]->load()->line.enter(&house, one, 1);
       }},
      {Errc::pending_timeout, waits, take},
      {Errc::circuit_open,
       [](config::Settings& settings) {
         settings.backends[0].breaker.enabled = true;
         settings.backends[0].breaker.failures = 1;
       },
       [](SimHouse& house, Uses&) {
         const auto& cluster = house.runtime().snapshot->clusters()[0];
         cluster->load()->breaker.report(cluster->settings().breaker, false, house.clock.now());
       }},
      {Errc::no_backend, [](config::Settings&) {}, [](SimHouse& house, Uses&) { house.server(0).set_healthy(false); }},
      {Errc::no_backend, [](config::Settings&) {},
       [](SimHouse& house, Uses&) { house.server(0).command_duty(upstream::Duty::drain); }},
      {Errc::no_backend, [](config::Settings& settings) { settings.backends[0].ejection.panic = 0; },
       [](SimHouse& house, Uses&) {
         house.server(0).ejected_until = (house.clock.now() + 60s).time_since_epoch().count();
       }},
      {Errc::be_unresolved, [](config::Settings&) {}, [](SimHouse& house, Uses&) { house.server(0).set_addresses({}); }},
  };
  return all;
}

TEST(Protection, EveryRefusalHasItsLabelBeforeEveryKindOfClient) {
  for (const std::string scheme : {"ws", "http", "tcp"}) {
    for (const Refused& one : refusals()) {
      SCOPED_TRACE(scheme + " " + std::string(row(one.code).name));
      config::Settings settings = settings_for({scheme + "://10.0.0.1:9000"});
      if (scheme == "tcp") {
        settings.routes.clear();
        settings.listeners[0].backend = "app";
      }
      one.configure(settings);
      SimHouse house(std::move(settings));
      std::vector<upstream::ServerUse> uses;
      one.begin(house, uses);
      Client& client = house.connect();
      if (scheme != "tcp") client.wire.send(scheme == "ws" ? upgrade_request() : "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
      house.run();
      if (one.code == Errc::pending_timeout) house.advance(1500ms);
      if (scheme == "tcp") {
        EXPECT_TRUE(client.wire.ended());
      } else {
        expect_refused(client, std::string(row(one.code).name));
      }
      for (std::size_t code = 0; code < kErrcCount; ++code) {
        EXPECT_EQ(house.worker_tally().rejects[code].get(), code == static_cast<std::size_t>(one.code) ? 1u : 0u)
            << row(static_cast<Errc>(code)).name;
      }
      EXPECT_EQ(house.dials(), 0u);
    }
  }
}

TEST(Protection, AClientThatCannotSurviveIsToldWhatWasInTheWay) {
  config::Settings settings = limited(2, 1);
  settings.routes[0].survive.emplace();
  settings.backends[0].ejection.failures = 0;
  SimHouse house(std::move(settings));
  Client& client = house.open();
  const std::size_t other = house.upstream(0).address == "10.0.0.1:9000" ? 1 : 0;
  const upstream::ServerUse use(house.server(other).shared_from_this());
  house.server(1 - other).set_healthy(false);
  house.upstream(0).wire.reset();
  house.advance(40s);
  ASSERT_NE(client.peer.close_frame(), nullptr);
  EXPECT_EQ(client.peer.close_frame()->reason(), "server_limit");
}

TEST(Protection, AServerThatCouldNotBeHadTakesNobodysPlace) {
  for (const std::string scheme : {"ws", "tcp"}) {
    for (const bool pending : {false, true}) {
      SCOPED_TRACE(scheme + (pending ? ", of a server, waiting" : ", of the backend"));
      config::Settings settings = settings_for({scheme + "://10.0.0.1:9000", scheme + "://10.0.0.2:9000"});
      if (scheme == "tcp") {
        settings.routes.clear();
        settings.listeners[0].backend = "app";
      }
      if (pending) {
        settings.backends[0].servers.pop_back();
        settings.backends[0].servers[0].max_connections = 1;
        settings.backends[0].pending = {1, 5s};
      } else {
        settings.backends[0].max_connections = 1;
      }
      SimHouse house(std::move(settings));
      house.on_dial = [&](Upstream& upstream) {
        if (house.dials() == 1) upstream.script = Script::refuse;
      };
      Client& client = house.connect();
      if (scheme == "ws") client.wire.send(upgrade_request());
      house.run();
      if (pending) house.advance(1s);
      ASSERT_EQ(house.dials(), 2u);
      if (scheme == "ws") EXPECT_EQ(status_of(client), "101");
      if (scheme == "tcp") EXPECT_FALSE(client.wire.ended());
      EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->active.load(), 1u);
    }
  }
}

TEST(Protection, ASessionThatEndsMakesRoom) {
  SimHouse house(limited(1, 1));
  Client& first = house.open();
  first.wire.finish();
  house.advance(2s);
  EXPECT_EQ(status_of(house.open()), "101");
  EXPECT_EQ(house.server(0).active.load(), 1u);
}

TEST(Protection, PerMessageLegsStayWithinTheLimits) {
  config::Settings settings = limited(2, 1);
  settings.backends[0].unit = upstream::Unit::message;
  SimHouse house(std::move(settings));
  Client& first = house.open();
  for (int i = 0; i < 4; ++i) {
    first.peer.text("one");
    house.run();
  }
  EXPECT_EQ(house.dials(), 2u);
  expect_refused(house.open(), "server_limit");
  EXPECT_EQ(house.server(0).active.load() + house.server(1).active.load(), 2u);
  for (int i = 0; i < 4; ++i) {
    first.peer.text("two");
    house.run();
  }
  EXPECT_EQ(house.upstream(0).peer.messages().size() + house.upstream(1).peer.messages().size(), 8u);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 4u) << "a full server still serves who has a leg to it";
}

// ---- waiting ----------------------------------------------------------------------------------------------------------

TEST(Pending, HoldsClientsWhileAllServersAreFull) {
  config::Settings settings = limited(1, 1, 10);
  settings.backends[0].pending.timeout = 30s;
  SimHouse house(std::move(settings));
  Client& first = house.open();
  Client& second = house.open();
  Client& third = house.open();
  EXPECT_TRUE(second.peer.head.empty());
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 2u);
  first.wire.finish();
  house.advance(4s);
  EXPECT_EQ(status_of(second), "101") << "first come, first served";
  EXPECT_TRUE(third.peer.head.empty());
  second.wire.finish();
  house.advance(4s);
  EXPECT_EQ(status_of(third), "101");
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 1u);
}

TEST(Pending, HoldsClientsWhileNoServerIsUsableInTheOrderInWhichTheyCame) {
  SimHouse house(limited(1, 0, 10));
  house.server(0).set_healthy(false);
  std::vector<Client*> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(&house.open("GET /" + std::to_string(i) + upgrade_request().substr(7)));
  EXPECT_EQ(house.dials(), 0u);
  house.advance(1s);
  house.server(0).set_healthy(true);
  house.advance(100ms);
  ASSERT_EQ(house.dials(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(status_of(*clients[i]), "101");
    EXPECT_TRUE(house.upstream(i).peer.head.starts_with("GET /" + std::to_string(i) + " ")) << house.upstream(i).peer.head;
  }
}

TEST(Pending, RefusesWhoHasWaitedTooLong) {
  SimHouse house(limited(1, 1, 10));
  house.open();
  Client& second = house.open();
  house.advance(4900ms);
  EXPECT_TRUE(second.peer.head.empty());
  house.advance(200ms);
  expect_refused(second, "pending_timeout");
  EXPECT_EQ(rejects(house, Errc::pending_timeout), 1u);
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
}

TEST(Pending, IsBounded) {
  SimHouse house(limited(1, 1, 2));
  house.open();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(house.open().peer.head.empty());
  expect_refused(house.open(), "pending_full");
  EXPECT_EQ(rejects(house, Errc::pending_full), 1u);
}

TEST(Pending, OutlivesARestartOfTheOnlyServer) {
  SimHouse house(limited(1, 0, 10));
  bool up = false;
  house.on_dial = [&](Upstream& upstream) { upstream.script = up ? Script::accept : Script::refuse; };
  Client& client = house.open();
  EXPECT_TRUE(client.peer.head.empty()) << client.peer.head;
  house.advance(1s);
  EXPECT_LE(house.dials(), 6u) << "it is not asked in a hurry";
  up = true;
  house.advance(500ms);
  EXPECT_EQ(status_of(client), "101");
}

TEST(Pending, ForgetsWhoIsGone) {
  SimHouse house(limited(1, 1, 10));
  Client& first = house.open();
  house.open();
  Client& third = house.open();
  house.hang_up();
  house.advance(8s);
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  EXPECT_EQ(house.alive(), 0u);
  (void)first;
  (void)third;
}

// No time passes in these: whoever waits is woken, and does not ask again by the clock.

TEST(Pending, APlaceThatIsFreedGoesToTheFirstAtOnce) {
  SimHouse house(limited(1, 2, 10));
  Client& first = house.open();
  Client& second = house.open();
  std::vector<Client*> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(&house.open("GET /" + std::to_string(i) + upgrade_request().substr(7)));
  ASSERT_EQ(house.dials(), 2u);
  first.wire.reset();
  second.wire.reset();
  house.run();
  house.only_clock(1s);  // the legs' closing
  first.wire.readable = second.wire.readable = true;
  house.upstream(0).wire.reset();
  house.upstream(1).wire.reset();
  house.run();
  ASSERT_EQ(house.dials(), 4u);
  EXPECT_TRUE(house.upstream(2).peer.head.starts_with("GET /0 "));
  EXPECT_TRUE(house.upstream(3).peer.head.starts_with("GET /1 "));
  EXPECT_EQ(status_of(*waiting[0]), "101");
  EXPECT_EQ(status_of(*waiting[1]), "101");
  EXPECT_TRUE(waiting[2]->peer.head.empty());
}

TEST(Pending, WhoComesLaterStandsBehind) {
  SimHouse house(limited(1, 1, 10));
  Client& first = house.open();
  Client& second = house.open();
  first.wire.reset();
  house.upstream(0).wire.reset();
  Client& late = house.connect();  // its head is there when the place becomes free
  late.wire.send(upgrade_request());
  house.run();
  EXPECT_EQ(status_of(second), "101");
  EXPECT_TRUE(late.peer.head.empty());
}

TEST(Pending, WhateverMakesAServerUsableWakes) {
  const auto wakes = [](const std::function<void(upstream::Server&)>& before,
                        const std::function<void(upstream::Server&)>& change) {
    SimHouse house(limited(1, 0, 10));
    before(house.server(0));
    Client& client = house.open();
    EXPECT_TRUE(client.peer.head.empty());
    house.run();
    change(house.server(0));
    house.run();
    EXPECT_EQ(status_of(client), "101");
  };
  using upstream::Duty;
  using upstream::Server;
  wakes([](Server& server) { server.set_healthy(false); }, [](Server& server) { server.set_healthy(true); });
  wakes([](Server& server) { server.command_duty(Duty::drain); }, [](Server& server) { server.command_duty({}); });
  wakes([](Server& server) { server.command_weight(0); }, [](Server& server) { server.command_weight(5); });
  wakes([](Server& server) { server.set_addresses({}); },
        [](Server& server) { server.set_addresses({*net::Address::parse("10.0.0.9", 9000)}); });
  upstream::ServerUse use;
  wakes(
      [&](Server& server) {
        server.max_connections = 1;
        use = upstream::ServerUse(server.shared_from_this());
      },
      [](Server& server) {
        upstream::ServerSettings settings = server.settings();
        settings.max_connections = 2;
        server.configure(settings);
      });
}

TEST(Pending, AServerThatGoesDownMayBeWhatABackupWaitsFor) {
  config::Settings settings = limited(2, 1, 10);
  settings.backends[0].servers[1].backup = true;
  SimHouse house(std::move(settings));
  house.open();
  Client& second = house.open();
  EXPECT_TRUE(second.peer.head.empty());
  house.server(0).set_healthy(false);
  house.run();
  EXPECT_EQ(status_of(second), "101");
  EXPECT_EQ(house.last().address, "10.0.0.2:9000");
}

TEST(Pending, AnEjectionAndTheCircuitBreakerEndByTheClock) {
  for (const bool breaker : {false, true}) {
    config::Settings settings = limited(1, 0, 10);
    upstream::BackendSettings& backend = settings.backends[0];
    backend.pending.timeout = 60s;
    backend.ejection.failures = breaker ? 0 : 1;
    backend.ejection.max_percent = 100;
    backend.ejection.panic = 0;
    backend.ejection.base = 10s;
    backend.breaker.enabled = breaker;
    backend.breaker.failures = 1;
    backend.breaker.probes = 1;
    backend.breaker.open = 10s;
    SimHouse house(std::move(settings));
    house.on_dial = [](Upstream& upstream) { upstream.script = Script::refuse; };
    Client& client = house.open();
    EXPECT_EQ(house.dials(), 1u);
    house.on_dial = {};
    house.advance(9900ms);
    EXPECT_EQ(house.dials(), 1u) << "nobody asks in vain";
    house.advance(200ms);
    EXPECT_EQ(status_of(client), "101") << breaker;
  }
}

TEST(Pending, WhoLeavesGivesItsPlaceUpAtOnce) {
  for (const bool reset : {false, true}) {
    SimHouse house(limited(1, 1, 2));
    house.open();
    Client& second = house.open();
    Client& third = house.open();
    const auto& line = house.runtime().snapshot->clusters()[0]->load()->line;
    ASSERT_EQ(line.size(), 2u);
    reset ? third.wire.reset() : third.wire.finish();
    house.run();
    EXPECT_EQ(line.size(), 1u);
    EXPECT_EQ(rejects(house, Errc::client_lost), 1u);
    EXPECT_EQ(house.dials(), 1u);
    if (!reset) EXPECT_EQ(status_of(third), "400") << "it may read still";
    EXPECT_TRUE(house.open().peer.head.empty()) << "its place is another's";
    reset ? second.wire.reset() : second.wire.finish();  // the first in line
    house.run();
    EXPECT_EQ(line.size(), 1u);
  }
}

TEST(Pending, NobodyIsGivenAServerWhenItHasLeft) {
  SimHouse house(limited(1, 1, 10));
  Client& first = house.open();
  Client& second = house.open();
  Client& third = house.open();
  first.wire.reset();
  house.upstream(0).wire.reset();
  second.wire.finish();
  house.run();
  EXPECT_EQ(house.dials(), 2u);
  EXPECT_EQ(status_of(second), "400");
  EXPECT_EQ(status_of(third), "101");
}

TEST(Pending, ARequestWhoseBodyComesMeanwhileWaitsOn) {
  config::Settings settings = settings_for({"http://10.0.0.1:9000"});
  settings.backends[0].servers[0].max_connections = 1;
  settings.backends[0].pending = {10, 5s};
  SimHouse house(std::move(settings));
  house.polls = false;
  upstream::ServerUse use(house.server(0).shared_from_this());
  Client& client = house.connect();
  client.wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
  house.run();
  client.wire.send("body");
  house.run();
  EXPECT_EQ(house.dials(), 0u);
  use = {};
  house.run();
  ASSERT_EQ(house.dials(), 1u);
  EXPECT_TRUE(house.upstream(0).wire.take().ends_with("\r\n\r\nbody"));
}

TEST(Pending, LetsNobodyWaitForADrain) {
  SimHouse house(limited(1, 1, 10));
  house.open();
  Client& second = house.open();
  Client& third = house.open();
  house.drain_all();
  house.advance(100ms);
  EXPECT_EQ(status_of(second), "503");
  EXPECT_EQ(status_of(third), "503");
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
}

// ---- the circuit breaker ----------------------------------------------------------------------------------------------

struct Broken {
  static config::Settings settings() {
    config::Settings settings = limited(2, 0);
    settings.backends[0].breaker.enabled = true;
    settings.backends[0].breaker.failures = 4;
    settings.backends[0].breaker.probes = 1;
    settings.backends[0].retries = 0;
    settings.backends[0].ejection.failures = 0;
    return settings;
  }
  Broken() : house(settings()) {
    house.on_dial = [this](Upstream& upstream) { upstream.script = up ? Script::accept : Script::refuse; };
    for (int i = 0; i < 4; ++i) EXPECT_EQ(status_of(house.open()), "503");
  }
  bool up = false;
  SimHouse house;
};

TEST(CircuitBreaker, RefusesAtOnceAndTriesAgainLater) {
  Broken one;
  ASSERT_EQ(one.house.dials(), 4u);
  for (int i = 0; i < 10; ++i) expect_refused(one.house.open(), "circuit_open");
  EXPECT_EQ(one.house.dials(), 4u) << "nobody is asked";
  EXPECT_EQ(rejects(one.house, Errc::circuit_open), 10u);
  one.house.advance(10s);
  EXPECT_EQ(status_of(one.house.open()), "503");
  EXPECT_EQ(one.house.dials(), 5u) << "one probe";
  expect_refused(one.house.open(), "circuit_open");
  one.up = true;
  one.house.advance(10s);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(status_of(one.house.open()), "101");
}

TEST(CircuitBreaker, AnAnswerOtherThanUnavailabilityIsNoFailure) {
  SimHouse house(Broken::settings());
  house.on_dial = [](Upstream& upstream) {
    answer_instead(upstream, 500);
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status_of(house.open()), "500");
  EXPECT_EQ(house.dials(), 10u);
}

// ---- F30: all backends down ---------------------------------------------------------------------------------------------

TEST(Faults, F30AllBackendsDownIsRefusedAtOnceAndRecoversSlowly) {
  config::Settings settings = limited(2, 0);
  settings.backends[0].slow_start = 10s;
  SimHouse house(std::move(settings));
  house.server(0).set_healthy(false);
  house.server(1).set_healthy(false);
  for (int i = 0; i < 200; ++i) expect_refused(house.open(), "no_backend");  // no time passes: at once
  EXPECT_EQ(house.dials(), 0u);
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
  house.hang_up();
  house.advance(3s);
  EXPECT_EQ(house.alive(), 0u) << "nothing grows";
  house.server(0).set_healthy(true);
  EXPECT_EQ(status_of(house.open()), "101") << "as soon as a probe succeeds";
  house.advance(5s);
  house.server(1).set_healthy(true);
  std::array<std::size_t, 2> early{};
  for (int i = 0; i < 44; ++i) ++early[house.open().peer.head.empty() ? 0 : house.last().address == "10.0.0.2:9000"];
  EXPECT_LT(early[1], 12u) << "the one that came later has a small share at first";
  EXPECT_GT(early[1], 0u);
  house.advance(10s);
  std::array<std::size_t, 2> late{};
  for (int i = 0; i < 40; ++i) ++late[house.open().peer.head.empty() ? 0 : house.last().address == "10.0.0.2:9000"];
  EXPECT_EQ(late[1], 20u);
}

// ---- F31: half of the cluster answers upgrades with a fault ------------------------------------------------------------

std::size_t dials_to_the_faulty(SimHouse& house, int status, int handshakes) {
  house.on_dial = [status](Upstream& upstream) {
    const bool faulty = upstream.address == "10.0.0.1:9000" || upstream.address == "10.0.0.2:9000";
    if (!faulty) return;
    answer_instead(upstream, status);
  };
  std::size_t relayed = 0;
  for (int i = 0; i < handshakes; ++i) {
    const Client& client = house.open();
    if (status_of(client) == std::to_string(status)) ++relayed;
  }
  return relayed;
}

TEST(Faults, F31HalfOfTheClusterAnswers500) {
  SimHouse house(limited(4, 0));
  EXPECT_EQ(dials_to_the_faulty(house, 500, 40), 20u) << "relayed, and no reason to eject";
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->up(house.clock.now()), 4u);
}

TEST(Faults, F31HalfOfTheClusterAnswers503) {
  SimHouse house(limited(4, 0));
  EXPECT_EQ(dials_to_the_faulty(house, 503, 60), 6u) << "three each, then they are ejected";
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->up(house.clock.now()), 2u);
}

}  // namespace
}  // namespace sluice::test
