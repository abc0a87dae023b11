// Moving octets: byte for byte both ways, one write a turn, backpressure, a bounded remainder, fairness.
#include <gtest/gtest.h>

#include "support/pattern.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

// What is forwarded after the heads, as it stands on the wire.
std::string up_octets(Upstream& up) { return up.wire.out.substr(up.peer.head.size()); }
std::string down_octets(Client& client) { return client.wire.out.substr(client.peer.head.size()); }

// Every kind of data frame and length form, fragments with control frames between them.
std::string conversation(bool masked) {
  return frame_octets(0x81, "hello", masked) + frame_octets(0x82, "", masked) + frame_octets(0x01, "frag", masked) +
         frame_octets(0x89, "ping", masked) + frame_octets(0x00, "", masked) + frame_octets(0x8A, "pong", masked) +
         frame_octets(0x80, "ment", masked) + frame_octets(0x82, pattern(125), masked) +
         frame_octets(0x82, pattern(126), masked) + frame_octets(0x81, pattern(300), masked);
}

TEST(Relaying, ForwardsOctetForOctetBothWays) {
  SimHouse house;
  Client& client = house.open();
  const std::string up = conversation(true);
  const std::string down = conversation(false);
  client.wire.send(up);
  house.last().wire.send(down);
  house.run();
  EXPECT_EQ(up_octets(house.last()), up);
  EXPECT_EQ(down_octets(client), down);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Relaying, ForwardsTheSameCutAtEveryOctet) {
  const std::string up = conversation(true);
  const std::string down = conversation(false);
  for (std::size_t cut = 1; cut < up.size(); ++cut) {
    SCOPED_TRACE(cut);
    SimHouse house;
    house.polls = false;
    house.on_dial = [](Upstream& one) { one.peer.greeting = WsPeer::Greeting::none; };
    Client& client = house.open();
    Upstream& server = house.last();
    server.peer.poll();
    server.wire.send(WsPeer::switching(server.peer.head));
    house.run();
    const std::size_t before_up = server.wire.out.size();
    const std::size_t before_down = client.wire.out.size();
    const std::size_t down_cut = std::min(cut, down.size() - 1);
    client.wire.send(up.substr(0, cut));
    server.wire.send(down.substr(0, down_cut));
    house.run();
    // Payload that has come is not kept back.
    EXPECT_GE(server.wire.out.size() - before_up + 14, cut < 14 ? 14 : cut);
    client.wire.send(up.substr(cut));
    server.wire.send(down.substr(down_cut));
    house.run();
    ASSERT_EQ(server.wire.out.substr(before_up), up);
    ASSERT_EQ(client.wire.out.substr(before_down), down);
    ASSERT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Relaying, ForwardsTheSameInPiecesOfEverySize) {
  const std::string up = conversation(true);
  const std::string down = conversation(false);
  for (const std::size_t size : {1, 2, 3, 5, 7, 13, 14, 15, 64, 127}) {
    for (const bool takes_all : {false, true}) {
      SCOPED_TRACE(size);
      SimHouse house;
      Client& client = house.open();
      Upstream& server = house.last();
      client.wire.takes_all = server.wire.takes_all = takes_all;
      client.wire.read_size = server.wire.read_size = size;
      client.wire.open_window(0);
      server.wire.open_window(0);
      client.wire.send(up);
      server.wire.send(down);
      house.run();
      for (int i = 0; i < 2000 && (up_octets(server) != up || down_octets(client) != down); ++i) {
        client.wire.open_window(size);
        server.wire.open_window(size);
        house.run();
      }
      ASSERT_EQ(up_octets(server), up);
      ASSERT_EQ(down_octets(client), down);
      client.wire.open_window(Wire::kUnlimited);
      server.wire.open_window(Wire::kUnlimited);
      house.run();
      ASSERT_EQ(house.pool().lent(), 0u);
    }
  }
}

TEST(Relaying, SendsManyTinyFramesInOneWrite) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  std::string frames;
  for (int i = 0; i < 200; ++i) frames += frame_octets(0x81, "x", true);
  const std::size_t writes = server.wire.writes.size();
  client.wire.send(frames);
  house.run();
  EXPECT_EQ(server.wire.writes.size() - writes, 1u);
  EXPECT_EQ(server.wire.writes.back(), frames.size());

  frames.clear();
  for (int i = 0; i < 200; ++i) frames += frame_octets(0x82, "yz", false);
  const std::size_t back = client.wire.writes.size();
  server.wire.send(frames);
  house.run();
  EXPECT_EQ(client.wire.writes.size() - back, 1u);
}

TEST(Relaying, SendsTinyFramesToATcpUpstreamInFewWrites) {
  SimHouse house(settings_for({"tcp://10.0.0.2:7000"}));
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house.open();
  std::string frames;
  std::string plain;
  for (int i = 0; i < 200; ++i) {
    frames += frame_octets(0x82, "x" + std::to_string(i), true);
    plain += "x" + std::to_string(i);
  }
  client.wire.send(frames);
  house.run();
  EXPECT_EQ(house.last().peer.raw, plain);
  EXPECT_LE(house.last().wire.writes.size(), 200 / net::kMostParts + 2);  // as many frames a write as it may have parts
}

TEST(Relaying, WritesALargeMessageInTurnsOfAChunk) {
  SimHouse house;
  Client& client = house.open();
  const std::string message = pattern(1'000'000);
  client.wire.send(frame_octets(0x82, message, true));
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{message});
  EXPECT_LE(house.last().wire.writes.size(), 1 + 1'000'000 / kChunk + 2);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Relaying, ReadsNothingMoreWhileItsOutputWaits) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  server.wire.open_window(0);
  const std::string message = pattern(300'000);
  const std::string octets = frame_octets(0x82, message, true);
  client.wire.send(octets);
  house.run();
  EXPECT_EQ(client.wire.unread(), octets.size() - kChunk);  // one turn was read, and not an octet more
  const std::size_t fills = client.wire.fills;
  for (int i = 0; i < 10; ++i) {
    client.wire.send("");
    house.run();
  }
  house.advance(5s);
  EXPECT_EQ(client.wire.fills, fills);
  EXPECT_LE(house.pool().lent(), 2 * kChunk);

  // The other direction is not held up by it.
  server.peer.text("still");
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"still"});

  // A window that opens by less than what waits lets nothing new in.
  server.wire.open_window(1000);
  house.run();
  EXPECT_EQ(client.wire.fills, fills);
  server.wire.open_window(Wire::kUnlimited);
  house.run();
  EXPECT_EQ(server.peer.messages(), std::vector<std::string>{message});
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Relaying, KeepsNoMoreThanOneTurnForAStalledClient) {
  for (const bool takes_all : {false, true}) {
    SimHouse house;
    Client& client = house.open();
    Upstream& server = house.last();
    client.wire.takes_all = takes_all;
    client.wire.open_window(0);
    for (int i = 0; i < 100; ++i) server.peer.binary(pattern(50'000));
    house.run();
    EXPECT_LE(house.pool().lent(), 2 * kChunk);
    EXPECT_EQ(house.route_tally().flow[static_cast<std::size_t>(session::Direction::down)].pauses.get(), 1u);
    client.wire.open_window(Wire::kUnlimited);
    house.run();
    EXPECT_EQ(client.peer.messages().size(), 100u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

// Milliseconds, as counted.
std::int64_t paused_ms(SimHouse& house, session::Direction way) {
  const auto time = house.route_tally().flow[static_cast<std::size_t>(way)].paused.get();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(time)).count();
}

TEST(Relaying, CountsHowLongASideWasNotRead) {
  for (const bool moves : {false, true}) {
    SimHouse house;
    Client& client = house.open();
    Upstream& server = house.last();
    client.wire.open_window(0);
    client.wire.unacknowledged = 1000;
    server.peer.binary(pattern(50'000));
    house.run();
    for (int second = 0; second < 5; ++second) {
      if (moves) --client.wire.unacknowledged;
      house.advance(1s);
    }
    client.wire.open_window(Wire::kUnlimited);
    house.run();
    EXPECT_EQ(paused_ms(house, session::Direction::down), 5000);
    house.advance(2s);
    EXPECT_EQ(paused_ms(house, session::Direction::down), 5000) << "it is over";

    server.wire.open_window(0);
    client.peer.binary(pattern(50'000));
    house.run();
    for (int second = 0; second < 3; ++second) {
      server.wire.unacknowledged = moves ? static_cast<std::size_t>(100 - second) : 0;
      house.advance(1s);
    }
    server.wire.open_window(Wire::kUnlimited);
    house.run();
    EXPECT_EQ(paused_ms(house, session::Direction::up), 3000);
    EXPECT_EQ(paused_ms(house, session::Direction::down), 5000);
  }
}

TEST(Relaying, CountsThePauseThatEndsWithItsConnection) {
  using session::Direction;
  {
    SimHouse house;  // the client's: until it is cut
    Client& client = house.open();
    client.wire.open_window(0);
    client.wire.unacknowledged = 1000;
    house.last().peer.binary(pattern(50'000));
    house.run();
    house.advance(40s);
    EXPECT_TRUE(client.wire.aborted);
    EXPECT_NEAR(static_cast<double>(paused_ms(house, Direction::down)), 30'000, 1000);
  }
  for (const bool client_goes : {true, false}) {
    SimHouse house;
    Client& client = house.open();
    Upstream& server = house.last();
    server.wire.open_window(0);
    client.peer.binary(pattern(50'000));
    house.run();
    house.advance(4s);
    if (client_goes) {
      client.wire.reset();
      server.wire.send(frame_octets(0x81, "news", false));  // a writing client learns of the reset
    } else {
      server.wire.reset();
    }
    house.run();
    house.advance(5s);
    EXPECT_EQ(paused_ms(house, Direction::up), 4000) << client_goes;
    EXPECT_EQ(paused_ms(house, Direction::down), 0) << client_goes;
  }
}

TEST(Relaying, CountsWhatWaitsByDirection) {
  const auto waiting = [](SimHouse& house, session::Direction way) {
    return house.route_tally().flow[static_cast<std::size_t>(way)].buffered.get();
  };
  using session::Direction;
  for (const bool takes_all : {false, true}) {  // what waits is the relay's, or the stream's as with TLS
    SimHouse house;
    Client& client = house.open();
    Upstream& server = house.last();
    client.wire.takes_all = server.wire.takes_all = takes_all;
    server.wire.open_window(0);
    client.peer.binary(pattern(30'000));
    house.run();
    house.advance(1s);
    EXPECT_GE(waiting(house, Direction::up), 30'000) << takes_all;
    EXPECT_LE(waiting(house, Direction::up), static_cast<std::int64_t>(2 * kChunk)) << takes_all;
    EXPECT_EQ(waiting(house, Direction::down), 0) << takes_all;
    client.wire.open_window(0);
    server.peer.binary(pattern(40'000));
    house.run();
    house.advance(1s);
    EXPECT_GE(waiting(house, Direction::down), 40'000) << takes_all;
    server.wire.open_window(Wire::kUnlimited);
    house.run();
    house.advance(1s);
    EXPECT_EQ(waiting(house, Direction::up), 0) << takes_all;
    client.wire.reset();
    server.wire.finish();
    house.run();
    house.advance(5s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(waiting(house, Direction::down), 0) << takes_all;
  }
}

TEST(Relaying, ResetsAClientThatTakesNothingFor30Seconds) {
  SimHouse house;
  Client& client = house.open();
  Upstream& server = house.last();
  server.peer.answers_close = true;
  client.wire.open_window(0);
  client.wire.unacknowledged = 1000;
  server.peer.binary(pattern(50'000));
  house.run();
  house.advance(31s);
  EXPECT_TRUE(client.wire.aborted);
  EXPECT_EQ(server.peer.close_code(), 1001u);
  EXPECT_EQ(house.route_tally().slow_consumers.get(), 1u);
  house.advance(2s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Relaying, BearsAClientThatIsSlowButTakesSomething) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).ping_interval = {};
  SimHouse house(settings);
  Client& client = house.open();
  client.wire.open_window(0);
  house.last().peer.binary(pattern(50'000));
  house.run();
  for (int second = 0; second < 120; ++second) {
    client.wire.unacknowledged = 100'000 - static_cast<std::size_t>(second);  // the kernel gets rid of some
    house.advance(1s);
  }
  EXPECT_FALSE(client.wire.aborted);
  client.wire.open_window(Wire::kUnlimited);
  house.run();
  EXPECT_EQ(client.peer.messages().size(), 1u);
}

TEST(Relaying, ResetsAnUpstreamThatTakesNothingFor30Seconds) {
  SimHouse house;
  Client& client = house.open();
  client.peer.answers_close = true;
  Upstream& server = house.last();
  server.wire.open_window(0);
  server.wire.unacknowledged = 1000;
  client.peer.binary(pattern(50'000));
  house.run();
  house.advance(31s);
  EXPECT_EQ(client.peer.close_code(), 1011u);
  EXPECT_TRUE(server.wire.closed);
  house.advance(2s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Relaying, GivesOtherConnectionsATurn) {
  SimHouse house;
  Client& busy = house.open();
  Upstream& server = house.last();
  Client& other = house.open();
  Upstream& beside = house.last();
  for (int i = 0; i < 64; ++i) busy.peer.binary(pattern(50'000));
  other.peer.text("me too");
  house.turn();
  house.turn();
  EXPECT_EQ(beside.peer.messages().size(), 1u);
  EXPECT_LT(server.peer.messages().size(), 64u);  // 3.2 MB do not pass at one go
  house.run();
  EXPECT_EQ(server.peer.messages().size(), 64u);
}

TEST(Relaying, RefusesAMessageOverTheLimitByItsHeader) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_message = 1000;
  SimHouse house(settings);
  Client& client = house.open();
  house.last().peer.answers_close = true;
  client.wire.send(frame_octets(0x82, pattern(1001), true).substr(0, 8));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1009u);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
  EXPECT_EQ(house.last().peer.frames.size(), 1u);  // nothing of the message went up
  EXPECT_EQ(house.route_tally().invalid[static_cast<std::size_t>(Errc::too_big)].get(), 1u);
}

TEST(Relaying, CountsTheLimitOverAllFragments) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_message = 1000;
  SimHouse house(settings);
  Client& client = house.open();
  client.peer.binary(pattern(1000));
  client.peer.send(0x02, pattern(600));
  client.peer.send(0x80, pattern(401));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1009u);
}

struct Bad {
  const char* what;
  std::string octets;
  std::uint16_t code;
};

std::string hex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

TEST(Relaying, EndsAClientThatBreaksTheProtocol) {
  const std::vector<Bad> all = {
      {"unmasked", hex("810548656C6C6F"), 1002},
      {"RSV1", hex("C18000000000"), 1002},
      {"opcode 3", hex("838000000000"), 1002},
      {"opcode 11", hex("8B8000000000"), 1002},
      {"fragmented ping", hex("098000000000"), 1002},
      {"ping of 126", hex("89FE007E00000000"), 1002},
      {"continuation alone", hex("808000000000"), 1002},
      {"text inside text", hex("0181000000004181810000000042"), 1002},
      {"not minimal", hex("82FE007D00000000"), 1002},
      {"not minimal 64", hex("82FF000000000000FFFF00000000"), 1002},
      {"top bit", hex("82FF800000000000000000000000"), 1002},
      {"1 GiB", hex("82FF000000004000000000000000"), 1009},
      {"close of one octet", hex("88810000000003"), 1002},
      {"close 1004", hex("88820000000003EC"), 1002},
      {"close 1005", hex("88820000000003ED"), 1002},
      {"close 2000", hex("88820000000007D0"), 1002},
      {"HTTP", "GET /internal HTTP/1.1\r\nHost: x\r\n\r\n", 1002},
  };
  for (const Bad& one : all) {
    SCOPED_TRACE(one.what);
    SimHouse house;
    Client& client = house.open();
    Upstream& server = house.last();
    server.peer.answers_close = true;
    client.wire.send(one.octets + frame_octets(0x81, "after", true));
    house.run();
    EXPECT_EQ(client.peer.close_code(), one.code);
    EXPECT_EQ(server.peer.count(2), 0u);
    for (const std::string& message : server.peer.messages()) EXPECT_NE(message, "after");
    house.advance(7s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_TRUE(server.wire.closed);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.route_tally().connections.get(), 0);
  }
}

TEST(Relaying, EndsAnUpstreamThatBreaksTheProtocol) {
  const std::vector<Bad> all = {
      {"masked", hex("81810000000041"), 1011},
      {"RSV1", hex("C100"), 1011},
      {"opcode 3", hex("8300"), 1011},
      {"top bit", hex("827F8000000000000000"), 1011},
      {"close 1004", hex("880203EC"), 1011},
  };
  for (const Bad& one : all) {
    SCOPED_TRACE(one.what);
    SimHouse house;
    Client& client = house.open();
    client.peer.answers_close = true;
    Upstream& server = house.last();
    server.wire.send(frame_octets(0x81, "before", false) + one.octets + frame_octets(0x81, "after", false));
    house.run();
    EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"before"});
    EXPECT_EQ(client.peer.close_code(), 1011u);
    EXPECT_EQ(server.peer.close_code(), 1002u);
    house.advance(7s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Relaying, RefusesTextThatIsNotUtf8) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).validate_utf8 = true;
  SimHouse house(settings);
  Client& client = house.open();
  client.peer.text("\xED\xA0\x80");
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1007u);
}

TEST(Relaying, RefusesMoreShortFragmentsThanAllowed) {
  SimHouse house;
  Client& client = house.open();
  client.peer.send(0x01, "x");
  for (int i = 0; i < 1023; ++i) client.peer.send(0x00, "");
  house.run();
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  client.peer.send(0x00, "x");
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1008u);
}

TEST(Relaying, EndsAMessageThatStallsFor60Seconds) {
  const std::string frame = frame_octets(0x01, "xyz", true);
  for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{7}, frame.size()}) {
    SCOPED_TRACE(cut);
    config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
    rules_of(settings).ping_interval = {};
    SimHouse house(settings);
    Client& client = house.open();
    client.wire.send(frame.substr(0, cut));
    house.run();
    house.advance(59s);
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    house.advance(1s);
    EXPECT_EQ(client.peer.close_code(), 1008u);
    house.advance(7s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Relaying, BearsAMessageThatRestsWhileControlFramesCome) {
  SimHouse house;
  Client& client = house.open();
  const auto pongs = [](WsPeer& peer, const Frame& frame) {
    if (frame.opcode() == 9) peer.pong(frame.payload);
  };
  client.peer.on_frame = pongs;
  house.last().peer.on_frame = pongs;
  client.peer.send(0x01, "x");
  house.run();
  house.advance(120s);
  EXPECT_FALSE(client.wire.closed);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(Relaying, RemovesTheDeflateOfferWhereMessagesAreRead) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).validate_utf8 = true;
  SimHouse house(settings);
  house.open(upgrade_request("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Extensions"), "");
}

TEST(Relaying, PassesCompressedFramesWhenBothEndsAgreed) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting_fields = "Sec-WebSocket-Extensions: permessage-deflate\r\n"; };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Extensions"), "permessage-deflate");
  client.peer.send(0xC1, "squeezed");
  house.last().peer.send(0xC2, "too");
  house.run();
  EXPECT_EQ(house.last().peer.frames.at(0), (Frame{0xC1, true, "squeezed"}));
  EXPECT_EQ(client.peer.frames.at(0), (Frame{0xC2, false, "too"}));
}

TEST(Relaying, CutsTextForABrowserOnlyBetweenCodePoints) {
  config::Settings settings = settings_for({"tcp://10.0.0.2:7000"});
  rules_of(settings).text_frames = true;
  SimHouse house(settings);
  Client& client = house.open();
  house.last().wire.send("gr\xC3");
  house.run();
  house.last().wire.send("\xBC\xC3\x9F");
  house.run();
  ASSERT_EQ(client.peer.frames.size(), 2u);
  EXPECT_EQ(client.peer.frames[0], (Frame{0x81, false, "gr"}));
  EXPECT_EQ(client.peer.frames[1], (Frame{0x81, false, "\xC3\xBC\xC3\x9F"}));
}

}  // namespace
}  // namespace sluice::test
