// The same conversations over real sockets, with and without TLS at each side: what MemoryStream pretends is checked
// against the kernel and OpenSSL.
#include <gtest/gtest.h>

#include "support/pattern.h"
#include "support/socket_house.h"

namespace sluice::test {
namespace {

struct Transport {
  const char* name;
  bool client_tls;
  const char* scheme;
};

class Sockets : public testing::TestWithParam<Transport> {
 protected:
  static config::Settings settings(std::size_t servers = 1, std::string scheme = GetParam().scheme) {
    std::vector<std::string> urls;
    for (std::size_t i = 0; i < servers; ++i) urls.push_back(scheme + "://127.0.0.1:" + std::to_string(9001 + i));
    config::Settings settings = settings_for(urls);
    settings.backends[0].tls.ca = sim_certificate().certificate;
    if (GetParam().client_tls) {
      settings.listeners[0].tls.emplace();
      settings.listeners[0].tls->certificates = {sim_certificate()};
    }
    return settings;
  }
  // Joined and shaken.
  static SocketPeer& open(SocketHouse& house) {
    SocketPeer& client = house.connect();
    EXPECT_EQ(speaking(house, GetParam().client_tls ? session::Protocol::tls : session::Protocol::http1), 1);
    client.end.send(upgrade_request());
    EXPECT_TRUE(house.until([&] { return client.peer.status() == 101; })) << client.peer.raw;
    EXPECT_EQ(speaking(house, session::Protocol::websocket), 1);
    return client;
  }
  static std::int64_t speaking(SocketHouse& house, session::Protocol protocol) {
    return house.listener_tally().connections[static_cast<std::size_t>(protocol)].get();
  }
  static void expect_nothing_left(SocketHouse& house) {
    EXPECT_TRUE(house.until([&] { return house.alive() == 0; }));
    EXPECT_TRUE(house.until([&] { return house.pool().lent() == 0; })) << house.pool().lent();
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
    for (std::size_t i = 0; i < session::kProtocolNames.size(); ++i) {
      EXPECT_EQ(speaking(house, static_cast<session::Protocol>(i)), 0);
    }
    EXPECT_EQ(house.route_tally().connections.get(), 0);
    EXPECT_EQ(house.server(0).active.load(), 0u);
  }
};

TEST_P(Sockets, CarryAConversationAndItsClose) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = open(house);
  SocketPeer& server = house.upstream(0);
  server.peer.answers_close = true;
  client.peer.text("hello");
  client.peer.send(0x01, "frag");
  client.peer.ping("p");
  client.peer.send(0x80, "ment");
  server.peer.text("welcome");
  server.peer.ping("q");
  EXPECT_TRUE(house.until([&] { return server.peer.frames.size() == 4 && client.peer.frames.size() == 2; }));
  EXPECT_EQ(server.peer.messages(), (std::vector<std::string>{"hello", "fragment"}));
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"welcome"});
  client.peer.close(4000, "bye");
  EXPECT_TRUE(house.until([&] { return client.peer.close_frame() && client.end.ended(); }));
  EXPECT_EQ(client.peer.close_frame()->payload, close_payload(4000, "bye"));
  EXPECT_EQ(server.peer.close_code(), 4000u);
  client.end.finish();
  expect_nothing_left(house);
}

TEST_P(Sockets, CarryTheRequestAndFramesInOneSegment) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = house.connect();
  client.end.send(upgrade_request() + frame_octets(0x81, "early", true));
  EXPECT_TRUE(house.until([&] { return house.dials() == 1 && house.upstream(0).peer.messages().size() == 1; }));
  client.end.reset();
  expect_nothing_left(house);
}

TEST_P(Sockets, CarryMuchBothWaysAtOnce) {
  config::Settings large = settings();
  rules_of(large).max_message = 0;
  SocketHouse house(large, GetParam().client_tls);
  SocketPeer& client = open(house);
  SocketPeer& server = house.upstream(0);
  const std::string up = pattern(4'000'003);
  const std::string down = pattern(5'000'011);
  client.peer.binary(up);
  server.peer.binary(down);
  EXPECT_TRUE(house.until([&] { return server.peer.frames.size() == 1 && client.peer.frames.size() == 1; }));
  EXPECT_TRUE(server.peer.frames.at(0).payload == up);
  EXPECT_TRUE(client.peer.frames.at(0).payload == down);
  client.end.reset();
  expect_nothing_left(house);
}

TEST_P(Sockets, HoldAStalledReaderAndLoseNothing) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = open(house);
  SocketPeer& server = house.upstream(0);
  client.end.holder.reads = false;
  for (int i = 0; i < 400; ++i) server.peer.binary(pattern(50'000));
  EXPECT_TRUE(house.until(
      [&] { return house.route_tally().flow[static_cast<std::size_t>(session::Direction::down)].pauses.get() > 0; }));
  // Nothing beyond the stated bounds: what waits for the client, and what the far end of this test keeps itself.
  EXPECT_LE(house.pool().lent(), 512u * 1024);
  EXPECT_FALSE(server.end.holder.out.empty());
  client.end.holder.reads = true;
  client.end.holder.work();
  // On a slow machine the gateway pings in between.
  EXPECT_TRUE(house.until([&] { return client.peer.count(2) == 400; }));
  for (const std::string& message : client.peer.messages()) ASSERT_EQ(message.size(), 50'000u);
  client.end.reset();
  expect_nothing_left(house);
}

TEST_P(Sockets, Tell1011WhenTheUpstreamIsReset) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = open(house);
  client.peer.answers_close = true;
  house.upstream(0).end.reset();
  EXPECT_TRUE(house.until([&] { return client.peer.close_code() == 1011; }));
  EXPECT_TRUE(house.until([&] { return client.end.ended(); }));
  client.end.finish();
  expect_nothing_left(house);
}

TEST_P(Sockets, Tell1001WhenTheClientIsReset) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = open(house);
  SocketPeer& server = house.upstream(0);
  client.peer.text("last");
  EXPECT_TRUE(house.until([&] { return server.peer.frames.size() == 1; }));
  client.end.reset();
  EXPECT_TRUE(house.until([&] { return server.peer.close_code() == 1001; }));
  expect_nothing_left(house);
}

TEST_P(Sockets, DrainInOrder) {
  SocketHouse house(settings(), GetParam().client_tls);
  SocketPeer& client = open(house);
  house.upstream(0).peer.answers_close = true;
  house.drain_all();
  EXPECT_TRUE(house.until([&] { return client.peer.close_code() == 1001; }));
  client.peer.text("on its way");
  client.peer.close(1001);
  EXPECT_TRUE(house.until([&] { return client.end.ended(); }));
  EXPECT_EQ(house.upstream(0).peer.messages(), std::vector<std::string>{"on its way"});
  EXPECT_EQ(house.upstream(0).peer.close_code(), 1001u);
  client.end.finish();
  expect_nothing_left(house);
}

TEST_P(Sockets, SpreadMessagesOverLegs) {
  config::Settings spread = settings(2);
  spread.backends[0].unit = upstream::Unit::message;
  SocketHouse house(spread, GetParam().client_tls);
  house.on_upstream = [](WsPeer& peer) { peer.echoes = peer.answers_close = true; };
  SocketPeer& client = open(house);
  for (int i = 0; i < 50; ++i) client.peer.text(pattern(1000 + static_cast<std::size_t>(i)));
  EXPECT_TRUE(house.until([&] { return client.peer.messages().size() == 50; }));
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 25u);
  EXPECT_EQ(house.upstream(1).peer.messages().size(), 25u);
  client.peer.close(1000);
  EXPECT_TRUE(house.until([&] { return client.peer.close_frame() && client.end.ended(); }));
  client.end.finish();
  expect_nothing_left(house);
}

TEST_P(Sockets, BridgeToTcp) {
  SocketHouse house(settings(1, "tcp"), GetParam().client_tls);
  house.on_upstream = [](WsPeer& peer) { peer.raw_only = true; };
  SocketPeer& client = open(house);
  SocketPeer& server = house.upstream(0);
  const std::string much = pattern(900'000);
  client.peer.binary(much);
  EXPECT_TRUE(house.until([&] { return server.peer.raw.size() == much.size(); }));
  EXPECT_TRUE(server.peer.raw == much);
  client.peer.answers_close = true;
  server.end.send(much);
  server.end.finish();
  EXPECT_TRUE(house.until([&] { return client.peer.close_frame() != nullptr; }));
  std::string got;
  for (const std::string& message : client.peer.messages()) got += message;
  EXPECT_TRUE(got == much);
  EXPECT_EQ(client.peer.close_code(), 1000u);
  EXPECT_TRUE(house.until([&] { return client.end.ended(); }));
  client.end.finish();
  expect_nothing_left(house);
}

TEST_P(Sockets, RelayARefusal) {
  SocketHouse house(settings(), GetParam().client_tls);
  house.on_upstream = [](WsPeer& peer) {
    peer.greeting = WsPeer::Greeting::none;
    peer.end().send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  };
  SocketPeer& client = house.connect();
  client.end.send(upgrade_request());
  EXPECT_TRUE(house.until([&] { return client.peer.status() == 403 && client.end.ended(); }));
  EXPECT_EQ(client.peer.body, "no");
  client.end.finish();
  expect_nothing_left(house);
}

INSTANTIATE_TEST_SUITE_P(All, Sockets,
                         testing::Values(Transport{"TcpToTcp", false, "ws"}, Transport{"TlsToTcp", true, "ws"},
                                         Transport{"TcpToTls", false, "wss"}, Transport{"TlsToTls", true, "wss"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::test
