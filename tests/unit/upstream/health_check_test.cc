#include "upstream/health_check.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "base/buffer.h"
#include "event/loop.h"
#include "support/run_until.h"
#include "support/script_server.h"
#include "support/ws_peer.h"

namespace sluice::upstream {
namespace {

using namespace std::chrono_literals;
using test::ScriptServer;
using Peer = ScriptServer::Peer;
using Type = HealthSettings::Type;

class HealthCheckTest : public testing::Test {
 protected:
  std::string check(Type type, const net::Address& address) {
    HealthTarget target;
    target.addresses = {address};
    target.authority = "app.test:9000";
    target.settings = settings_;
    target.preamble = preamble_;
    target.settings.type = type;
    std::optional<std::string> outcome;
    const auto check =
        HealthCheck::start(place_, std::move(target), [&](std::string failure) { outcome = std::move(failure); });
    EXPECT_FALSE(outcome);
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    return outcome.value_or("never");
  }
  std::string check(Type type, ScriptServer::Script script) {
    ScriptServer server(std::move(script));
    return check(type, server.address());
  }
  static ScriptServer::Script answer(std::string octets) {
    return [octets](Peer& peer) {
      if (!peer.head().empty()) peer.send(octets);
    };
  }
  // A server that accepts the handshake and then does the rest.
  static ScriptServer::Script accepts(std::function<void(Peer&)> rest) {
    return [rest](Peer& peer) {
      const std::string head = peer.head();
      if (head.empty()) return;
      peer.send(test::WsPeer::switching(head));
      rest(peer);
    };
  }
  // The next frame of the check's.
  static test::Frame next_frame(Peer& peer) {
    while (true) {
      auto frames = test::read_frames(peer.in);
      if (!frames.empty()) return frames.front();
      if (!peer.more()) return {};
    }
  }
  static void pong(Peer& peer, const std::string& payload) { peer.send(test::frame_octets(0x8A, payload, false)); }

  HealthSettings settings_ = [] {
    HealthSettings settings;
    settings.active = true;
    settings.timeout = 20s;
    return settings;
  }();
  std::string preamble_;
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
};

TEST_F(HealthCheckTest, ByTcp) {
  net::Address dead;
  {
    ScriptServer server([](Peer& peer) { peer.wait_end(); });
    EXPECT_EQ(check(Type::tcp, server.address()), "");
    dead = server.address();
  }
  EXPECT_EQ(check(Type::tcp, dead), "refused");
}

TEST_F(HealthCheckTest, APreambleGoesAheadOfEverything) {
  preamble_ = "PROXY UNKNOWN\r\n";
  std::string begun;
  const auto take = [&](Peer& peer) {
    peer.until(preamble_.size());
    begun = peer.in.substr(0, preamble_.size());
    peer.in.erase(0, begun.size());
  };
  {
    std::atomic<bool> ended = false;
    ScriptServer server([&](Peer& peer) {
      take(peer);
      peer.wait_end();
      ended = true;
    });
    EXPECT_EQ(check(Type::tcp, server.address()), "");
    EXPECT_TRUE(run_until(loop_, [&] { return ended.load(); }));
    EXPECT_EQ(begun, preamble_);
  }
  EXPECT_EQ(check(Type::http, [&](Peer& peer) {
    take(peer);
    if (peer.head().starts_with("GET / ")) peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  }), "");
  EXPECT_EQ(begun, preamble_);
  EXPECT_EQ(check(Type::websocket, [&](Peer& peer) {
    take(peer);
    peer.send(test::WsPeer::switching(peer.head()));
    pong(peer, next_frame(peer).payload);
  }), "");
  EXPECT_EQ(begun, preamble_);
}

TEST_F(HealthCheckTest, ByHttpWithTheExpectedStatus) {
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), "");
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")), "status 503");
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")), "status 302");
  settings_.status = {{401, 401}, {300, 399}};
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")), "");
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 401 Unauthorized\r\n\r\n")), "");
  EXPECT_EQ(check(Type::http, answer("HTTP/1.1 200 OK\r\n\r\n")), "status 200");
}

TEST_F(HealthCheckTest, ByHttpWithTheConfiguredRequest) {
  std::string head;
  const auto server = [&](Peer& peer) {
    head = peer.head();
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  };
  EXPECT_EQ(check(Type::http, server), "");
  EXPECT_EQ(head, "GET / HTTP/1.1\r\nHost: app.test:9000\r\nConnection: close\r\n\r\n");
  settings_.path = "/healthz?deep=1";
  settings_.host = "other.test";
  settings_.headers = {{"X-Check", "sluice"}};
  EXPECT_EQ(check(Type::http, server), "");
  EXPECT_EQ(head, "GET /healthz?deep=1 HTTP/1.1\r\nHost: other.test\r\nX-Check: sluice\r\nConnection: close\r\n\r\n");
}

TEST_F(HealthCheckTest, ByHttpWhatIsNoHttpHasFailed) {
  EXPECT_NE(check(Type::http, answer("SSH-2.0-OpenSSH_9.2\r\n")), "");
  EXPECT_EQ(check(Type::http, answer("")), "closed inside its answer");
  settings_.timeout = 50ms;
  EXPECT_EQ(check(Type::http, [](Peer& peer) { peer.wait_end(); }), "timeout");
}

TEST_F(HealthCheckTest, ByWebSocketHandshakePingAndPong) {
  std::string head;
  test::Frame ping;
  test::Frame close;
  const std::string outcome = check(Type::websocket, [&](Peer& peer) {
    head = peer.head();
    peer.send(test::WsPeer::switching(head));
    peer.send(test::frame_octets(0x81, "welcome", false));
    ping = next_frame(peer);
    peer.send(test::frame_octets(0x8A, "of another ping", false));
    pong(peer, ping.payload);
    close = next_frame(peer);
    peer.send(test::frame_octets(0x88, close.payload, false));
  });
  EXPECT_EQ(outcome, "");
  EXPECT_TRUE(head.starts_with("GET / HTTP/1.1\r\nHost: app.test:9000\r\n")) << head;
  EXPECT_EQ(test::field_of(head, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(ping.first, 0x89);
  EXPECT_TRUE(ping.masked);
  EXPECT_EQ(close.first, 0x88);
  EXPECT_EQ(close.code(), 1000);
}

TEST_F(HealthCheckTest, ByWebSocketAServerNeedNotAnswerTheClose) {
  EXPECT_EQ(check(Type::websocket, accepts([](Peer& peer) {
    pong(peer, next_frame(peer).payload);
    peer.wait_end();
  })), "");
}

TEST_F(HealthCheckTest, ByWebSocketWhatIsNoneHasFailed) {
  EXPECT_EQ(check(Type::websocket, answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")), "status 404");
  EXPECT_NE(check(Type::websocket, answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")),
            "") << "an Accept of another key";
  EXPECT_EQ(check(Type::websocket, accepts([](Peer&) {})), "closed before its pong");
  EXPECT_EQ(check(Type::websocket, accepts([](Peer& peer) {
    peer.send(test::frame_octets(0x88, test::close_payload(1013), false));
    peer.wait_end();
  })), "closed before its pong");
  EXPECT_EQ(check(Type::websocket, accepts([](Peer& peer) {
    peer.send(test::frame_octets(0x8A, "x", true));  // masked by a server
    peer.wait_end();
  })), "ws_mask");
  EXPECT_EQ(check(Type::websocket, accepts([](Peer& peer) {
    for (int i = 0; i < 40; ++i) peer.send(test::frame_octets(0x82, std::string(4000, 'x'), false));
    peer.wait_end();
  })), "no pong among too many octets");
  settings_.timeout = 300ms;
  EXPECT_EQ(check(Type::websocket, accepts([](Peer& peer) { peer.wait_end(); })), "no pong in time");
}

TEST_F(HealthCheckTest, MayBeGivenUpAtAnyTime) {
  for (const Type type : {Type::tcp, Type::http, Type::websocket}) {
    ScriptServer server(accepts([](Peer& peer) { peer.wait_end(); }));
    HealthTarget target;
    target.addresses = {server.address()};
    target.settings = settings_;
    target.settings.type = type;
    auto check = HealthCheck::start(place_, target, [](std::string) {});
    EXPECT_TRUE(run_until(loop_, [&] { return server.visits() > 0; }));
    check.reset();
  }
}

}  // namespace
}  // namespace sluice::upstream
