// Plain HTTP/1.1: what goes up and comes down, whose fault what is, which connections serve again, and what is tried twice.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

const std::string kHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: gw.test\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view fields, std::string_view body) {
  return "POST /form HTTP/1.1\r\nHost: gw.test\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
// Without the fields that are new each time.
std::string plain_head(std::string text) {
  for (const char* name : {"\r\nX-Request-Id: ", "\r\ntraceparent: "}) {
    while (true) {
      const std::size_t at = text.find(name);
      if (at == std::string::npos) break;
      text.erase(at, text.find("\r\n", at + 2) - at);
    }
  }
  return text;
}
constexpr const char* kForwarded =
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: gw.test\r\nX-Forwarded-Port: 8080\r\n"
    "X-Real-IP: 192.0.2.7\r\nVia: 1.1 sluice\r\n\r\n";

class Exchanges : public ::testing::Test {
 protected:
  static config::Settings http(const std::vector<std::string>& urls = {"http://10.0.0.1:9000"}) { return settings_for(urls); }
  // A client that has sent these octets.
  static Client& ask(SimHouse& house, const std::string& octets) {
    house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
    Client& client = house.connect();
    client.peer.raw_only = true;
    client.wire.send(octets);
    house.run();
    return client;
  }
  static void say(SimHouse& house, Upstream& up, std::string_view octets) {
    up.wire.send(octets);
    house.run();
  }
  // Everybody leaves, and nothing is left of them.
  static void expect_clean(SimHouse& house) {
    house.hang_up();
    house.run();
    house.advance(15s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.server(0).active.load(), 0u);
  }
};

TEST_F(Exchanges, ForwardARequestAndItsAnswerWrittenAnew) {
  SimHouse house(http());
  Client& client = ask(house, get("/a/%7Eb/../c?x=1",
                                  "X-App: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
                                  "Upgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nVia: 1.0 theirs\r\n"));
  ASSERT_EQ(house.dials(), 1u);
  EXPECT_EQ(plain_head(house.last().wire.out), std::string("GET /a/c?x=1 HTTP/1.1\r\nHost: gw.test\r\nX-App: 1\r\n") + kForwarded);
  say(house, house.last(), "HTTP/1.1 201 Made Up\r\nServer: x\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n"
                           "Content-Length: 5\r\nProxy-Authenticate: no\r\n\r\nhello");
  EXPECT_EQ(plain_head(client.wire.out), "HTTP/1.1 201 Made Up\r\nServer: x\r\nContent-Length: 5\r\nVia: 1.1 sluice\r\n\r\nhello");
  EXPECT_FALSE(client.wire.finished);
  EXPECT_EQ(client.wire.writes.size(), 1u) << "head and body in one write";
  EXPECT_EQ(house.route_tally().requests.answered(0, 1).get(), 1u);
  EXPECT_EQ(house.server(0).active.load(), 0u) << "an idle connection is in nobody's way";
  EXPECT_EQ(house.upstreams.size(), 1u);
  expect_clean(house);
}

TEST_F(Exchanges, ServeFurtherRequestsOnTheSameConnections) {
  SimHouse house(http());
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  for (int i = 2; i < 5; ++i) {
    house.last().peer.raw.clear();
    client.peer.raw.clear();
    client.wire.send(get("/" + std::to_string(i)));
    house.run();
    EXPECT_EQ(house.last().peer.raw.substr(0, 7), "GET /" + std::to_string(i) + " ");
    say(house, house.last(), kHello);
    EXPECT_TRUE(client.peer.raw.ends_with("\r\n\r\nhello"));
  }
  EXPECT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.server_tally("http://10.0.0.1:9000").reused.get(), 3u);
  expect_clean(house);
}

TEST_F(Exchanges, AnswerPipelinedRequestsInOrder) {
  SimHouse house(http());
  Client& client = ask(house, get("/1") + post("Content-Length: 3\r\n", "abc") + get("/3", "Connection: close\r\n"));
  EXPECT_EQ(house.last().wire.out.find("POST"), std::string::npos) << "one at a time";
  say(house, house.last(), kHello);
  EXPECT_NE(house.last().wire.out.find("POST /form"), std::string::npos);
  EXPECT_TRUE(house.last().wire.out.ends_with("\r\n\r\nabc"));
  say(house, house.last(), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_NE(house.last().wire.out.find("GET /3"), std::string::npos);
  say(house, house.last(), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  const std::string out = client.wire.out;
  EXPECT_LT(out.find("200 OK"), out.find("204 No Content"));
  EXPECT_LT(out.find("204 No Content"), out.find("404 Not Found"));
  EXPECT_TRUE(client.wire.finished) << "the client asked for the end";
  EXPECT_EQ(house.dials(), 1u);
  expect_clean(house);
}

// ---- bodies -------------------------------------------------------------------------------------------------------------

TEST_F(Exchanges, CarryBodiesWhereverTheyAreCut) {
  const std::string request = post("Transfer-Encoding: chunked\r\n", "3;x=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Trail: 1\r\n\r\n");
  const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 2\r\n\r\n";
  const auto body_of = [](const std::string& message) {
    std::string body;
    http::ChunkedDecoder decoder(Side::client);
    std::string_view rest = std::string_view(message).substr(message.find("\r\n\r\n") + 4);
    while (!decoder.done()) {
      const auto piece = decoder.next(as_bytes(rest));
      if (!piece || piece->size == 0) return std::string("incomplete");
      body += as_text(piece->data);
      rest.remove_prefix(piece->size);
    }
    return rest.empty() ? body : "octets behind it";
  };
  for (std::size_t cut = 1; cut <= std::max(request.size(), answer.size()); ++cut) {
    SCOPED_TRACE(cut);
    SimHouse house(http());
    Client& client = ask(house, request.substr(0, cut));
    if (cut < request.size()) client.wire.send(request.substr(cut));
    house.run();
    ASSERT_EQ(house.dials(), 1u);
    Upstream& up = house.last();
    EXPECT_EQ(body_of(up.wire.out), "abc0123456789");
    EXPECT_EQ(up.wire.out.find("X-Trail"), std::string::npos);
    EXPECT_EQ(up.wire.out.find("x=1"), std::string::npos);
    say(house, up, std::string_view(answer).substr(0, cut));
    if (cut < answer.size()) say(house, up, std::string_view(answer).substr(cut));
    EXPECT_EQ(body_of(client.wire.out), "hello!");
    EXPECT_EQ(client.wire.out.find("X-T:"), std::string::npos);
    EXPECT_EQ(house.upstreams.size(), 1u);
    EXPECT_FALSE(client.wire.finished);
  }
}

TEST_F(Exchanges, WorkInSingleOctetsAndTinyWindows) {
  SimHouse house(http());
  Client& client = ask(house, "");
  client.wire.read_size = 1;
  client.wire.window = 0;
  house.on_dial = [](Upstream& up) {
    up.peer.raw_only = true;
    up.wire.read_size = 1;
    up.wire.window = 0;
  };
  client.wire.send(post("Content-Length: 5\r\n", "abcde") + get("/2"));
  house.run();
  for (int i = 0; i < 1000; ++i) {
    house.last().wire.open_window(1);
    house.run();
  }
  EXPECT_TRUE(house.last().wire.out.ends_with("\r\n\r\nabcde"));
  say(house, house.last(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  for (int i = 0; i < 1000; ++i) {
    client.wire.open_window(1);
    house.run();
  }
  std::string body = client.wire.out.substr(client.wire.out.find("\r\n\r\n") + 4);
  EXPECT_TRUE(body.ends_with("\r\n0\r\n\r\n")) << body;
  std::erase_if(body, [](char c) { return c < 'a' || c > 'c'; });
  EXPECT_EQ(body, "abc");
  house.last().wire.open_window(Wire::kUnlimited);
  house.run();
  EXPECT_NE(house.last().wire.out.find("GET /2"), std::string::npos);
}

struct Answered {
  const char* what;
  std::string request;
  std::string answer;
  bool ends;          // the upstream closes behind it
  std::string head;   // what the client's head must hold
  std::string body;   // and what follows it
  bool closes;        // the client's connection
};

TEST_F(Exchanges, DelimitAnswersAsTheClientUnderstandsThem) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string old = "GET / HTTP/1.0\r\nHost: gw.test\r\n";
  const std::string chunks = ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
  const std::vector<Answered> all = {
      {"length", get("/"), ok + "Content-Length: 2\r\n\r\nab", false, "Content-Length: 2\r\n", "ab", false},
      {"chunks", get("/"), chunks, false, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", false},
      {"to the end", get("/"), ok + "\r\nab", true, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", false},
      {"HEAD", "HEAD / HTTP/1.1\r\nHost: gw.test\r\n\r\n", ok + "Content-Length: 7\r\n\r\n", false, "Content-Length: 7\r\n", "", false},
      {"HEAD of chunks", "HEAD / HTTP/1.1\r\nHost: gw.test\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\n", false, "200 OK", "", false},
      {"204", get("/"), "HTTP/1.1 204 No Content\r\n\r\n", false, "204 No Content", "", false},
      {"304", get("/"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, "Content-Length: 9\r\n", "", false},
      {"nothing", get("/"), ok + "Content-Length: 0\r\n\r\n", false, "Content-Length: 0\r\n", "", false},
      {"1.0 client", old + "\r\n", chunks, false, "Connection: close\r\n", "ab", true},
      {"1.0 client that stays", old + "Connection: keep-alive\r\n\r\n", ok + "Content-Length: 2\r\n\r\nab", false, "Connection: keep-alive\r\n", "ab", false},
      {"1.0 client that would stay", old + "Connection: keep-alive\r\n\r\n", chunks, false, "Connection: close\r\n", "ab", true},
      {"1.0 upstream", get("/"), "HTTP/1.0 200 OK\r\n\r\nab", true, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", false},
      {"close", get("/", "Connection: close\r\n"), ok + "Content-Length: 2\r\n\r\nab", false, "Connection: close\r\n", "ab", true},
  };
  for (const Answered& one : all) {
    SCOPED_TRACE(one.what);
    SimHouse house(http());
    Client& client = ask(house, one.request);
    ASSERT_EQ(house.dials(), 1u);
    house.last().wire.send(one.answer);
    if (one.ends) house.last().wire.finish();
    house.run();
    const std::size_t end = client.wire.out.find("\r\n\r\n") + 4;
    EXPECT_NE(client.wire.out.substr(0, end).find(one.head), std::string::npos) << client.wire.out;
    // An open end may come in two chunks, or in one.
    EXPECT_EQ(client.wire.out.substr(end), one.body);
    EXPECT_EQ(client.wire.finished, one.closes);
    EXPECT_EQ(house.upstreams.size(), one.ends ? 0u : 1u);
    expect_clean(house);
  }
}

TEST_F(Exchanges, RelayInterimAnswersButNotManyAndNo101) {
  const std::string go = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  SimHouse house(http());
  Client& client = ask(house, post("Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
  EXPECT_NE(house.last().wire.out.find("Expect: 100-continue"), std::string::npos);
  say(house, house.last(), go);
  EXPECT_EQ(client.wire.out, go);
  client.wire.send("abc");
  house.run();
  EXPECT_TRUE(house.last().wire.out.ends_with("\r\n\r\nabc"));
  say(house, house.last(), "HTTP/1.1 102 Processing\r\n\r\n" + hint);
  EXPECT_EQ(client.wire.out, go + hint);
  say(house, house.last(), kHello);
  EXPECT_TRUE(client.wire.out.ends_with("hello"));
  EXPECT_FALSE(client.wire.finished);
  for (const std::string& bad : {hint + hint + hint + hint + hint + hint, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + kHello}) {
    SimHouse other(http());
    Client& second = ask(other, get("/"));
    say(other, other.last(), bad);
    EXPECT_EQ(second.wire.out.find("HTTP/1.1 200"), std::string::npos);
    EXPECT_TRUE(other.last().wire.closed);
    EXPECT_EQ(other.upstreams.size(), 0u);
    expect_clean(other);
  }
}

TEST_F(Exchanges, HideInterimAnswersFromOldClients) {
  SimHouse house(http());
  Client& client = ask(house, "GET / HTTP/1.0\r\nHost: gw.test\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(house.last().wire.out.find("Expect"), std::string::npos);
  say(house, house.last(), "HTTP/1.1 103 Early Hints\r\n\r\n" + kHello);
  EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 200 OK"));
}

TEST_F(Exchanges, RefuseBodiesOverTheLimit) {
  config::Settings settings = http();
  settings.routes[0].http.max_body = 4;
  SimHouse house(settings);
  EXPECT_TRUE(ask(house, post("Content-Length: 5\r\n", "abcde")).wire.out.starts_with("HTTP/1.1 413 "));
  EXPECT_EQ(house.dials(), 0u);
  Client& client = ask(house, post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
  EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 413 ")) << client.wire.out;
  EXPECT_TRUE(client.wire.finished);
  EXPECT_TRUE(house.last().wire.closed);
  Client& third = ask(house, post("Content-Length: 4\r\n", "abcd"));
  say(house, house.last(), kHello);
  EXPECT_TRUE(third.wire.out.starts_with("HTTP/1.1 200 "));
  expect_clean(house);
}

// ---- who is not to be believed --------------------------------------------------------------------------------------------

TEST_F(Exchanges, RefuseDoubtfulRequestsBeforeAnyServerSeesThem) {
  const std::vector<std::pair<std::string, int>> all = {
      {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), 400},
      {post("Content-Length: 5, 5\r\n", "abcde"), 400},
      {post("Content-Length: +5\r\n", "abcde"), 400},
      {post("Content-Length: 0x5\r\n", "abcde"), 400},
      {post("Content-Length: \r\n", "abcde"), 400},
      {post("Content-Length: 18446744073709551621\r\n", "abcde"), 400},
      {post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
      {post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
      {post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 501},
      {post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {post("Transfer-Encoding:\x0b" "chunked\r\n", "0\r\n\r\n"), 400},
      {"POST / HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {get("/", " folded: 1\r\n"), 400},
      {"GET / HTTP/1.1\nHost: gw.test\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET http://other.test/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", 400},
      {"OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n", 400},
      {"CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test\r\n\r\n", 400},
      {"CONNECT / HTTP/1.1\r\nHost: gw.test\r\n\r\n", 405},
      {"TRACE / HTTP/1.1\r\nHost: gw.test\r\n\r\n", 405},
      {get("/a%2f..%2fb"), 400},
      {get("/", "Authorization: a\r\nAuthorization: b\r\n"), 400},
      {get("/", "Connection: close, Authorization\r\n"), 400},
      {"GET / HTTP/1.2\r\nHost: gw.test\r\n\r\n", 505},
  };
  for (const auto& [request, status] : all) {
    SCOPED_TRACE(request);
    SimHouse house(http());
    Client& client = ask(house, request + get("/smuggled"));
    EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 " + std::to_string(status))) << client.wire.out;
    EXPECT_EQ(client.wire.out.find("HTTP/1.1", 5), std::string::npos) << "nothing behind it is answered";
    EXPECT_EQ(house.dials(), 0u);
    EXPECT_TRUE(client.wire.finished);
  }
}

TEST_F(Exchanges, CutRequestsWhoseChunksAreDoubtful) {
  for (const char* body : {"5\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
                           "5;a=\"x\r\nhello\r\n0\r\n\r\n", "-1\r\nhello\r\n", "11111111111111111\r\nx", "0\r\nbad trailer\r\n\r\n"}) {
    SCOPED_TRACE(body);
    SimHouse house(http());
    Client& client = ask(house, post("Transfer-Encoding: chunked\r\n", body) + get("/smuggled"));
    EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 400 ")) << client.wire.out;
    EXPECT_TRUE(client.wire.finished);
    for (std::size_t i = 0; i < house.dials(); ++i) {
      EXPECT_EQ(house.upstream(i).wire.out.find("smuggled"), std::string::npos);
      EXPECT_FALSE(house.upstream(i).wire.out.ends_with("0\r\n\r\n")) << "no whole request";
      EXPECT_TRUE(house.upstream(i).wire.closed);
    }
    EXPECT_EQ(house.upstreams.size(), 0u);
    expect_clean(house);
  }
}

TEST_F(Exchanges, AnswerBadGatewayForDoubtfulAnswers) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string& answer : {
           ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
           ok + "Content-Length: x\r\n\r\nhello",
           ok + "Transfer-Encoding: gzip\r\n\r\nhello",
           ok + "X: a\nY: b\r\nContent-Length: 0\r\n\r\n",
           ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
           ok + std::string("X: a\0b\r\n", 8) + "Content-Length: 0\r\n\r\n",
           ok + "X : a\r\nContent-Length: 0\r\n\r\n",
           std::string("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           std::string("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
           std::string("HTTP/2 200\r\n\r\n"),
           std::string("SSH-2.0-OpenSSH_9.2\r\n"),
       }) {
    SCOPED_TRACE(answer);
    SimHouse house(http());
    Client& client = ask(house, get("/"));
    say(house, house.last(), answer);
    EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 502 ")) << client.wire.out;
    EXPECT_EQ(house.dials(), 1u) << "an answer has come: nobody else is asked";
    EXPECT_TRUE(house.last().wire.closed);
    EXPECT_TRUE(client.wire.finished);
    expect_clean(house);
  }
}

TEST_F(Exchanges, CutAnswersWhoseChunksAreDoubtful) {
  SimHouse house(http());
  Client& client = ask(house, get("/"));
  say(house, house.last(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
  say(house, house.last(), "zz\r\n");
  EXPECT_FALSE(client.wire.out.ends_with("0\r\n\r\n")) << "the client sees that it is not whole";
  EXPECT_TRUE(client.wire.finished);
  EXPECT_TRUE(house.last().wire.closed);
  expect_clean(house);
}

TEST_F(Exchanges, AnswerBadGatewayWhereTheFirstChunkIsDoubtful) {
  for (const char* chunk : {"zz\r\n", "5 \r\nhello\r\n", "00000000000000000000000000000000000000001\r\na\r\n", "+1\r\na\r\n"}) {
    SCOPED_TRACE(chunk);
    SimHouse house(http());
    Client& client = ask(house, get("/"));
    say(house, house.last(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunk));
    EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 502 ")) << client.wire.out;
    EXPECT_TRUE(house.last().wire.closed);
    expect_clean(house);
  }
}

TEST_F(Exchanges, CutAnswersThatEndTooEarly) {
  for (const char* fields : {"Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"}) {
    for (const bool reset : {false, true}) {
      SCOPED_TRACE(fields);
      SimHouse house(http());
      Client& client = ask(house, get("/"));
      say(house, house.last(), "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n2\r\n");
      if (reset) house.last().wire.reset();
      house.last().wire.finish();
      house.run();
      EXPECT_TRUE(client.wire.finished || client.wire.aborted);
      // The head ends with an identifier that may end with a zero.
      EXPECT_FALSE(client.wire.out.substr(client.wire.out.find("\r\n\r\n") + 4).ends_with("0\r\n\r\n"));
      EXPECT_EQ(house.server(0).failures.load(), 1u);
      expect_clean(house);
    }
  }
}

// ---- connections that serve again ---------------------------------------------------------------------------------------------

TEST_F(Exchanges, KeepOnlyConnectionsThatStandBetweenTwoAnswers) {
  struct Case {
    const char* what;
    std::string answer;
    std::size_t kept;
  };
  for (const Case& one : {Case{"clean", kHello, 1}, Case{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0},
                          Case{"octets behind it", kHello + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", 0},
                          Case{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
                          Case{"will close at once", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", 0},
                          Case{"will close later", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9\r\nContent-Length: 0\r\n\r\n", 1}}) {
    SCOPED_TRACE(one.what);
    SimHouse house(http());
    Client& client = ask(house, get("/1"));
    say(house, house.last(), one.answer);
    EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 200 OK"));
    EXPECT_EQ(client.wire.out.find("poison"), std::string::npos);
    EXPECT_EQ(house.upstreams.size(), one.kept);
    EXPECT_EQ(house.last().wire.closed, one.kept == 0);
    client.wire.send(get("/2"));
    house.run();
    EXPECT_EQ(house.dials(), one.kept > 0 ? 1u : 2u);
    say(house, house.last(), kHello);
    EXPECT_EQ(client.wire.out.find("poison"), std::string::npos);
  }
}

TEST_F(Exchanges, DropIdleConnectionsThatSpeakOrEndUnasked) {
  for (const bool speaks : {false, true}) {
    SimHouse house(http());
    Client& client = ask(house, get("/1"));
    say(house, house.last(), kHello);
    ASSERT_EQ(house.upstreams.size(), 1u);
    if (speaks) {
      say(house, house.upstream(0), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    } else {
      house.upstream(0).wire.finish();
      house.run();
    }
    EXPECT_EQ(house.upstreams.size(), 0u);
    EXPECT_TRUE(house.upstream(0).wire.closed);
    client.wire.send(get("/2"));
    house.run();
    EXPECT_EQ(house.dials(), 2u);
    say(house, house.last(), kHello);
    EXPECT_EQ(client.wire.out.find("poison"), std::string::npos);
  }
}

TEST_F(Exchanges, RestIdleConnectionsNoLongerThanConfigured) {
  config::Settings settings = http();
  settings.backends[0].pool.idle_timeout = 5s;
  settings.backends[0].pool.max_age = 8s;
  SimHouse house(settings);
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  house.advance(4s);
  client.wire.send(get("/2"));
  house.run();
  EXPECT_EQ(house.dials(), 1u);
  say(house, house.last(), kHello);
  EXPECT_EQ(house.upstreams.size(), 1u);
  house.advance(5s);
  EXPECT_EQ(house.upstreams.size(), 0u);
  client.wire.send(get("/3"));
  house.run();
  EXPECT_EQ(house.dials(), 2u);
  house.advance(9s);  // a long answer
  say(house, house.last(), kHello);
  EXPECT_EQ(house.upstreams.size(), 0u) << "too old to serve again";
}

// What another worker keeps for itself.
struct Elsewhere {
  Elsewhere(SimHouse& house, std::size_t idle) {
    for (std::size_t i = 0; i < idle; ++i) uses.push_back(upstream::ServerUse::resting(house.server(0).shared_from_this()));
  }
  std::vector<upstream::ServerUse> uses;
};

TEST_F(Exchanges, CloseIdleConnectionsThatWouldBeTooMany) {
  for (const bool of_backend : {false, true}) {
    SCOPED_TRACE(of_backend);
    config::Settings settings = http({"http://10.0.0.1:9000", "http://10.0.0.2:9000"});
    if (of_backend) {
      settings.backends[0].max_connections = 4;
    } else {
      for (auto& server : settings.backends[0].servers) server.max_connections = 2;
    }
    SimHouse house(settings);
    for (int i = 0; i < 4; ++i) ask(house, get("/"));
    for (std::size_t i = 0; i < 4; ++i) say(house, house.upstream(i), kHello);
    EXPECT_EQ(house.upstreams.size(), 4u);
    EXPECT_EQ(house.server(0).held.load() + house.server(1).held.load(), 4u);
    // A WebSocket cannot use one that rests.
    for (int i = 0; i < 3; ++i) {
      house.on_dial = {};
      EXPECT_EQ(house.open().peer.status(), 101);
      EXPECT_EQ(house.server(0).held.load() + house.server(1).held.load(), 4u);
      EXPECT_EQ(house.upstreams.size(), 3u - i);
    }
    EXPECT_EQ(house.server(0).active.load() + house.server(1).active.load(), 3u);
    EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->held.load(), 4u);
    expect_clean(house);
    house.upstreams.flush();
    EXPECT_EQ(house.server(0).held.load() + house.server(1).held.load(), 0u);
  }
}

TEST_F(Exchanges, IdleConnectionsOfOtherWorkersRefuseNobodyAndAreNotAddedTo) {
  config::Settings settings = http();
  settings.backends[0].servers[0].max_connections = 2;
  SimHouse house(settings);
  Elsewhere elsewhere(house, 2);
  Client& first = ask(house, get("/"));
  Client& second = ask(house, get("/"));
  ASSERT_EQ(house.dials(), 2u) << "none of them is in use";
  Client& third = ask(house, get("/"));
  EXPECT_TRUE(third.wire.out.starts_with("HTTP/1.1 503 ")) << "two are";
  EXPECT_EQ(house.server(0).held.load(), 4u) << "twice max_connections is the most";
  say(house, house.upstream(0), kHello);
  EXPECT_TRUE(first.wire.out.ends_with("hello"));
  EXPECT_TRUE(house.upstream(0).wire.closed);
  EXPECT_EQ(house.upstreams.size(), 0u);
  elsewhere.uses.clear();
  say(house, house.upstream(1), kHello);
  EXPECT_TRUE(second.wire.out.ends_with("hello"));
  EXPECT_EQ(house.upstreams.size(), 1u);
  elsewhere.uses.push_back(upstream::ServerUse(house.server(0).shared_from_this()));
  elsewhere.uses.push_back(upstream::ServerUse(house.server(0).shared_from_this()));
  EXPECT_EQ(house.server(0).held.load(), 3u);
  house.advance(1s);
  EXPECT_EQ(house.upstreams.size(), 0u) << "whoever has idle ones makes room";
  EXPECT_EQ(house.server(0).held.load(), 2u);
  elsewhere.uses.clear();
  expect_clean(house);
}

TEST_F(Exchanges, KeepNoMoreIdleConnectionsThanConfigured) {
  config::Settings settings = http();
  settings.backends[0].pool.max_idle = 2;
  SimHouse house(settings);
  for (int i = 0; i < 4; ++i) ask(house, get("/"));
  EXPECT_EQ(house.server(0).active.load(), 4u);
  for (std::size_t i = 0; i < 4; ++i) say(house, house.upstream(i), kHello);
  EXPECT_EQ(house.upstreams.size(), 2u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  expect_clean(house);
}

// ---- once more -------------------------------------------------------------------------------------------------------------------

TEST_F(Exchanges, AskAgainOnANewConnectionWhenAnIdleOneHadEnded) {
  SimHouse house(http());
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  client.wire.send(get("/2"));
  house.run();
  ASSERT_EQ(house.dials(), 1u);
  house.upstream(0).wire.finish();  // it closed while the request was on its way
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(1).address, house.upstream(0).address);
  EXPECT_NE(house.upstream(1).wire.out.find("GET /2"), std::string::npos);
  EXPECT_EQ(house.server(0).failures.load(), 0u) << "no fault of the server's";
  say(house, house.last(), kHello);
  EXPECT_TRUE(client.wire.out.ends_with("hello"));
  expect_clean(house);
}

// RFC 9110 §9.2.2. The server may have acted upon it and closed before it answered: nobody can know.
TEST_F(Exchanges, NeverSendTwiceWhatMayNotBeDoneTwice) {
  for (const char* fields : {"", "Content-Length: 0\r\n"}) {
    SimHouse house(http({"http://10.0.0.1:9000", "http://10.0.0.2:9000"}));
    Client& client = ask(house, get("/1"));
    say(house, house.last(), kHello);
    const std::size_t dials = house.dials();
    client.wire.send(post(fields, ""));
    house.run();
    for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).wire.finish();
    house.run();
    std::size_t posted = 0;
    for (std::size_t i = 0; i < house.dials(); ++i) {
      posted += house.upstream(i).wire.out.find("POST /form") != std::string::npos;
    }
    EXPECT_EQ(posted, 1u);
    EXPECT_LE(house.dials(), dials + 1);
    EXPECT_NE(client.wire.out.find("HTTP/1.1 502 "), std::string::npos) << client.wire.out;
    expect_clean(house);
  }
}

TEST_F(Exchanges, SendOnANewConnectionWhatAnIdleOneTookNothingOf) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  SimHouse house(http());
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  house.upstream(0).wire.dead = true;  // it is gone, and no edge has said so yet
  client.wire.send(post("", ""));
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_NE(house.upstream(1).wire.out.find("POST /form"), std::string::npos);
  say(house, house.last(), kHello);
  EXPECT_TRUE(client.wire.out.ends_with("hello"));
  expect_clean(house);
}

// ---- a server that is not to be used ---------------------------------------------------------------------------------------------

TEST_F(Exchanges, AreEndedWithTheirServerWhereTheRouteSaysSo) {
  for (const bool closes : {false, true}) {
    for (const bool begun : {false, true}) {
      SCOPED_TRACE(begun);
      config::Settings settings = http();
      settings.routes[0].close_on_server_down = closes;
      SimHouse house(settings);
      Client& client = ask(house, get("/events"));
      if (begun) say(house, house.last(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
      house.server(0).command_duty(upstream::Duty::down);
      house.advance(2s);
      EXPECT_EQ(house.last().wire.closed, closes);
      if (!closes) {
        EXPECT_FALSE(client.wire.finished);
      } else if (begun) {
        EXPECT_FALSE(client.wire.out.ends_with("0\r\n\r\n")) << "the client sees that it is not whole";
        EXPECT_TRUE(client.wire.finished);
      } else {
        EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 503 ")) << client.wire.out;
      }
    }
  }
}

TEST_F(Exchanges, AskAnotherServerOnlyForWhatMayBeAskedTwice) {
  struct Case {
    std::string request;
    std::string answer;  // of the first server, before it ends
    std::size_t dials;
  };
  for (const Case& one : {Case{get("/"), "", 2}, Case{"DELETE / HTTP/1.1\r\nHost: gw.test\r\n\r\n", "", 2},
                          Case{post("Content-Length: 0\r\n", ""), "", 1}, Case{post("Content-Length: 2\r\n", "ab"), "", 1},
                          Case{"PUT / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 2\r\n\r\nab", "", 1},
                          Case{get("/"), "HTTP/1.1 2", 1}, Case{get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", 1}}) {
    SCOPED_TRACE(one.request + one.answer);
    SimHouse house(http({"http://10.0.0.1:9000", "http://10.0.0.2:9000"}));
    Client& client = ask(house, one.request);
    ASSERT_EQ(house.dials(), 1u);
    house.upstream(0).wire.send(one.answer);
    house.upstream(0).wire.finish();
    house.run();
    ASSERT_EQ(house.dials(), one.dials);
    if (one.dials == 2) {
      EXPECT_NE(house.upstream(1).address, house.upstream(0).address);
      say(house, house.last(), kHello);
      EXPECT_TRUE(client.wire.out.ends_with("hello"));
    } else if (one.answer.size() < 20) {
      EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 502 ")) << client.wire.out;
    }
    expect_clean(house);
  }
}

TEST_F(Exchanges, AskTheNextServerWhenOneCannotBeReached) {
  SimHouse house(http({"http://10.0.0.1:9000", "http://10.0.0.2:9000"}));
  Client& client = house.connect();
  house.on_dial = [&house](Upstream& up) {
    up.peer.raw_only = true;
    if (house.dials() == 1) up.script = Script::refuse;
  };
  client.wire.send(post("Content-Length: 2\r\n", "ab"));
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_TRUE(house.last().wire.out.ends_with("\r\n\r\nab"));
}

// ---- time ------------------------------------------------------------------------------------------------------------------------

TEST_F(Exchanges, WaitForAnAnswerNoLongerThanConfigured) {
  config::Settings settings = http();
  settings.routes[0].http.response_timeout = 5s;
  SimHouse house(settings);
  Client& client = ask(house, get("/"));
  house.advance(4s);
  EXPECT_EQ(client.wire.out, "");
  house.advance(3s);
  EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 504 ")) << client.wire.out;
  EXPECT_TRUE(house.last().wire.closed);
  expect_clean(house);
}

TEST_F(Exchanges, WaitForABodyNoLongerThanConfigured) {
  config::Settings settings = http();
  settings.routes[0].http.body_timeout = 5s;
  settings.routes[0].http.response_timeout = 20s;
  SimHouse house(settings);
  Client& client = ask(house, post("Content-Length: 9\r\n", "a"));
  for (int i = 0; i < 3; ++i) {
    house.advance(4s);
    client.wire.send("b");
    house.run();
  }
  EXPECT_EQ(client.wire.out, "") << "slow is not stalled";
  house.advance(7s);
  EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 408 ")) << client.wire.out;
  EXPECT_TRUE(house.last().wire.closed);
  // Who waits to be let in is not the one that is late.
  Client& polite = ask(house, post("Content-Length: 9\r\nExpect: 100-continue\r\n", ""));
  house.advance(10s);
  EXPECT_EQ(polite.wire.out, "");
  house.advance(12s);
  EXPECT_TRUE(polite.wire.out.starts_with("HTTP/1.1 504 ")) << polite.wire.out;
  expect_clean(house);
}

TEST_F(Exchanges, LetEventStreamsLiveAsLongAsOctetsFlow) {
  config::Settings settings = http();
  settings.routes[0].http.idle_timeout = 10s;
  SimHouse house(settings);
  Client& client = ask(house, get("/events"));
  say(house, house.last(), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_NE(client.wire.out.find("text/event-stream"), std::string::npos) << "the head does not wait for the first event";
  for (int i = 0; i < 100; ++i) {
    house.advance(8s);
    say(house, house.last(), "9\r\ndata: x\n\n\r\n");
    ASSERT_TRUE(client.wire.out.ends_with("9\r\ndata: x\n\n\r\n"));
  }
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0) << "a stream is no unfinished handshake";
  house.advance(12s);
  EXPECT_TRUE(client.wire.finished);
  EXPECT_TRUE(house.last().wire.closed);
  expect_clean(house);
}

TEST_F(Exchanges, CutAReaderThatTakesNothing) {
  SimHouse house(http());
  Client& client = house.connect();
  client.wire.window = 10;
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  client.wire.send(get("/"));
  house.run();
  house.last().wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'x'));
  house.run();
  EXPECT_GT(house.last().wire.unread(), 800'000u) << "not read while the client takes nothing";
  EXPECT_LT(house.pool().lent(), 200'000u);
  house.advance(20s);
  client.wire.unacknowledged = 7;  // slow is not stalled
  house.advance(20s);
  EXPECT_FALSE(client.wire.aborted);
  house.advance(20s);
  EXPECT_TRUE(client.wire.aborted);
  EXPECT_TRUE(house.last().wire.closed);
  expect_clean(house);
}

TEST_F(Exchanges, CloseAConnectionThatRests) {
  config::Settings settings = http();
  settings.listeners[0].keepalive_timeout = 5s;
  settings.listeners[0].max_requests = 3;
  SimHouse house(settings);
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  house.advance(3s);
  EXPECT_FALSE(client.wire.closed);
  house.advance(3s);
  EXPECT_TRUE(client.wire.closed);
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::head_timeout)].get(), 0u);
  Client& busy = ask(house, get("/1"));
  for (int i = 2; i <= 3; ++i) {
    say(house, house.last(), kHello);
    EXPECT_EQ(busy.wire.out.find("Connection: close"), std::string::npos);
    busy.wire.send(get("/" + std::to_string(i)));
    house.run();
  }
  say(house, house.last(), kHello);
  EXPECT_NE(busy.wire.out.find("Connection: close"), std::string::npos) << "the third is the last";
  EXPECT_TRUE(busy.wire.finished);
  expect_clean(house);
}

TEST_F(Exchanges, WaitForALaterHeadNoLongerThanForTheFirst) {
  SimHouse house(http());
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  client.wire.send("GET /2 HT");
  for (int i = 0; i < 12; ++i) {
    house.advance(1s);
    client.wire.send("x");  // sending slowly extends nothing
    house.run();
  }
  EXPECT_TRUE(client.wire.finished || client.wire.closed);
  EXPECT_NE(client.wire.out.find("HTTP/1.1 4"), std::string::npos);
  expect_clean(house);
}

TEST_F(Exchanges, EndWhenTheClientHasLeft) {
  SimHouse house(http());
  Client& client = ask(house, get("/slow"));
  client.wire.reset();
  house.run();
  EXPECT_TRUE(house.last().wire.closed) << "nobody waits for the answer";
  Client& half = ask(house, get("/"));
  half.wire.finish();
  house.run();
  EXPECT_FALSE(house.last().wire.closed) << "it may still read";
  house.advance(2s);
  say(house, house.last(), kHello);
  EXPECT_TRUE(half.wire.out.ends_with("hello"));
  Client& gone = ask(house, get("/events"));
  say(house, house.last(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  gone.wire.finish();
  house.run();
  house.advance(12s);
  EXPECT_TRUE(house.last().wire.closed) << "nothing flows to one that has said its end";
  expect_clean(house);
}

// ---- beside the rest -----------------------------------------------------------------------------------------------------------

TEST_F(Exchanges, PassAnAnswerThatComesBeforeTheBodyHasEnded) {
  SimHouse house(http());
  Client& client = ask(house, post("Content-Length: 9\r\n", "abc"));
  say(house, house.last(), "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_TRUE(client.wire.out.ends_with("no"));
  EXPECT_NE(client.wire.out.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.wire.finished);
  EXPECT_TRUE(house.last().wire.closed) << "a request in part stands on it";
  expect_clean(house);
}

TEST_F(Exchanges, BecomeAWebSocketWhenALaterRequestAsksForIt) {
  SimHouse house(http());
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  EXPECT_EQ(house.upstreams.size(), 1u);
  house.on_dial = {};
  client.peer.raw.clear();
  client.peer.raw_only = false;
  client.wire.send(upgrade_request());
  house.run();
  ASSERT_EQ(house.dials(), 2u) << "a handshake has a connection of its own";
  client.peer.poll();
  EXPECT_NE(client.wire.out.find("HTTP/1.1 101"), std::string::npos) << client.wire.out;
  EXPECT_EQ(house.listener_tally().connections[static_cast<std::size_t>(session::Protocol::websocket)].get(), 1);
  expect_clean(house);
}

TEST_F(Exchanges, EndAfterTheAnswerWhileDraining) {
  SimHouse house(http());
  Client& resting = ask(house, get("/"));
  say(house, house.last(), kHello);
  Client& client = ask(house, get("/slow"));
  house.drain_all();
  house.run();
  EXPECT_TRUE(resting.wire.closed);
  EXPECT_FALSE(client.wire.finished);
  say(house, house.last(), kHello);
  EXPECT_NE(client.wire.out.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.wire.out.ends_with("hello"));
  EXPECT_TRUE(client.wire.finished);
  expect_clean(house);
}

TEST_F(Exchanges, AreCountedByTheirOwnLimit) {
  config::Settings settings = http();
  add_limit(settings, policy::LimitSettings::Unit::requests, policy::LimitSettings::Key::ip, 2).on_limit =
      policy::LimitSettings::Action::reject;
  SimHouse house(settings);
  Client& client = ask(house, get("/1"));
  say(house, house.last(), kHello);
  client.wire.send(get("/2"));
  house.run();
  say(house, house.last(), kHello);
  client.wire.send(get("/3"));
  house.run();
  EXPECT_NE(client.wire.out.find("HTTP/1.1 429"), std::string::npos);
  EXPECT_TRUE(client.wire.finished);
}

TEST_F(Exchanges, HoldAPermitOnlyWhileTheyLast) {
  config::Settings settings = http();
  add_limit(settings, policy::LimitSettings::Unit::connections, policy::LimitSettings::Key::ip, 1);
  SimHouse house(settings);
  Client& client = ask(house, get("/1") + get("/2"));
  EXPECT_TRUE(ask(house, get("/3")).wire.out.starts_with("HTTP/1.1 429"));
  say(house, house.upstream(0), kHello);
  say(house, house.upstream(0), kHello);
  EXPECT_EQ(client.wire.out.find("HTTP/1.1 429"), std::string::npos);
  ask(house, get("/4"));
  EXPECT_EQ(house.dials(), 1u);
  EXPECT_NE(house.upstream(0).wire.out.find("GET /4"), std::string::npos);
}

TEST_F(Exchanges, AreNotServedBeforeWebSocketServers) {
  SimHouse house(http({"ws://10.0.0.1:9000"}));
  EXPECT_TRUE(ask(house, get("/")).wire.out.starts_with("HTTP/1.1 426"));
  EXPECT_EQ(house.dials(), 0u);
}

// Every operation of a scenario fails in turn, in each way: nothing is left behind, and nobody is told what is not so.
TEST_F(Exchanges, SurviveEveryFailureInTurn) {
  const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (const Faults::Kind kind : {Faults::Kind::error, Faults::Kind::end, Faults::Kind::block}) {
    for (std::size_t at = 1; at < 100; ++at) {
      SCOPED_TRACE(at);
      SimHouse house(http({"http://10.0.0.1:9000", "http://10.0.0.2:9000"}));
      house.faults.kind = kind;
      house.faults.at = at;
      Client& client = house.connect();
      client.peer.raw_only = true;
      house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
      const auto serve = [&] {
        for (std::size_t i = 0; i < house.dials(); ++i) {
          Upstream& up = house.upstream(i);
          if (up.wire.closed) continue;
          std::size_t asked = 0;
          for (std::size_t from = 0; (from = up.wire.out.find("\r\n\r\n", from)) != std::string::npos; from += 4) ++asked;
          while (up.wire.unacknowledged < asked) {  // as a count of what was answered
            ++up.wire.unacknowledged;
            up.wire.send(answer);
          }
        }
        house.run();
      };
      client.wire.send(get("/1"));
      house.run();
      serve();
      client.wire.send(get("/2"));
      house.run();
      for (int i = 0; i < 4; ++i) serve();
      if (kind == Faults::Kind::block) {
        EXPECT_EQ(client.wire.out.find("HTTP/1.1 5"), std::string::npos);
        EXPECT_TRUE(client.wire.out.ends_with("0\r\n\r\n"));
      }
      const bool fired = house.faults.fired;
      client.wire.finish();
      house.run();
      house.advance(80s);
      EXPECT_EQ(house.alive(), 0u);
      EXPECT_EQ(house.pool().lent(), 0u);
      EXPECT_EQ(house.server(0).active.load(), 0u);
      if (!fired) break;
    }
  }
}

}  // namespace
}  // namespace sluice::test
