// From the head to the answer: what goes up, what is answered, what is refused, and how long each phase may take.
#include <gtest/gtest.h>

#include "http/trace.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

std::string status_line(const Client& client) { return client.peer.head.substr(0, client.peer.head.find("\r\n")); }

TEST(Opening, JoinsAClientToAWebSocketUpstream) {
  SimHouse house;
  Client& client = house.open();
  ASSERT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.upstream(0).address, "10.0.0.1:9000");
  EXPECT_EQ(client.peer.head,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                std::string(kAccept) + "\r\n\r\n");
  client.peer.text("hello");
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages(), std::vector<std::string>{"hello"});
  house.upstream(0).peer.text("and back");
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"and back"});
  EXPECT_EQ(house.route_tally().connections.get(), 1);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Opening, CountsAConnectionByWhatItSpeaks) {
  SimHouse house;
  const auto speaking = [&](session::Protocol protocol) {
    return house.listener_tally().connections[static_cast<std::size_t>(protocol)].get();
  };
  Client& client = house.connect();
  house.run();
  EXPECT_EQ(speaking(session::Protocol::http1), 1);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 1);
  client.wire.send(upgrade_request());
  house.run();
  EXPECT_EQ(speaking(session::Protocol::http1), 0);
  EXPECT_EQ(speaking(session::Protocol::websocket), 1);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  Client& other = house.connect();
  other.wire.send("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  house.run();
  EXPECT_EQ(speaking(session::Protocol::http1), 1) << "answered without an upgrade";
  house.hang_up();
  house.run();
  house.advance(3s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.listener_tally().all_connections(), 0);
  EXPECT_EQ(speaking(session::Protocol::websocket), 0);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
}

TEST(Opening, SendsExactlyThisHeadUp) {
  SimHouse house;
  Client& client = house.open(upgrade_request(
      "/a/%7Eb/../ws?x=1&y=%20",
      "Cookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 7.7.7.7\r\nX-Request-Id: theirs\r\n"
      "Sec-WebSocket-Protocol: chat.v2, chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-App: 1\r\n"
      "Keep-Alive: 5\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"));
  const std::string& head = house.upstream(0).peer.head;
  const std::string key = field_of(head, "Sec-WebSocket-Key");
  const std::string id = field_of(head, "X-Request-Id");
  const std::string trace = field_of(head, "traceparent");
  EXPECT_EQ(key.size(), 24u);
  EXPECT_NE(key, kKey);
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(head, "GET /a/ws?x=1&y=%20 HTTP/1.1\r\nSec-WebSocket-Key: " + key +
                      "\r\nHost: gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Protocol: chat.v2, chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
                      "Cookie: a=b\r\nX-App: 1\r\n"
                      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: gw.test\r\n"
                      "X-Forwarded-Port: 8080\r\nX-Real-IP: 192.0.2.7\r\nX-Request-Id: " +
                      id + "\r\nVia: 1.1 sluice\r\ntraceparent: " + trace + "\r\n\r\n");
  EXPECT_TRUE(http::valid_traceparent(trace));
  EXPECT_EQ(trace.find("0af7651916cd43dd8448eb211c80319c"), std::string::npos);  // nobody whom we trust
  EXPECT_EQ(client.peer.status(), 101);
}

TEST(Opening, JoinsAClientToATcpUpstreamWithoutAWordBefore) {
  SimHouse house(settings_for({"tcp://10.0.0.2:7000"}));
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: binary, base64\r\n"));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "binary");
  EXPECT_EQ(house.last().peer.raw, "");
  client.peer.binary("one");
  client.peer.binary("two");
  house.run();
  EXPECT_EQ(house.last().peer.raw, "onetwo");
  house.last().wire.send("three");
  house.run();
  ASSERT_EQ(client.peer.frames.size(), 1u);
  EXPECT_EQ(client.peer.frames[0], (Frame{0x82, false, "three"}));
}

TEST(Opening, HoldsEarlyFramesUntilTheUpstreamHasSwitched) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open(upgrade_request() + frame_octets(0x81, "early", true));
  Upstream& up = house.last();
  EXPECT_EQ(up.wire.out, up.peer.head);  // not an octet behind the head
  EXPECT_EQ(client.wire.out, "");
  house.advance(2s);
  EXPECT_EQ(up.wire.out, up.peer.head);
  up.wire.send(WsPeer::switching(up.peer.head));
  house.run();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(up.peer.messages(), std::vector<std::string>{"early"});
}

TEST(Opening, ForwardsFramesThatComeInTheSameSegmentAsTheUpstreams101) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  Upstream& up = house.last();
  up.wire.send(WsPeer::switching(up.peer.head) + frame_octets(0x81, "welcome", false));
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"welcome"});
}

TEST(Opening, WorksWithTheHeadInSingleOctets) {
  SimHouse house;
  Client& client = house.connect();
  for (const char octet : upgrade_request()) {
    client.wire.send({&octet, 1});
    house.run();
  }
  EXPECT_EQ(client.peer.status(), 101);
}

TEST(Opening, WorksWithTheUpstreamsAnswerInSingleOctets) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  Upstream& up = house.last();
  for (const char octet : WsPeer::switching(up.peer.head)) {
    EXPECT_EQ(client.wire.out, "");
    up.wire.send({&octet, 1});
    house.run();
  }
  EXPECT_EQ(client.peer.status(), 101);
}

TEST(Opening, SendsTheHeadUpThroughATinyWindow) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.wire.window = 0; };
  Client& client = house.open();
  for (int i = 0; i < 1000 && client.peer.status() == 0; ++i) {
    house.last().wire.open_window(1);
    house.run();
  }
  EXPECT_EQ(client.peer.status(), 101);
}

TEST(Opening, SendsThe101ThroughATinyWindow) {
  SimHouse house;
  Client& client = house.connect();
  client.wire.window = 0;
  client.wire.send(upgrade_request());
  house.run();
  for (int i = 0; i < 1000 && client.peer.status() == 0; ++i) {
    client.wire.open_window(1);
    house.run();
  }
  EXPECT_EQ(client.peer.status(), 101);
  client.wire.open_window(Wire::kUnlimited);
  house.last().peer.text("x");
  house.run();
  EXPECT_EQ(client.peer.messages().size(), 1u);
}

// ---- refusals ---------------------------------------------------------------------------------------------------------

struct Refused {
  const char* what;
  std::string request;
  int status;
  Errc reason;
};

std::string without(std::string request, std::string_view line) {
  return request.erase(request.find(line), line.size());
}
std::string with(std::string request, std::string_view from, std::string_view to) {
  return request.replace(request.find(from), from.size(), to);
}

TEST(Opening, RefusesByTheTableAndTouchesNoUpstream) {
  const std::string good = upgrade_request();
  const std::vector<Refused> all = {
      {"garbage", "\x16\x03\x01 hello\r\n\r\n", 400, Errc::bad_request_line},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Errc::bad_version},
      {"bare line feed", "GET /ws HTTP/1.1\nHost: a\n\n", 400, Errc::framing},
      {"two hosts", upgrade_request("/ws", "Host: gw.test\r\n"), 400, Errc::dup_header},
      {"no host", without(good, "Host: gw.test\r\n"), 400, Errc::host},
      {"other authority", with(good, "GET /ws", "GET http://other.test/ws"), 400, Errc::host},
      {"escaped slash", upgrade_request("/public/..%2fadmin"), 400, Errc::path},
      {"version", with(good, "Version: 13", "Version: 25"), 426, Errc::ws_version},
      {"no version", without(good, "Sec-WebSocket-Version: 13\r\n"), 400, Errc::ws_handshake},
      {"short key", with(good, kKey, "dGhlIHNhbXBsZSBub25j"), 400, Errc::ws_key},
      {"two keys", upgrade_request("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, Errc::dup_header},
      {"a body", upgrade_request("/ws", "Content-Length: 1\r\n") + "x", 400, Errc::body_on_upgrade},
      {"chunked", upgrade_request("/ws", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400, Errc::body_on_upgrade},
      {"both lengths", upgrade_request("/ws", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, Errc::framing},
      {"nominated", with(good, "Connection: Upgrade", "Connection: Upgrade, Authorization"), 400, Errc::bad_header},
      {"plain GET", "GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n", 426, Errc::upgrade_required},
      {"POST", with(good, "GET ", "POST "), 405, Errc::method},
  };
  for (const Refused& one : all) {
    SCOPED_TRACE(one.what);
    SimHouse house;
    Client& client = house.open(one.request);
    EXPECT_EQ(client.peer.status(), one.status) << status_line(client);
    EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(one.reason)].get(), 1u);
    EXPECT_EQ(house.dials(), 0u);
    EXPECT_TRUE(client.wire.finished);
    house.advance(2s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Opening, SaysWhichVersionItSpeaks) {
  SimHouse house;
  Client& client = house.open(with(upgrade_request(), "Version: 13", "Version: 7"));
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(field_of(client.peer.head, "Upgrade"), "websocket");
}

TEST(Opening, RefusesAnUnknownHost) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].host = "other.test";
  SimHouse house(settings);
  EXPECT_EQ(house.open().peer.status(), 404);
}

TEST(Opening, RefusesAForeignOrigin) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).origins.push_back(*policy::OriginPattern::parse("https://gw.test"));
  SimHouse house(settings);
  EXPECT_EQ(house.open(upgrade_request("/ws", "Origin: https://evil.test\r\n")).peer.status(), 403);
  EXPECT_EQ(house.dials(), 0u);
  EXPECT_EQ(house.open(upgrade_request("/ws", "Origin: https://gw.test\r\n")).peer.status(), 101);
  EXPECT_EQ(house.open().peer.status(), 101);  // no Origin: no browser
}

TEST(Opening, RefusesWhatIsOverTheRateOfHandshakes) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  add_limit(settings, policy::LimitSettings::Unit::handshakes, policy::LimitSettings::Key::ip, 1);
  SimHouse house(settings);
  EXPECT_EQ(house.open().peer.status(), 101);
  Client& second = house.open();
  EXPECT_EQ(second.peer.status(), 429);
  EXPECT_EQ(field_of(second.peer.head, "Retry-After"), "1");
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::rl_ip)].get(), 1u);
  EXPECT_EQ(house.limiter().refused(), 1u);
  house.advance(1s);
  EXPECT_EQ(house.open().peer.status(), 101);
  EXPECT_EQ(house.limiter().allowed(), 2u);
}

TEST(Opening, GivesThePermitOfAConnectionBack) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  add_limit(settings, policy::LimitSettings::Unit::connections, policy::LimitSettings::Key::ip, 1);
  SimHouse house(settings);
  Client& first = house.open();
  EXPECT_EQ(first.peer.status(), 101);
  EXPECT_EQ(house.open().peer.status(), 429);
  first.wire.reset();
  house.run();
  house.advance(2s);
  EXPECT_EQ(house.open().peer.status(), 101);
  EXPECT_EQ(house.limiter().allowed(), 2u);
  EXPECT_EQ(house.limiter().refused(), 1u);
}

TEST(Opening, AnswersAFixedPage) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  config::RouteSettings page;
  page.name = "page";
  page.path = "/";
  page.answer = config::FixedAnswer{"text/html", "<p>hello</p>"};
  settings.routes.push_back(page);
  SimHouse house(settings);
  Client& client = house.open("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  EXPECT_EQ(client.peer.status(), 200);
  EXPECT_EQ(client.peer.body, "<p>hello</p>");
  Client& head = house.open("HEAD / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  EXPECT_EQ(head.peer.status(), 200);
  EXPECT_EQ(head.peer.body, "");
}

TEST(Opening, RefusesWhileDraining) {
  SimHouse house;
  house.draining = true;
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(house.dials(), 0u);
}

// ---- the upstream's answer ----------------------------------------------------------------------------------------------

struct BadAnswer {
  const char* what;
  std::string answer;  // "@" stands for the right Accept value
  Errc reason;
};

TEST(Opening, RefusesWhatIsNoProper101) {
  const std::string start = "HTTP/1.1 101 Switching Protocols\r\n";
  const std::string rest = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  const std::string accept = "Sec-WebSocket-Accept: @\r\n";
  const std::vector<BadAnswer> all = {
      {"no accept", start + rest + "\r\n", Errc::be_bad_101},
      {"wrong accept", start + rest + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", Errc::be_bad_101},
      {"no upgrade", start + "Connection: Upgrade\r\n" + accept + "\r\n", Errc::be_bad_101},
      {"no connection", start + "Upgrade: websocket\r\n" + accept + "\r\n", Errc::be_bad_101},
      {"HTTP/1.0", "HTTP/1.0 101 Switching Protocols\r\n" + rest + accept + "\r\n", Errc::be_bad_101},
      {"extension", start + rest + accept + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", Errc::be_bad_101},
      {"subprotocol", start + rest + accept + "Sec-WebSocket-Protocol: chat\r\n\r\n", Errc::be_bad_101},
      {"garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Errc::be_bad_head},
      {"many interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
                       "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
       Errc::be_bad_101},
  };
  for (const BadAnswer& one : all) {
    SCOPED_TRACE(one.what);
    SimHouse house;
    house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
    Client& client = house.open();
    Upstream& up = house.last();
    std::string answer = one.answer;
    if (const std::size_t at = answer.find('@'); at != std::string::npos) {
      answer.replace(at, 1, ws::accept_value(field_of(up.peer.head, "Sec-WebSocket-Key")));
    }
    up.wire.send(answer);
    house.run();
    EXPECT_EQ(client.peer.status(), 502) << client.wire.out;
    EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(one.reason)].get(), 1u);
    EXPECT_TRUE(up.wire.closed);
    EXPECT_EQ(up.wire.out, up.peer.head);
    house.advance(2s);
    EXPECT_EQ(house.alive(), 0u);
  }
}

TEST(Opening, AcceptsInterimAnswersBeforeThe101) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  Upstream& up = house.last();
  up.wire.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
               WsPeer::switching(up.peer.head));
  house.run();
  EXPECT_EQ(client.peer.status(), 101);
}

TEST(Opening, RelaysARefusalAndThenCloses) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open(upgrade_request() + "GET /internal HTTP/1.1\r\nHost: x\r\n\r\n");
  Upstream& up = house.last();
  up.wire.send(
      "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nX-Why: no\r\nKeep-Alive: 5\r\n\r\nnot ");
  house.run();
  EXPECT_EQ(client.wire.out, "");
  up.wire.send("you");  // beyond its length: not relayed
  house.run();
  EXPECT_EQ(client.peer.status(), 403);
  EXPECT_EQ(client.peer.body, "not yo");
  EXPECT_EQ(field_of(client.peer.head, "X-Why"), "no");
  EXPECT_EQ(field_of(client.peer.head, "Connection"), "close");
  EXPECT_EQ(field_of(client.peer.head, "Keep-Alive"), "");
  EXPECT_EQ(up.wire.out, up.peer.head);  // /internal never went up
  EXPECT_TRUE(up.wire.closed);
  EXPECT_TRUE(client.wire.finished);
  house.advance(2s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Opening, RelaysARefusalThatEndsWithTheConnection) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 200 OK\r\n\r\nall of it");
  house.run();
  house.last().wire.finish();
  house.run();
  EXPECT_EQ(client.peer.status(), 200);
  EXPECT_EQ(client.peer.body, "all of it");
}

TEST(Opening, RelaysARefusalOf204WithoutABody) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 204 No Content\r\n\r\n");
  house.run();
  EXPECT_EQ(client.peer.status(), 204);
  EXPECT_EQ(client.wire.out.find("Content-Length"), std::string::npos);
}

TEST(Opening, CutsTheBodyOfARefusalAt64KiB) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 503 Busy\r\n\r\n" + std::string(100'000, 'b'));
  house.run();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(client.peer.body.size(), 65536u);
}

// ---- candidates -------------------------------------------------------------------------------------------------------

// Of the server at that address.
const session::ServerTally& tally_of(SimHouse& house, const Upstream& up) { return house.server_tally("ws://" + up.address); }

config::Settings two_servers() { return settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000"}); }

TEST(Opening, TriesTheNextCandidateWhenOneRefusesTheConnection) {
  SimHouse house(two_servers());
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 1) up.script = Script::refuse;
  };
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 101);
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_NE(house.upstream(0).address, house.upstream(1).address);
  const session::ServerTally& failed = tally_of(house, house.upstream(0));
  EXPECT_EQ(failed.retries.get(), 1u);
  EXPECT_EQ(failed.connect_failures.get(), 1u);
  EXPECT_EQ(failed.connect_seconds.bucket(0), 0u);
  const session::ServerTally& served = tally_of(house, house.upstream(1));
  EXPECT_EQ(served.retries.get(), 0u);
  EXPECT_EQ(served.connected.get(), 1u);
  EXPECT_EQ(served.connect_failures.get(), 0u);
  EXPECT_EQ(served.connect_seconds.bucket(0), 1u);
  client.peer.text("to the second");
  house.run();
  EXPECT_EQ(house.upstream(1).peer.messages().size(), 1u);
}

TEST(Opening, TriesTheNextCandidateWhenOneHangsInConnect) {
  SimHouse house(two_servers());
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 1) up.script = Script::hang;
  };
  Client& client = house.open();
  house.advance(2900ms);
  EXPECT_EQ(house.dials(), 1u);
  house.advance(100ms);
  EXPECT_EQ(house.dials(), 2u);
  EXPECT_TRUE(house.upstream(0).wire.closed);
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(tally_of(house, house.upstream(0)).connect_failures.get(), 1u);
  EXPECT_EQ(tally_of(house, house.upstream(0)).connected.get(), 0u);
}

TEST(Opening, TriesTheNextCandidateWhenOneClosesWithoutAnAnswer) {
  SimHouse house(two_servers());
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) return;
    up.peer.greeting = WsPeer::Greeting::none;
    up.wire.finish();
  };
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(house.dials(), 2u);
  EXPECT_EQ(tally_of(house, house.upstream(0)).connected.get(), 1u) << "it was reached";
  EXPECT_EQ(tally_of(house, house.upstream(0)).connect_failures.get(), 0u);
  EXPECT_EQ(tally_of(house, house.upstream(0)).retries.get(), 1u);
}

TEST(Opening, AsksNobodyElseOnceAnAnswerHasBegun) {
  SimHouse house(two_servers());
  house.on_dial = [&](Upstream& up) {
    up.peer.greeting = WsPeer::Greeting::none;
    up.wire.send("HTTP/1.1 101 Swi");
    up.wire.finish();
  };
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 502);
  EXPECT_EQ(house.dials(), 1u);
}

TEST(Opening, RefusesWhenNobodyIsThere) {
  SimHouse house(two_servers());
  house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_NE(field_of(client.peer.head, "Retry-After"), "");
  EXPECT_EQ(house.dials(), 2u);
  house.advance(1s);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  EXPECT_EQ(house.server(1).active.load(), 0u);
}

TEST(Opening, AnswersWhatHasGoneWrongWithTheUpstreamsTls) {
  const std::vector<std::pair<Script, int>> all = {{Script::tls, 502}, {Script::preface, 502}, {Script::fds, 503}};
  for (const auto& [script, status] : all) {
    SimHouse house;
    house.on_dial = [script = script](Upstream& up) { up.script = script; };
    EXPECT_EQ(house.open().peer.status(), status);
  }
}

TEST(Opening, AnswersWhenNoServerIsUsable) {
  SimHouse house;
  house.server(0).healthy = false;
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::no_backend)].get(), 1u);
}

TEST(Opening, LeavesNothingBehindWhenTheClientGoesWhileAServerIsDialled) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.script = Script::hang; };
  Client& client = house.open();
  client.wire.reset();
  house.run();
  house.advance(4s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  EXPECT_EQ(house.admitted(), 0u);
}

// ---- deadlines of the phases --------------------------------------------------------------------------------------------

TEST(Opening, ClosesASilentConnectionSilently) {
  SimHouse house;
  Client& client = house.connect();
  house.run();
  house.advance(9900ms);
  EXPECT_EQ(house.alive(), 1u);
  house.advance(100ms);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(client.wire.out, "");
  EXPECT_TRUE(client.wire.closed);
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::head_timeout)].get(), 1u);
}

TEST(Opening, AnswersASlowHeadWith408WhateverItDrips) {
  SimHouse house;
  Client& client = house.connect();
  const std::string request = upgrade_request();
  for (int second = 0; second < 10; ++second) {
    EXPECT_EQ(client.wire.out, "");
    client.wire.send(request.substr(static_cast<std::size_t>(second), 1));
    house.run();
    house.advance(1s);
  }
  EXPECT_EQ(client.peer.status(), 408);
  house.advance(2s);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Opening, Answers504WhenTheUpstreamDoesNotAnswer) {
  SimHouse house(two_servers());
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.advance(9900ms);
  EXPECT_EQ(client.wire.out, "");
  house.advance(100ms);
  EXPECT_EQ(client.peer.status(), 504);
  EXPECT_EQ(house.dials(), 1u);  // it may be at work on it: nobody else is asked
  EXPECT_TRUE(house.last().wire.closed);
}

TEST(Opening, Answers504WhenARefusalNeverEnds) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nabc");
  house.run();
  house.advance(10s);
  EXPECT_EQ(client.peer.status(), 504);
}

TEST(Opening, Answers504WhenNobodyConnects) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.script = Script::hang; };
  Client& client = house.open();
  house.advance(3s);
  EXPECT_EQ(client.peer.status(), 504);
}

// An accepted handshake is a connection with its counts, even if the client never saw its 101.
void expect_counted_as_a_connection(SimHouse& house, Side who) {
  EXPECT_EQ(house.route_tally().handshakes[static_cast<std::size_t>(session::Outcome::accepted)].get(), 1u);
  EXPECT_EQ(house.route_tally().closes[static_cast<std::size_t>(who)][session::close_label(1006)].get(), 1u);
  EXPECT_EQ(house.route_tally().connections.get(), 0);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.admitted(), 0u);
  EXPECT_TRUE(house.last().wire.closed);
  EXPECT_EQ(house.pool().lent(), 0u);
}

// One octet of its answer a second does not buy an upstream more time.
TEST(Opening, Answers504WhenTheUpstreamsAnswerDrips) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  const std::string answer = WsPeer::switching(house.last().peer.head);
  for (std::size_t second = 0; second < 10; ++second) {
    EXPECT_EQ(client.wire.out, "");
    house.last().wire.send(answer.substr(second, 1));
    house.run();
    house.advance(1s);
  }
  EXPECT_EQ(client.peer.status(), 504);
}

TEST(Opening, BoundsTheTimeOfAllCandidatesTogether) {
  std::vector<std::string> urls;
  for (int i = 1; i <= 17; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  settings.backends[0].retries = 16;
  SimHouse house(settings);
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  for (int i = 1; i < 7; ++i) {  // they can be reached, think for three seconds, and go
    house.advance(3s);
    house.last().wire.finish();
    house.run();
  }
  house.advance(1900ms);
  EXPECT_EQ(client.wire.out, "");
  EXPECT_EQ(house.dials(), 7u);
  house.advance(100ms);
  EXPECT_EQ(client.peer.status(), 504);
  EXPECT_EQ(house.dials(), 7u);
  EXPECT_TRUE(house.last().wire.closed);
}

// security.md F6.
TEST(Opening, ConnectingTakesTwiceConnectTimeoutInAll) {
  SimHouse house(settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000", "ws://10.0.0.3:9000"}));
  house.on_dial = [](Upstream& up) { up.script = Script::hang; };
  Client& client = house.open();
  house.advance(5900ms);
  EXPECT_EQ(client.wire.out, "");
  EXPECT_EQ(house.dials(), 2u);
  house.advance(100ms);
  EXPECT_EQ(client.peer.status(), 504);
  EXPECT_EQ(house.dials(), 2u) << "nothing would be left for the third";
}

TEST(Opening, WhoeverRefusesAtOnceLeavesTheTimeToOthers) {
  SimHouse house(settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000", "ws://10.0.0.3:9000"}));
  house.on_dial = [&house](Upstream& up) { up.script = house.dials() == 1 ? Script::refuse : Script::hang; };
  Client& client = house.open();
  house.advance(5900ms);
  EXPECT_EQ(client.wire.out, "");
  EXPECT_EQ(house.dials(), 3u);
  house.advance(100ms);
  EXPECT_EQ(client.peer.status(), 504);
}

TEST(Opening, AsksNobodyElseOnceTheTimeOfAllIsOver) {
  config::Settings settings = two_servers();
  settings.backends[0].open_timeout = 3s;  // as long as one connect
  SimHouse house(settings);
  house.on_dial = [](Upstream& up) { up.script = Script::hang; };
  Client& client = house.open();
  house.advance(3s);
  EXPECT_EQ(client.peer.status(), 504);
  EXPECT_EQ(house.dials(), 1u);
}

TEST(Opening, GivesUpAClientThatDoesNotTakeItsAnswer) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.answers_close = true; };
  Client& client = house.connect();
  client.wire.window = 10;
  client.wire.send(upgrade_request());
  house.run();
  house.advance(9900ms);
  EXPECT_EQ(house.alive(), 1u);
  house.advance(100ms);
  EXPECT_TRUE(client.wire.aborted);
  expect_counted_as_a_connection(house, Side::gateway);
}

TEST(Opening, CountsAClientThatIsGoneBeforeItsAnswer) {
  SimHouse house;
  house.on_dial = [](Upstream& up) {
    up.peer.greeting = WsPeer::Greeting::none;
    up.peer.answers_close = true;
  };
  Client& client = house.open();
  client.wire.reset();
  house.run();
  EXPECT_EQ(house.alive(), 1u);  // nobody reads from it while the upstream opens
  house.last().wire.send(WsPeer::switching(house.last().peer.head));
  house.run();
  expect_counted_as_a_connection(house, Side::client);
}

TEST(Opening, LeavesNothingOfARefusalThatNobodyTakes) {
  SimHouse house;
  Client& client = house.connect();
  client.wire.window = 10;
  client.wire.send("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  house.run();
  house.advance(10s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Opening, LingersNoLongerThanASecondAfterARefusal) {
  SimHouse house;
  Client& client = house.open("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  EXPECT_TRUE(client.wire.finished);
  EXPECT_EQ(house.alive(), 1u);  // so that what the client still sends does not become a reset
  client.wire.send("more");
  house.run();
  EXPECT_EQ(house.alive(), 1u);
  house.advance(1s);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Opening, LingersNoLongerThan64KiBInAll) {
  SimHouse house;
  Client& client = house.open("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  for (int kib = 0; kib < 64; kib += 16) {
    EXPECT_EQ(house.alive(), 1u) << kib;
    client.wire.send(std::string(16 * 1024, 'x'));
    house.run();
  }
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Opening, LingersNoLongerThan64KiB) {
  SimHouse house;
  Client& client = house.open("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  client.wire.send(std::string(100'000, 'x'));
  house.run();
  EXPECT_EQ(house.alive(), 0u);
}

}  // namespace
}  // namespace sluice::test
