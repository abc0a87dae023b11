// An external check: what is asked, what each answer means, and whoever leaves while it is under way.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

constexpr const char* kService = "10.9.9.9:4181";
constexpr const char* kYes = "HTTP/1.1 200 OK\r\nX-Auth-User: ann\r\nX-Auth-Room: blue\r\nX-Admin: 1\r\nContent-Length: 2\r\n\r\nok";

config::Settings checked() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.type = policy::AuthSettings::Type::external;
  auth.name = "sso";
  auth.external.host = "10.9.9.9";
  auth.external.port = 4181;
  auth.external.authority = kService;
  auth.external.target = "/verify?app=chat";
  auth.external.request_headers = {"Authorization", "Cookie"};
  auth.external.response_headers = {"X-Auth-User", "X-Auth-Room"};
  auth.external.refusal_headers = {"WWW-Authenticate", "X-Why"};
  auth.external.subject_header = "X-Auth-User";
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"sso"};
  return settings;
}

class ExternalAuth : public ::testing::Test {
 protected:
  // A client that has sent a request, and what its service says by itself; empty: nothing.
  static Client& ask(SimHouse& house, const std::string& fields = "Authorization: Bearer one\r\n", const std::string& path = "/room") {
    Client& client = house.connect();
    client.wire.send(upgrade_request(path, fields));
    house.run();
    return client;
  }
  static void answer(SimHouse& house, Upstream& service, std::string_view octets) {
    service.wire.send(octets);
    house.run();
  }
  static void quiet_service(SimHouse& house) {
    house.on_dial = [](Upstream& up) { up.peer.raw_only = up.address == kService; };
  }
  static std::uint32_t under_way(SimHouse& house) { return house.runtime().external_checks.at("sso")->under_way(); }
  static std::uint64_t refused(SimHouse& house, Errc code) {
    return house.worker_tally().rejects[static_cast<std::size_t>(code)].get();
  }
  static void expect_clean(SimHouse& house) {
    house.hang_up();
    house.run();
    house.advance(15s);
    EXPECT_EQ(under_way(house), 0u);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.server(0).active.load(), 0u);
  }
};

TEST_F(ExternalAuth, AsksWithTheClientsWordsAndTakesTheAnswersUp) {
  SimHouse house(checked());
  quiet_service(house);
  Client& client = ask(house, "Authorization: Bearer one\r\nCookie: a=b\r\nOrigin: https://gw.test\r\nX-Auth-User: root\r\n"
                              "X_Auth_Room: red\r\nX-Other: no\r\nX-Forwarded-Uri: /lie\r\n", "/room?x=1");
  ASSERT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.last().address, kService);
  std::string asked = house.last().wire.out;
  const std::size_t id = asked.find("X-Request-Id: ");
  ASSERT_NE(id, std::string::npos);
  asked.erase(id, asked.find("\r\n", id) + 2 - id);
  EXPECT_EQ(asked,
            "GET /verify?app=chat HTTP/1.1\r\nHost: 10.9.9.9:4181\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\n"
            "X-Forwarded-Host: gw.test\r\nX-Forwarded-Uri: /room?x=1\r\nX-Forwarded-For: 192.0.2.7\r\nX-Original-Method: GET\r\n"
            "X-Original-URI: /room?x=1\r\nX-Real-IP: 192.0.2.7\r\nConnection: close\r\nAuthorization: Bearer one\r\n"
            "Cookie: a=b\r\n\r\n");
  EXPECT_EQ(under_way(house), 1u);
  answer(house, house.last(), kYes);
  ASSERT_EQ(house.dials(), 2u);
  const std::string head = house.last().wire.out;
  EXPECT_NE(head.find("X-Auth-User: ann\r\n"), std::string::npos);
  EXPECT_NE(head.find("X-Auth-Room: blue\r\n"), std::string::npos);
  for (const char* never : {"root", "red", "X-Admin", "lie"}) EXPECT_EQ(head.find(never), std::string::npos) << never;
  EXPECT_NE(head.find("Authorization: Bearer one\r\n"), std::string::npos) << "no carrier of ours";
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(under_way(house), 0u);
  client.peer.text("hello");
  house.run();
  EXPECT_EQ(house.last().peer.messages().size(), 1u);
  expect_clean(house);
}

TEST_F(ExternalAuth, OfAHandshakeWithoutOriginSendsNoCookie) {
  SimHouse house(checked());
  quiet_service(house);
  ask(house, "Cookie: a=b\r\n");
  EXPECT_EQ(house.last().wire.out.find("Cookie"), std::string::npos);
  expect_clean(house);
}

TEST_F(ExternalAuth, RelaysANoWithItsListedFieldsOnly) {
  for (const int status : {401, 403}) {
    SimHouse house(checked());
    quiet_service(house);
    Client& client = ask(house);
    answer(house, house.last(), "HTTP/1.1 " + std::to_string(status) + " No\r\nWWW-Authenticate: Basic realm=x\r\nX-Why: so\r\n"
                                "Set-Cookie: s=1\r\nX-Auth-User: ann\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnope");
    EXPECT_EQ(house.dials(), 1u);
    const std::string& out = client.wire.out;
    EXPECT_TRUE(out.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << out;
    EXPECT_TRUE(out.ends_with("\r\n\r\nnope")) << out;
    for (const char* there : {"WWW-Authenticate: Basic realm=x\r\n", "X-Why: so\r\n", "Content-Type: text/plain\r\n"}) {
      EXPECT_NE(out.find(there), std::string::npos) << there;
    }
    for (const char* never : {"Set-Cookie", "ann"}) EXPECT_EQ(out.find(never), std::string::npos) << never;
    EXPECT_EQ(refused(house, status == 401 ? Errc::auth_denied : Errc::auth_forbidden), 1u);
    expect_clean(house);
  }
}

TEST_F(ExternalAuth, SaysNoByACloseWhereTheRouteSaysSo) {
  config::Settings settings = checked();
  rules_of(settings).reject_with_close = true;
  SimHouse house(settings);
  quiet_service(house);
  Client& client = ask(house);
  answer(house, house.last(), "HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nnope");
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  expect_clean(house);
}

// Neither yes nor no is no, and nobody's fault but ours.
TEST_F(ExternalAuth, FailsClosed) {
  for (const char* text : {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "garbage\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",  // and who is it?
                           "HTTP/1.1 200 OK\r\nX-Auth-User: a\r\nX-Auth-User: b\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nX-Auth-User: a\r\nX-Auth-Room: b\r\nx-auth-room: c\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nX-Auth-User: a b\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nX-Auth-User: a\rX-Admin: 1\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nX-Auth-User: a\r\nContent-Length: 99999\r\n\r\n"}) {
    SCOPED_TRACE(text);
    SimHouse house(checked());
    quiet_service(house);
    Client& client = ask(house);
    answer(house, house.last(), text);
    EXPECT_EQ(client.peer.status(), 503);
    EXPECT_NE(client.wire.out.find("Retry-After: "), std::string::npos);
    EXPECT_EQ(house.dials(), 1u);
    EXPECT_EQ(refused(house, Errc::auth_unavailable), 1u);
    expect_clean(house);
  }
}

TEST_F(ExternalAuth, GivesUpInTimeAndAfterTooManyFailuresForAWhile) {
  SimHouse house(checked());
  house.on_dial = [](Upstream& up) {
    up.peer.raw_only = up.address == kService;
    up.script = Script::hang;
  };
  for (int i = 0; i < 5; ++i) {
    Client& client = ask(house);
    EXPECT_EQ(client.peer.status(), 0);
    house.advance(2100ms);
    EXPECT_EQ(client.peer.status(), 503);
  }
  EXPECT_EQ(house.dials(), 5u);
  EXPECT_EQ(ask(house).peer.status(), 503) << "at once";
  EXPECT_EQ(house.dials(), 5u);
  house.advance(5s);
  quiet_service(house);
  Client& client = ask(house);
  ASSERT_EQ(house.dials(), 6u);
  EXPECT_EQ(ask(house).peer.status(), 503) << "one probe at a time";
  answer(house, house.upstream(5), kYes);
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(under_way(house), 0u);
  expect_clean(house);
}

TEST_F(ExternalAuth, IsAskedNoMoreAsLongAsTheAnswerSays) {
  SimHouse house(checked());
  quiet_service(house);
  const auto asked = [&house] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < house.dials(); ++i) count += house.upstream(i).address == kService ? 1 : 0;
    return count;
  };
  const auto serve = [&](const std::string& fields, std::string_view caching, const std::string& path = "/room") {
    const std::size_t before = asked();
    Client& client = ask(house, fields, path);
    if (asked() > before) {
      answer(house, house.last(), "HTTP/1.1 200 OK\r\n" + std::string(caching) + "X-Auth-User: ann\r\nContent-Length: 0\r\n\r\n");
    }
    EXPECT_EQ(client.peer.status(), 101);
    EXPECT_NE(house.last().wire.out.find("X-Auth-User: ann"), std::string::npos);
    return asked() - before;
  };
  const std::string one = "Authorization: Bearer one\r\n";
  const std::string kept = "Cache-Control: private, max-age=60\r\n";
  EXPECT_EQ(serve(one, ""), 1u);
  EXPECT_EQ(serve(one, "Cache-Control: max-age=60, no-store\r\n"), 1u);
  EXPECT_EQ(serve(one, "Cache-Control: max-age=60x\r\n"), 1u);
  EXPECT_EQ(serve(one, kept), 1u);
  EXPECT_EQ(serve(one, kept), 0u);
  EXPECT_EQ(serve("Authorization: Bearer two\r\n", kept), 1u) << "another token";
  EXPECT_EQ(serve(one, kept, "/other"), 1u) << "another path";
  EXPECT_EQ(serve(one, kept), 0u);
  house.advance(61s);
  EXPECT_EQ(serve(one, kept), 1u);
  expect_clean(house);
}

// T17: whoever leaves at any point of the exchange leaves nothing behind.
TEST_F(ExternalAuth, AClientMayLeaveAtEveryOctet) {
  const std::string_view yes = kYes;
  for (const bool reset : {false, true}) {
    for (std::size_t said = 0; said <= yes.size(); ++said) {
      for (const bool same_pass : {false, true}) {
        SCOPED_TRACE(said);
        SimHouse house(checked());
        quiet_service(house);
        Client& client = ask(house);
        Upstream& service = house.last();
        if (!same_pass) answer(house, service, yes.substr(0, said));
        reset ? client.wire.reset() : client.wire.finish();
        if (same_pass) service.wire.send(yes.substr(0, said));
        house.run();
        house.advance(3s);
        service.wire.send(yes.substr(said));
        house.run();
        expect_clean(house);
      }
    }
  }
}

TEST_F(ExternalAuth, MayCloseAtEveryOctet) {
  const std::string_view yes = kYes;
  for (std::size_t said = 0; said < yes.size(); ++said) {
    SCOPED_TRACE(said);
    SimHouse house(checked());
    quiet_service(house);
    Client& client = ask(house);
    house.last().wire.send(yes.substr(0, said));
    house.last().wire.finish();
    house.run();
    EXPECT_EQ(client.peer.status(), 503);
    expect_clean(house);
  }
}

// ---- while connected -------------------------------------------------------------------------------------------------------

struct Rechecked {
  explicit Rechecked() : house(settings()) {
    house.on_dial = [this](Upstream& up) {
      up.peer.raw_only = up.address == kService;
      if (up.address == kService) ++asked;
      if (hangs && up.address == kService) up.script = Script::hang;
    };
    client = &house.connect();
    client->wire.send(upgrade_request("/room", "Authorization: Bearer one\r\n"));
    house.run();
    say(kYes);
    EXPECT_EQ(client->peer.status(), 101);
  }
  static config::Settings settings() {
    config::Settings settings = checked();
    settings.auths[0].external.recheck = 60s;
    rules_of(settings).ping_interval = {};
    return settings;
  }
  // The time that it took until it was asked once more.
  Duration until_asked() {
    const std::size_t before = asked;
    Duration waited{};
    for (; asked == before && waited < 200s; waited += 1s) house.advance(1s);
    return waited;
  }
  void say(std::string_view octets) {
    for (std::size_t i = house.dials(); i-- > 0;) {
      if (house.upstream(i).address != kService) continue;
      house.upstream(i).wire.send(octets);
      break;
    }
    house.run();
  }
  SimHouse house;
  Client* client = nullptr;
  std::size_t asked = 0;
  bool hangs = false;
};

TEST_F(ExternalAuth, IsAskedAgainWhileTheClientStays) {
  Rechecked s;
  for (int round = 0; round < 4; ++round) {
    const Duration waited = s.until_asked();
    EXPECT_GE(waited, 54s);
    EXPECT_LE(waited, 61s);
    s.say(kYes);
    s.client->peer.text("still here");
  }
  EXPECT_EQ(s.client->peer.close_frame(), nullptr);
  expect_clean(s.house);
}

TEST_F(ExternalAuth, ClosesWhenItIsANoLater) {
  const std::pair<const char*, unsigned> rows[] = {
      {"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", 4401u},
      {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 4403u},
      {"HTTP/1.1 200 OK\r\nX-Auth-User: eve\r\nContent-Length: 0\r\n\r\n", 4403u}};
  for (const auto& [text, code] : rows) {
    SCOPED_TRACE(text);
    Rechecked s;
    s.until_asked();
    s.say(text);
    s.house.advance(1s);
    EXPECT_EQ(s.client->peer.close_code(), code);
    expect_clean(s.house);
  }
}

TEST_F(ExternalAuth, NoAnswerIsNoVerdictForAWhile) {
  Rechecked s;
  s.hangs = true;
  s.house.advance(110s);
  EXPECT_GE(s.asked, 5u) << "it is asked again";
  EXPECT_EQ(s.client->peer.close_frame(), nullptr);
  s.hangs = false;
  s.until_asked();
  s.say(kYes);
  s.hangs = true;
  s.house.advance(118s);
  EXPECT_EQ(s.client->peer.close_frame(), nullptr);
  s.house.advance(12s);
  EXPECT_EQ(s.client->peer.close_code(), 1013u);
  expect_clean(s.house);
}

TEST_F(ExternalAuth, MayAnswerAfterTheClientHasGone) {
  Rechecked s;
  s.until_asked();
  s.client->wire.reset();
  s.house.run();
  s.house.advance(1s);
  s.say(kYes);
  expect_clean(s.house);
}

TEST_F(ExternalAuth, IsNotWaitedForInADrain) {
  SimHouse house(checked());
  quiet_service(house);
  Client& client = ask(house);
  house.drain_all();
  house.advance(1s);
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(refused(house, Errc::draining), 1u);
  expect_clean(house);
}

TEST_F(ExternalAuth, IsTheLastResortBehindTokens) {
  config::Settings settings = checked();
  policy::AuthSettings jwt;
  jwt.name = "users";
  jwt.jwt.algorithms = {net::JwsAlgorithm::hs256};
  jwt.jwt.secret = "0123456789abcdef0123456789abcdef";
  jwt.from = {{policy::Carrier::Kind::header, "Authorization"}};
  settings.auths.push_back(jwt);
  settings.routes[0].auth = {"users", "sso"};
  SimHouse house(settings);
  quiet_service(house);
  EXPECT_EQ(ask(house, "Authorization: Bearer one\r\n").peer.status(), 401) << "a bad token does not fall through";
  EXPECT_EQ(house.dials(), 0u);
  Client& client = ask(house, "");
  ASSERT_EQ(house.dials(), 1u);
  answer(house, house.last(), kYes);
  EXPECT_EQ(client.peer.status(), 101);
  expect_clean(house);
}

}  // namespace
}  // namespace sluice::test
