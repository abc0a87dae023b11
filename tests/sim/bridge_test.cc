// Clients before TCP servers whose protocol has frames: what becomes of messages, of either side's end, and of mistakes.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ws::TcpFraming;

config::Settings before_tcp(std::size_t servers = 1) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("tcp://10.0.0." + std::to_string(i) + ":7000");
  config::Settings settings = settings_for(urls);
  rules_of(settings).ping_interval = {};
  rules_of(settings).forward_pings = false;
  return settings;
}

config::Settings lines(std::string delimiter = "\n", std::size_t servers = 1) {
  config::Settings settings = before_tcp(servers);
  settings.backends[0].framing.type = TcpFraming::Type::delimiter;
  settings.backends[0].framing.delimiter = ws::Delimiter(std::move(delimiter));
  return settings;
}

config::Settings lengths(std::size_t servers = 1) {
  config::Settings settings = before_tcp(servers);
  settings.backends[0].framing.type = TcpFraming::Type::length;
  settings.backends[0].framing.length.kind = ws::LengthPrefix::Kind::u16;
  return settings;
}

config::Settings in_text(config::Settings settings, TcpFraming::InvalidText invalid = TcpFraming::InvalidText::close) {
  rules_of(settings).text_frames = true;
  settings.backends[0].framing.invalid_text = invalid;
  return settings;
}

struct Joined {
  explicit Joined(config::Settings settings, std::string_view fields = "")
      : house(std::move(settings)), client(house.open(upgrade_request("/ws", fields))), server(house.last()) {
    server.peer.raw_only = true;  // no WebSocket server
  }
  std::uint64_t closes(Side initiator, std::uint16_t code) {
    return house.route_tally().closes[static_cast<std::size_t>(initiator)][session::close_label(code)].get();
  }
  std::uint64_t invalid(Errc code) { return house.route_tally().invalid[static_cast<std::size_t>(code)].get(); }
  void expect_gone() {
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.route_tally().connections.get(), 0);
    EXPECT_EQ(house.server(0).active.load(), 0u);
    EXPECT_TRUE(client.wire.closed);
    EXPECT_TRUE(server.wire.closed);
  }
  void end_client() {
    client.wire.finish();
    house.run();
  }

  SimHouse house;
  Client& client;
  Upstream& server;
};

using Messages = std::vector<std::string>;

// ---- messages ----------------------------------------------------------------------------------------------------------

TEST(Bridge, ALineIsAMessageBothWays) {
  Joined one(lines("\r\n"));
  one.client.peer.text("NICK me");
  one.client.peer.binary("");
  one.client.wire.send(frame_octets(0x01, "USER", true) + frame_octets(0x89, "p", true) + frame_octets(0x80, " me", true));
  one.house.run();
  EXPECT_EQ(one.server.wire.out, "NICK me\r\n\r\nUSER me\r\n");
  EXPECT_EQ(one.client.peer.count(10), 1u) << "a Ping inside a message is answered by the gateway";
  one.server.wire.send(":hi\r\n\r\npart");
  one.house.run();
  one.server.wire.send("ly\r");
  one.house.run();
  one.server.wire.send("\n");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), (Messages{":hi", "", "partly"}));
  EXPECT_EQ(one.client.peer.frames.back().opcode(), 0u);
}

TEST(Bridge, AFrameWithALengthIsAMessageBothWays) {
  Joined one(lengths());
  one.client.peer.binary("one");
  one.client.wire.send(frame_octets(0x02, "tw", true));
  one.house.run();
  EXPECT_EQ(one.server.wire.out, std::string("\0\3one", 5)) << "its length is not known yet";
  one.client.wire.send(frame_octets(0x00, std::string(1000, 'x'), true) + frame_octets(0x89, "p", true) +
                       frame_octets(0x80, "o", true));
  one.house.run();
  EXPECT_EQ(one.server.wire.out.substr(5), std::string("\x03\xEBtw", 4) + std::string(1000, 'x') + "o");
  EXPECT_EQ(one.client.peer.count(10), 1u);
  one.server.wire.send(std::string("\0\5hello\0\0\0\3", 11));
  one.house.run();
  one.server.wire.send("abc");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), (Messages{"hello", "", "abc"}));
  EXPECT_EQ(one.house.pool().lent(), 0u);
}

TEST(Bridge, ManyLinesLeaveTogether) {
  Joined one(lines());
  const std::size_t before = one.server.wire.writes.size();
  std::string frames;
  std::string octets;
  for (int i = 0; i < 200; ++i) {
    frames += frame_octets(0x81, "line " + std::to_string(i), true);
    octets += "line " + std::to_string(i) + "\n";
  }
  one.client.wire.send(frames);
  one.house.run();
  EXPECT_EQ(one.server.wire.out, octets);
  EXPECT_EQ(one.server.wire.writes.size() - before, 1u);
  const std::size_t there = one.client.wire.writes.size();
  one.server.wire.send(octets);
  one.house.run();
  EXPECT_EQ(one.client.peer.messages().size(), 200u);
  EXPECT_EQ(one.client.peer.messages()[77], "line 77");
  EXPECT_EQ(one.client.wire.writes.size() - there, 1u);
}

TEST(Bridge, LargeFramesPassThroughASlowSide) {
  for (const bool by_length : {false, true}) {
    Joined one(by_length ? lengths() : lines());
    const std::string body(50'000, 'x');
    const std::string frame = (by_length ? std::string("\xC3\x50") : "") + body + (by_length ? "" : "\n");
    one.server.wire.open_window(0);
    one.client.wire.open_window(0);
    for (int i = 0; i < 4; ++i) {
      one.client.wire.send(frame_octets(0x02, body.substr(0, 20'000), true) + frame_octets(0x80, body.substr(20'000), true));
      one.server.wire.send(frame);
    }
    for (int i = 0; i < 300; ++i) {
      one.server.wire.open_window(1009);
      one.client.wire.open_window(1013);
      one.house.run();
    }
    EXPECT_EQ(one.server.wire.out, frame + frame + frame + frame);
    EXPECT_EQ(one.client.peer.messages(), (Messages{body, body, body, body}));
    EXPECT_EQ(one.house.pool().lent(), 0u);
  }
}

// ---- ends --------------------------------------------------------------------------------------------------------------

TEST(Bridge, TheRestOfTheServerPassesAfterTheClientsClose) {
  Joined one(lines());
  one.client.peer.text("QUIT");
  one.client.peer.close(1000);
  one.house.run();
  EXPECT_EQ(one.server.wire.out, "QUIT\n");
  EXPECT_TRUE(one.server.wire.finished);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
  one.server.wire.send("bye\n");
  one.server.wire.finish();
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), Messages{"bye"});
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  one.end_client();
  one.expect_gone();
}

TEST(Bridge, TheEndOfTheServerBetweenFramesIsAClose) {
  for (auto settings : {lines(), lengths()}) {
    Joined one(settings);
    one.client.peer.answers_close = true;
    one.server.wire.send(settings.backends[0].framing.type == TcpFraming::Type::length ? std::string("\0\1a", 3) : "a\n");
    one.server.wire.finish();
    one.house.run();
    EXPECT_EQ(one.client.peer.messages(), Messages{"a"});
    EXPECT_EQ(one.client.peer.close_code(), 1000u);
    EXPECT_TRUE(one.server.wire.finished);
    one.end_client();
    one.expect_gone();
  }
}

TEST(Bridge, TheEndOfTheServerInsideAFrameIsAnError) {
  using namespace std::string_literals;
  struct Case {
    config::Settings settings;
    std::string octets;
  };
  for (const Case& c : {Case{lines("\r\n"), "whole\r\nhalf"}, {lines("\r\n"), "whole\r\nhalf\r"}, {lines("\r\n"), "whole\r\n\r"},
                        {lengths(), "\0\5whole\0"s}, {lengths(), "\0\5whole\0\5"s}, {lengths(), "\0\5whole\0\5half"s},
                        {in_text(before_tcp()), "whole\xE2\x82"}}) {
    Joined one(c.settings);
    one.client.peer.answers_close = true;
    one.server.wire.send(c.octets);
    one.server.wire.finish();
    one.house.run();
    ASSERT_FALSE(one.client.peer.messages().empty());
    EXPECT_EQ(one.client.peer.messages()[0], "whole");
    EXPECT_EQ(one.client.peer.close_code(), 1011u);
    EXPECT_EQ(one.client.peer.close_frame()->reason(), "tcp_frame_cut");
    for (const Frame& frame : one.client.peer.frames) {
      if (frame.opcode() < 8 && frame.fin()) EXPECT_EQ(frame.payload, "whole") << "half a frame looks whole";
    }
    one.end_client();
    one.expect_gone();
  }
}

// Half a line before an orderly end would be a line to many servers.
TEST(Bridge, AClientLostInsideAMessageIsAReset) {
  for (const bool reset : {false, true}) {
    Joined one(lines());
    one.client.wire.send(frame_octets(0x81, "DELETE everything", true).substr(0, 12));
    one.house.run();
    EXPECT_EQ(one.server.wire.out, "DELETE");
    reset ? one.client.wire.reset() : one.client.wire.finish();
    one.house.run();
    one.house.advance(1100ms);
    EXPECT_TRUE(one.server.wire.aborted);
    EXPECT_FALSE(one.server.wire.finished);
    one.expect_gone();
  }
}

TEST(Bridge, AClientLostBetweenMessagesIsAnEnd) {
  for (auto settings : {lines(), lengths()}) {
    Joined one(settings);
    one.client.peer.text("done");
    one.client.wire.send(frame_octets(0x89, "ping", true).substr(0, 4));
    one.house.run();
    one.client.wire.reset();
    one.house.run();
    EXPECT_TRUE(one.server.wire.finished);
    one.house.advance(1100ms);
    EXPECT_FALSE(one.server.wire.aborted);
    one.expect_gone();
  }
}

// Fragments that wait for their length have not begun to pass.
TEST(Bridge, ACloseInsideAFragmentedMessage) {
  Joined held(lengths());
  held.client.wire.send(frame_octets(0x02, "held", true) + frame_octets(0x88, close_payload(1000), true));
  held.house.run();
  EXPECT_EQ(held.server.wire.out, "");
  EXPECT_TRUE(held.server.wire.finished);
  held.server.wire.finish();
  held.house.run();
  EXPECT_EQ(held.client.peer.close_code(), 1000u);
  held.end_client();
  held.expect_gone();

  Joined passed(lines());
  passed.client.wire.send(frame_octets(0x02, "passed", true) + frame_octets(0x88, close_payload(1000), true));
  passed.house.run();
  EXPECT_EQ(passed.server.wire.out, "passed");
  passed.house.advance(1100ms);
  EXPECT_TRUE(passed.server.wire.aborted);
  passed.house.advance(5s);
  EXPECT_EQ(passed.client.peer.close_code(), 1000u);
  passed.end_client();
  passed.expect_gone();
}

TEST(Bridge, ADrainWaitsForTheEndOfAFrame) {
  Joined one(lines());
  one.client.peer.answers_close = true;
  one.server.wire.send("first half");
  one.house.run();
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
  one.server.wire.send(" and second\n");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), Messages{"first half and second"});
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
}

// ---- mistakes ----------------------------------------------------------------------------------------------------------

TEST(Bridge, AMessageThatHoldsTheDelimiterIsRefused) {
  for (const std::size_t cut : {std::size_t{0}, std::size_t{9}}) {
    Joined one(lines());
    const std::string frame = frame_octets(0x81, "two\nlines", true);
    if (cut > 0) {
      one.client.wire.send(frame.substr(0, cut));
      one.house.run();
    }
    one.client.wire.send(frame.substr(cut));
    one.house.run();
    EXPECT_EQ(one.client.peer.close_code(), 1008u);
    EXPECT_EQ(one.invalid(Errc::ws_delimiter), 1u);
    EXPECT_EQ(one.server.wire.out, cut > 0 ? "two" : "");
    EXPECT_EQ(one.server.wire.aborted, cut > 0) << "what had begun is not to be taken for a line";
    one.server.wire.finish();
    one.end_client();
    one.house.advance(6s);
    one.expect_gone();
  }
}

TEST(Bridge, AFrameOfTheServerOverItsLimit) {
  config::Settings settings = lengths();
  settings.backends[0].framing.max_frame = 1000;
  Joined one(settings);
  one.client.peer.answers_close = true;
  one.server.wire.send(std::string("\x7F\xFF", 2));
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1011u);
  EXPECT_EQ(one.client.peer.close_frame()->reason(), "tcp_frame_too_big");
  EXPECT_EQ(one.invalid(Errc::tcp_frame_too_big), 1u);
  EXPECT_TRUE(one.server.wire.finished);
  one.end_client();
  one.house.advance(6s);
  one.expect_gone();
}

TEST(Bridge, AMessageOverTheLongestFrame) {
  config::Settings settings = lengths();
  settings.backends[0].framing.length.kind = ws::LengthPrefix::Kind::u8;
  Joined one(settings);
  one.client.peer.binary(std::string(256, 'x'));
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1009u);
  EXPECT_EQ(one.server.wire.out, "");
}

TEST(Bridge, TextThatIsNone) {
  for (auto settings : {lines(), before_tcp()}) {
    Joined closed(in_text(settings));
    closed.server.wire.send("a\xFFz\n");
    closed.house.run();
    EXPECT_EQ(closed.client.peer.close_code(), 1007u);
    EXPECT_EQ(closed.client.peer.close_frame()->reason(), "tcp_utf8");
    EXPECT_EQ(closed.invalid(Errc::tcp_utf8), 1u);

    Joined binary(in_text(settings, TcpFraming::InvalidText::binary));
    binary.server.wire.send("a\xFFz\n");
    binary.house.run();
    binary.server.wire.send("fine\n");
    binary.house.run();
    ASSERT_EQ(binary.client.peer.frames.size(), 2u);
    EXPECT_EQ(binary.client.peer.frames[0].opcode(), 2u);
    EXPECT_EQ(binary.client.peer.frames[1].opcode(), 1u);

    Joined replaced(in_text(settings, TcpFraming::InvalidText::replace));
    replaced.server.wire.send("a\xFFz\n");
    replaced.house.run();
    std::string all;
    for (const std::string& message : replaced.client.peer.messages()) all += message;
    EXPECT_EQ(all.substr(0, 5), "a\uFFFDz");
  }
}

// ---- base64 ------------------------------------------------------------------------------------------------------------

TEST(Bridge, TheSubprotocolBase64) {
  Joined one(before_tcp(), "Sec-WebSocket-Protocol: base64\r\n");
  EXPECT_EQ(field_of(one.client.peer.head, "Sec-WebSocket-Protocol"), "base64");
  one.client.peer.text("AAEC/w==");
  one.client.wire.send(frame_octets(0x01, "aGV", true) + frame_octets(0x89, "", true) + frame_octets(0x80, "sbG8=", true));
  one.house.run();
  EXPECT_EQ(one.server.wire.out, std::string("\0\1\2\xFFhello", 9));
  one.server.wire.send(std::string("\xFF\0RFB", 5));
  one.house.run();
  ASSERT_EQ(one.client.peer.messages().size(), 1u);
  EXPECT_EQ(one.client.peer.frames.back().first, 0x81);
  EXPECT_EQ(one.client.peer.messages()[0], "/wBSRkI=");
  one.server.wire.send(std::string(40'000, '\0'));
  one.house.run();
  EXPECT_EQ(one.client.peer.messages().back().size(), 53'336u);
  one.client.peer.text("no base64");
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1007u);
}

TEST(Bridge, TheSubprotocolBase64IsOnlyOneOfRawOctets) {
  Joined binary(before_tcp(), "Sec-WebSocket-Protocol: binary, base64\r\n");
  EXPECT_EQ(field_of(binary.client.peer.head, "Sec-WebSocket-Protocol"), "binary");
  Joined framed(lines(), "Sec-WebSocket-Protocol: base64, irc\r\n");
  EXPECT_EQ(field_of(framed.client.peer.head, "Sec-WebSocket-Protocol"), "irc");
  SimHouse house(lines());
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: base64\r\n"));
  EXPECT_EQ(client.peer.status(), 400);
  EXPECT_EQ(house.dials(), 0u);
}

// ---- per message -------------------------------------------------------------------------------------------------------

struct Two {
  explicit Two(config::Settings settings = lines("\n", 2))
      : house([&] {
          settings.backends[0].unit = upstream::Unit::message;
          return settings;
        }()),
        client(house.open()) {
    house.on_dial = [](Upstream& upstream) { upstream.peer.raw_only = true; };
    a().peer.raw_only = true;
    for (int i = 0; i < 4; ++i) {
      client.peer.text(std::to_string(i));
      house.run();
    }
  }
  Upstream& a() { return house.upstream(0); }
  Upstream& b() { return house.upstream(1); }
  SimHouse house;
  Client& client;
};

TEST(Bridge, MessagesAreSpreadOverServers) {
  Two two;
  ASSERT_EQ(two.house.dials(), 2u);
  EXPECT_EQ(two.a().wire.out.size() + two.b().wire.out.size(), 8u);
  EXPECT_EQ(two.a().wire.out.size(), 4u) << "in turn";
  // Answers in pieces never run into one another.
  two.a().wire.send("from ");
  two.house.run();
  two.b().wire.send("whole from b\n");
  two.house.run();
  EXPECT_EQ(two.client.peer.count(2) + two.client.peer.count(1), 1u) << "b waits for a's line";
  two.a().wire.send("a\nnext");
  two.house.run();
  two.a().wire.send(" of a\n");
  two.house.run();
  Messages got = two.client.peer.messages();
  std::ranges::sort(got);
  EXPECT_EQ(got, (Messages{"from a", "next of a", "whole from b"}));
  two.client.peer.ping("p");
  two.house.run();
  EXPECT_EQ(two.client.peer.count(10), 1u);
}

TEST(Bridge, TheClientsCloseEndsAllItsServers) {
  Two two;
  two.client.peer.close(1000);
  two.house.run();
  EXPECT_TRUE(two.a().wire.finished);
  EXPECT_TRUE(two.b().wire.finished);
  two.a().wire.send("rest of a\n");
  two.a().wire.finish();
  two.house.run();
  EXPECT_EQ(two.client.peer.close_frame(), nullptr) << "b still has a word";
  two.b().wire.send("rest of b\n");
  two.b().wire.finish();
  two.house.run();
  EXPECT_EQ(two.client.peer.messages(), (Messages{"rest of a", "rest of b"}));
  EXPECT_EQ(two.client.peer.close_code(), 1000u);
  two.client.wire.finish();
  two.house.run();
  EXPECT_EQ(two.house.alive(), 0u);
  EXPECT_EQ(two.house.pool().lent(), 0u);
}

TEST(Bridge, AServerThatEndsEndsTheSession) {
  Two two;
  two.client.peer.answers_close = true;
  two.a().wire.finish();
  two.house.run();
  EXPECT_EQ(two.client.peer.close_code(), 1000u);
  EXPECT_TRUE(two.b().wire.finished);
  two.b().wire.finish();
  two.client.wire.finish();
  two.house.run();
  EXPECT_EQ(two.house.alive(), 0u);
}

TEST(Bridge, AServerThatBreaksOffInsideAnAnswer) {
  Two two(lengths(2));
  two.client.peer.answers_close = true;
  two.a().wire.send(std::string("\0\5hal", 5));
  two.house.run();
  two.a().wire.finish();
  two.house.run();
  EXPECT_EQ(two.client.peer.close_code(), 1011u);
  EXPECT_TRUE(two.b().wire.finished);
}

// ---- reaching the server -----------------------------------------------------------------------------------------------

TEST(Bridge, OnlyServersOfAnEncryptedSchemeAreDialledWithTls) {
  for (const auto& [scheme, encrypted] : {std::pair{upstream::Scheme::tls, true}, {upstream::Scheme::tcp, false}}) {
    config::Settings settings = before_tcp();
    settings.backends[0].servers[0].scheme = scheme;
    settings.backends[0].tls.server_name = "vnc.internal";
    Joined one(settings);
    EXPECT_EQ(one.server.encrypted, encrypted);
    EXPECT_EQ(one.server.name, "vnc.internal");
    one.client.peer.binary("x");
    one.house.run();
    EXPECT_EQ(one.server.wire.out, "x") << "no handshake of HTTP";
  }
}

TEST(Bridge, AUnixSocketIsAnAddress) {
  config::Settings settings = before_tcp();
  settings.backends[0].servers[0].url = "unix:///run/app.sock";
  settings.backends[0].servers[0].host.clear();
  settings.backends[0].servers[0].port = 0;
  settings.backends[0].servers[0].unix_path = "/run/app.sock";
  Joined one(settings);
  EXPECT_EQ(one.server.address, "unix:/run/app.sock");
}

}  // namespace
}  // namespace sluice::test
