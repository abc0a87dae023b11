// Legs of a client whose messages are balanced: what is told to which, who may be tried when, whose turn it is, and what
// bounds them.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

// Two legs, and half a frame of the client's message on its way to one of them.
struct Halfway : Two {
  explicit Halfway(config::Settings settings = spread(2)) : Two(std::move(settings)) {
    const std::size_t before = a().wire.out.size();
    client.wire.send(frame.substr(0, 50));
    house.run();
    to_a = a().wire.out.size() > before;
  }
  Upstream& busy() { return to_a ? a() : b(); }
  Upstream& other() { return to_a ? b() : a(); }
  void finish_message() {
    client.wire.send(frame.substr(50));
    house.run();
  }
  const std::string frame = frame_octets(0x82, std::string(100, 'u'), true);
  bool to_a = false;
};

config::Settings with_lifetime(config::Settings settings, Duration life) {
  rules_of(settings).max_lifetime = life;
  return settings;
}

std::size_t frames_after_close(const WsPeer& peer) {
  const auto close = std::ranges::find_if(peer.frames, [](const Frame& frame) { return frame.opcode() == 8; });
  return close == peer.frames.end() ? 0 : static_cast<std::size_t>(peer.frames.end() - close) - 1;
}

std::size_t legs_now(SimHouse& house, std::size_t servers) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < servers; ++i) sum += house.server(i).active.load();
  return sum;
}

// ---- control frames of the gateway's own -----------------------------------------------------------------------------

TEST(Legs, ACloseDoesNotWaitForTheMessageThatRunsToAnother) {
  Halfway half(with_lifetime(spread(2), 10s));
  half.house.advance(10s);
  EXPECT_EQ(half.other().peer.close_code(), 1001u);
  EXPECT_EQ(half.busy().peer.close_frame(), nullptr);
  half.finish_message();
  EXPECT_EQ(half.busy().peer.messages().back(), std::string(100, 'u'));
  EXPECT_EQ(half.busy().peer.close_code(), 1001u);
}

TEST(Legs, ACloseDoesNotWaitForAMessageThatAnotherDoesNotTake) {
  Two two(with_lifetime(spread(2), 10s));
  two.a().wire.open_window(0);
  two.b().wire.open_window(Wire::kUnlimited);
  for (int i = 0; i < 2; ++i) two.client.peer.binary(std::string(1000, 'm'));
  two.house.run();
  two.house.advance(10s);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  // The message that waited behind, and may have been meant for b, comes too late.
  two.a().wire.open_window(Wire::kUnlimited);
  two.house.run();
  EXPECT_EQ(two.a().peer.close_code(), 1001u);
  EXPECT_EQ(frames_after_close(two.a().peer), 0u);
  EXPECT_EQ(frames_after_close(two.b().peer), 0u);
}

TEST(Legs, APingOfOneIsAnsweredWhileAMessageRunsToAnother) {
  Halfway half;
  half.other().peer.ping("p");
  half.busy().peer.ping("q");
  half.house.run();
  EXPECT_EQ(half.other().peer.count(10), 1u);
  EXPECT_EQ(half.busy().peer.count(10), 0u);
  half.finish_message();
  EXPECT_EQ(half.busy().peer.count(10), 1u);
  EXPECT_EQ(half.busy().peer.messages().back(), std::string(100, 'u'));
}

TEST(Legs, OneIsPingedWhileAMessageRunsToAnother) {
  config::Settings settings = spread(2);
  rules_of(settings).ping_interval = 20s;
  rules_of(settings).fragment_timeout = 1h;
  Halfway half(settings);
  half.client.peer.echoes = true;
  half.house.advance(21s);
  EXPECT_EQ(half.other().peer.count(9), 1u);
  EXPECT_EQ(half.busy().peer.count(9), 0u);
}

TEST(Legs, AControlFrameTakenInPartStaysWholeBeforeTheNextMessage) {
  for (const bool takes_all : {false, true}) {
    for (std::size_t taken = 0; taken <= 10; ++taken) {
      SCOPED_TRACE(taken);
      Halfway half;
      const std::size_t before = all_messages(half.house);
      half.other().wire.takes_all = takes_all;
      half.other().wire.open_window(taken);
      half.other().peer.ping("1234");
      half.house.run();
      half.finish_message();
      for (int i = 0; i < 4; ++i) half.client.peer.text("next");
      half.house.run();
      half.house.advance(3s);
      EXPECT_LT(half.other().peer.messages().size(), 3u);
      half.other().wire.open_window(Wire::kUnlimited);
      half.house.run();
      EXPECT_EQ(half.other().peer.count(10), 1u);
      EXPECT_EQ(all_messages(half.house), before + 5);
      EXPECT_EQ(half.client.peer.close_frame(), nullptr);
      EXPECT_EQ(half.house.pool().lent(), 0u);
    }
  }
}

TEST(Legs, OneThatTakesNoMoreOfAControlFrameIsGivenUp) {
  Halfway half;
  half.client.peer.answers_close = true;
  half.other().wire.open_window(3);
  half.other().peer.ping("1234");
  half.house.run();
  half.finish_message();
  for (int i = 0; i < 2; ++i) half.client.peer.text("next");
  half.house.run();
  half.house.advance(29s);
  EXPECT_EQ(half.client.peer.close_frame(), nullptr);
  half.house.advance(2s);
  EXPECT_EQ(half.client.peer.close_code(), 1011u);
}

TEST(Legs, NothingFollowsTheCloseThatEveryLegIsTold) {
  Two two;
  two.a().peer.close(4100);
  for (int i = 0; i < 6; ++i) two.client.peer.text("late");
  two.house.run();
  for (int i = 0; i < 6; ++i) two.client.peer.text("later");
  two.house.run();
  EXPECT_EQ(two.a().peer.close_code(), 4100u);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  EXPECT_EQ(frames_after_close(two.a().peer), 0u);
  EXPECT_EQ(frames_after_close(two.b().peer), 0u);
  two.client.peer.close(4100);
  two.house.run();
  two.client.wire.finish();
  two.house.run();
  two.b().wire.finish();
  two.house.run();
  two.expect_gone();
}

TEST(Legs, NoFragmentFollowsTheCloseOfItsLeg) {
  Two two(with_lifetime(spread(2), 10s));
  two.client.peer.send(0x01, "begins ");
  two.house.run();
  two.house.advance(10s);
  EXPECT_EQ(two.a().peer.close_code(), 1001u);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.client.peer.send(0x80, "ends");
  two.house.run();
  EXPECT_EQ(frames_after_close(two.a().peer), 0u);
  EXPECT_EQ(frames_after_close(two.b().peer), 0u);
}

TEST(Legs, AMessageAtTheGateDoesNotFollowTheClientsClose) {
  Two two;
  two.a().peer.send(0x01, "begins ");
  two.house.run();
  two.b().peer.text("waits");
  two.house.run();
  two.client.peer.close(1000);
  two.house.run();
  EXPECT_EQ(two.client.peer.close_code(), 1000u);
  two.a().peer.send(0x80, "ends");
  two.house.run();
  EXPECT_EQ(frames_after_close(two.client.peer), 0u);
}

TEST(Legs, OneThatDiesInsideAFrameWhileTheSessionEndsEndsTheClient) {
  Two two(with_lifetime(spread(2), 10s));
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  two.b().wire.send(frame.substr(0, 50));
  two.house.run();
  two.house.advance(10s);
  two.b().wire.reset();
  two.house.run();
  EXPECT_EQ(two.client.peer.raw, frame.substr(0, 50));
  EXPECT_TRUE(two.client.wire.ended());
  EXPECT_FALSE(two.client.wire.aborted);
}

// ---- who is tried ------------------------------------------------------------------------------------------------------

TEST(Legs, OneThatCannotBeHadLeavesRoomForAnother) {
  SimHouse house(spread(3, 2));
  std::string refused;
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 2) refused = up.address;
    if (up.address == refused) up.script = Script::refuse;
  };
  Client& client = house.open();
  for (int i = 0; i < 12; ++i) {
    client.peer.text("x");
    house.run();
  }
  EXPECT_EQ(legs_now(house, 3), 2u);
  EXPECT_EQ(all_messages(house), 12u);
  EXPECT_GT(house.last().peer.messages().size(), 2u);
}

TEST(Legs, AServerThatCouldNotBeHadIsTriedAgainByALaterMessage) {
  SimHouse house(spread(2));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 2) up.script = Script::refuse;
  };
  Client& client = house.open();
  for (int i = 0; i < 6; ++i) client.peer.text("x");
  house.run();
  EXPECT_EQ(house.dials(), 2u);  // not by each of the messages
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 6u);
  house.advance(1s);
  for (int i = 0; i < 4; ++i) client.peer.text("y");
  house.run();
  EXPECT_EQ(house.dials(), 3u);
  EXPECT_EQ(house.upstream(2).peer.messages().size(), 2u);
  EXPECT_EQ(legs_now(house, 2), 2u);
}

TEST(Legs, AnEjectedServerIsNotTriedUntilItsEjectionIsOver) {
  SimHouse house(spread(2));
  bool down = false;
  house.on_dial = [&](Upstream& up) {
    if (down) up.script = Script::refuse;
  };
  Client& client = house.open();
  down = true;
  const auto talk = [&] {
    for (int i = 0; i < 4; ++i) client.peer.text("x");
    house.run();
    house.advance(1s);
  };
  for (int i = 0; i < 3; ++i) talk();
  EXPECT_EQ(house.dials(), 4u);
  for (int i = 0; i < 6; ++i) talk();
  EXPECT_EQ(house.dials(), 4u);
  down = false;
  house.advance(10s);
  talk();
  EXPECT_EQ(house.dials(), 5u);
  EXPECT_EQ(house.upstream(4).peer.messages().size(), 2u);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(Legs, AMessageTriesEachCandidateOnceAndThenGoesToWhoeverIsOpen) {
  config::Settings settings = spread(4);
  settings.backends[0].policy = upstream::Policy::random_two;
  settings.backends[0].retries = 9;
  settings.backends[0].ejection.failures = 0;
  SimHouse house(settings);
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) up.script = Script::refuse;
  };
  Client& client = house.open();
  for (int i = 0; i < 50; ++i) client.peer.text("x");
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 50u);
  EXPECT_LE(house.dials(), 4u);
  EXPECT_EQ(legs_now(house, 4), 1u);
}

TEST(Legs, TheCandidatesOfAMessageShareTheTimeForOpening) {
  config::Settings settings = spread(4);
  settings.backends[0].policy = upstream::Policy::least_connections;  // the one that has a leg comes last
  settings.backends[0].open_timeout = 5s;
  settings.backends[0].connect_timeout = 3s;
  settings.backends[0].retries = 9;
  SimHouse house(settings);
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) up.script = Script::hang;
  };
  Client& client = house.open();
  client.peer.text("x");
  house.run();
  house.advance(4900ms);
  EXPECT_EQ(all_messages(house), 0u);
  house.advance(200ms);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 1u);
  EXPECT_EQ(house.dials(), 3u);
}

TEST(Legs, TheCandidatesOfAMessageShareTheTimeForConnecting) {
  config::Settings settings = spread(4);
  settings.backends[0].policy = upstream::Policy::least_connections;
  settings.backends[0].retries = 9;
  SimHouse house(settings);
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) up.script = Script::hang;
  };
  Client& client = house.open();
  client.peer.text("x");
  house.run();
  house.advance(5900ms);
  EXPECT_EQ(all_messages(house), 0u);
  house.advance(200ms);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 1u);
  EXPECT_EQ(house.dials(), 3u);
}

TEST(Legs, ARefusalOfOneClientTakesTheServerFromNobodyElse) {
  for (const int status : {403, 503}) {
    config::Settings settings = spread(2);
    settings.backends[0].ejection.failures = 1;
    SimHouse house(settings);
    house.on_dial = [&](Upstream& up) {
      if (house.dials() == 2) up.peer.greeting = WsPeer::Greeting::none;
    };
    Client& client = house.open();
    for (int i = 0; i < 2; ++i) client.peer.text("x");
    house.run();
    ASSERT_EQ(house.dials(), 2u);
    house.last().wire.send("HTTP/1.1 " + std::to_string(status) + " No\r\nContent-Length: 0\r\n\r\n");
    house.run();
    EXPECT_EQ(house.upstream(0).peer.messages().size(), 2u);
    EXPECT_EQ(house.server(0).failures.load() + house.server(1).failures.load(), status == 503 ? 1u : 0u);
    EXPECT_EQ(house.upstream(1).wire.closed, true);
  }
}

TEST(Legs, LackOfDescriptorsIsNoFaultOfTheServer) {
  SimHouse house(spread(2));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) up.script = Script::fds;
  };
  Client& client = house.open();
  for (int i = 0; i < 4; ++i) client.peer.text("x");
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 4u);
  EXPECT_EQ(house.server(0).failures.load() + house.server(1).failures.load(), 0u);
}

TEST(Legs, MessagesBeyondTheLegsAreSharedByThoseThatAreOpen) {
  config::Settings settings = spread(8, 2);
  settings.backends[0].retries = 0;
  SimHouse house(settings);
  Client& client = house.open();
  for (int i = 0; i < 80; ++i) client.peer.text("x");
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 40u);
  EXPECT_EQ(house.upstream(1).peer.messages().size(), 40u);
}

// ---- whose turn it is ----------------------------------------------------------------------------------------------------

// Upstreams that have always more to say: binary messages of this size.
constexpr std::size_t kMuch = 2 * 1024 * 1024;  // more than one turn of the wheel moves
void flood(SimHouse& house, const std::vector<Upstream*>& from, std::size_t size, int passes) {
  for (int pass = 0; pass < passes; ++pass) {
    for (Upstream* up : from) {
      while (up->wire.unread() < kMuch) up->peer.binary(std::string(size, static_cast<char>('0' + (up == from[0]))));
    }
    house.turn();
  }
}

TEST(Legs, ABusyOneLeavesTheOthersTheirTurn) {
  for (const std::size_t size : {100UL, 5'000UL, 100'000UL, 300'000UL}) {
    for (const bool first : {true, false}) {
      SCOPED_TRACE(size);
      Two two;
      Upstream& busy = first ? two.a() : two.b();
      Upstream& quiet = first ? two.b() : two.a();
      flood(two.house, {&busy}, size, 3);
      quiet.peer.text("my turn");
      flood(two.house, {&busy}, size, 20);
      const auto messages = two.client.peer.messages();
      EXPECT_NE(std::ranges::find(messages, "my turn"), messages.end());
    }
  }
}

TEST(Legs, BusyOnesHaveEqualShares) {
  for (const std::size_t size : {5'000UL, 100'000UL}) {
    Two two;
    flood(two.house, {&two.a(), &two.b()}, size, 200);
    const auto messages = two.client.peer.messages();
    const auto of_a = std::ranges::count_if(messages, [](const auto& message) { return message.front() == '1'; });
    const auto of_b = static_cast<std::ptrdiff_t>(messages.size()) - of_a;
    EXPECT_GT(of_a, 20);
    EXPECT_LT(std::max(of_a, of_b), 2 * std::min(of_a, of_b));
  }
}

// ---- bounds --------------------------------------------------------------------------------------------------------------

// Deterministic, so that a failure can be seen again.
class Dice {
 public:
  explicit Dice(std::uint32_t seed) : state_(seed * 2654435761U + 1) {}
  std::uint32_t roll(std::uint32_t sides) {
    state_ = state_ * 1664525U + 1013904223U;
    return (state_ >> 8) % sides;
  }

 private:
  std::uint32_t state_;
};

TEST(Legs, NeverMoreThanAllowedWhateverTheServersDo) {
  constexpr std::size_t kServers = 6;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    config::Settings settings = spread(kServers, 3);
    settings.backends[0].retries = dice.roll(6);
    settings.backends[0].ejection.failures = dice.roll(4);
    SimHouse house(settings);
    house.on_dial = [&](Upstream& up) {
      if (house.dials() == 1) return;
      up.script = std::array{Script::accept, Script::refuse, Script::hang, Script::tls, Script::preface, Script::fds}[dice.roll(6)];
      if (dice.roll(4) == 0) up.peer.greeting = WsPeer::Greeting::none;
    };
    Client& client = house.open();
    ASSERT_EQ(client.peer.status(), 101);
    std::size_t sent = 0;
    for (int second = 0; second < 60; ++second) {
      for (std::uint32_t i = dice.roll(40); i > 0; --i, ++sent) client.peer.text("as fast as it can");
      house.run();
      EXPECT_LE(legs_now(house, kServers), 3u);
      EXPECT_LE(house.pool().lent(), 3 * kChunk);
      house.advance(1s);
    }
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    EXPECT_LE(house.dials(), 1 + 60 * kServers);
    // A message waits open_timeout at most, and passes then.
    for (int i = 0; i < 5000 && all_messages(house) < sent; ++i) house.advance(20s);
    EXPECT_EQ(all_messages(house), sent);
    client.wire.reset();
    house.run();
    house.advance(10s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(legs_now(house, kServers), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_TRUE(house.upstream(i).wire.closed);
  }
}

// Whoever goes first while a leg is being opened: nothing is left of it, and the session ends as it would without.
TEST(Legs, OneThatOpensIsNoObstacleToTheEnd) {
  enum class Ends { client_gone, client_reset, drained, first_leg_lost, first_leg_closes };
  for (const Ends how : {Ends::client_gone, Ends::client_reset, Ends::drained, Ends::first_leg_lost, Ends::first_leg_closes}) {
    for (const bool greeting : {false, true}) {
      SCOPED_TRACE(static_cast<int>(how));
      SimHouse house(spread(2));
      house.on_dial = [&](Upstream& up) {
        if (house.dials() == 1) return;
        if (greeting) {
          up.peer.greeting = WsPeer::Greeting::none;
        } else {
          up.script = Script::hang;
        }
      };
      Client& client = house.open();
      client.peer.answers_close = house.upstream(0).peer.answers_close = true;
      for (int i = 0; i < 4; ++i) client.peer.text("x");
      house.run();
      ASSERT_EQ(house.dials(), 2u);
      std::uint16_t code = 0;
      switch (how) {
        case Ends::client_gone: client.wire.finish(); break;
        case Ends::client_reset: client.wire.reset(); break;
        case Ends::drained: house.drain_all(), code = 1001; break;
        case Ends::first_leg_lost: house.upstream(0).wire.reset(), code = 1011; break;
        case Ends::first_leg_closes: house.upstream(0).peer.close(4100), code = 4100; break;
      }
      house.run();
      EXPECT_EQ(client.peer.close_code(), code);
      if (!greeting) house.last().script = Script::accept;  // too late for most
      house.run();
      client.wire.finish();
      house.run();
      house.advance(25s);  // the message that waits is not given up before open_timeout, even if its client has left
      EXPECT_EQ(house.alive(), 0u);
      EXPECT_EQ(legs_now(house, 2), 0u);
      EXPECT_EQ(house.pool().lent(), 0u);
      EXPECT_TRUE(house.last().wire.closed);
    }
  }
}

// Nobody's message may follow half of another one: behind it stands the Close alone.
TEST(Legs, WhoWaitsAtTheGateDoesNotSpeakBehindHalfAMessage) {
  for (int turn = 0; turn < 4; ++turn) {
    Two two;
    for (int i = 0; i < turn; ++i) {  // whoever is the first to be pumped
      two.a().peer.text("a");
      two.house.run();
    }
    two.a().peer.send(0x01, "half ");
    two.house.run();
    two.b().peer.text("whole");
    two.house.run();
    two.a().wire.reset();
    two.house.run();
    ASSERT_FALSE(two.client.peer.frames.empty());
    EXPECT_EQ(two.client.peer.messages().back(), "half ");
    EXPECT_EQ(two.client.peer.close_code(), 1011u);
    two.client.wire.finish();
    two.house.run();
    two.house.advance(8s);
    two.expect_gone();
  }
}

}  // namespace
}  // namespace sluice::test
