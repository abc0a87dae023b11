// Revocations: who is refused, and how a live connection ends at every moment of its life.
#include <gtest/gtest.h>

#include <functional>

#include "policy/jwt.h"
#include "support/spread.h"
#include "support/survivor.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Kind = policy::Revocation::Kind;
using Messages = std::vector<std::string>;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

config::Settings with_tokens(config::Settings settings = settings_for({"ws://10.0.0.1:9000"})) {
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  return settings;
}

std::int64_t seconds(WallTime wall) { return std::chrono::duration_cast<std::chrono::seconds>(wall.time_since_epoch()).count(); }
const std::int64_t kStart = seconds(FakeClock().wall());

std::string bearer(const std::string& claims = R"(,"sub":"ann","jti":"t1","sid":"s1","roles":["admin","ops"])",
                   std::int64_t issued = kStart) {
  net::CryptoContext crypto;
  std::string why;
  const auto text =
      policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                   "{\"exp\":" + std::to_string(kStart + 3600) + ",\"iat\":" + std::to_string(issued) + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return "Authorization: Bearer " + *text + "\r\n";
}

policy::Revocation revocation(Kind kind, const std::string& value, const std::string& name = "") {
  static int number = 0;
  policy::Revocation out;
  out.id = "r" + std::to_string(++number);
  out.kind = kind;
  out.name = name;
  out.value = value;
  out.made = FakeClock().wall();
  out.expires = out.made + 10min;
  return out;
}
const policy::Revocation kAnn = revocation(Kind::sub, "ann");

struct Kicked {
  explicit Kicked(config::Settings settings = with_tokens())
      : house(std::move(settings)), client(house.open(upgrade_request("/ws", bearer()))), server(house.last()) {}

  std::size_t kick(const policy::Revocation& what = kAnn) {
    const std::size_t closed = house.kick(what);
    house.run();
    return closed;
  }
  std::uint64_t counted(Kind kind = Kind::sub) { return house.worker_tally().revoked[static_cast<std::size_t>(kind)].get(); }
  void expect_gone() {
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.server(0).active.load(), 0u);
    EXPECT_EQ(house.route_tally().connections.get(), 0);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
    EXPECT_TRUE(client.wire.closed);
    EXPECT_TRUE(server.wire.closed);
  }

  SimHouse house;
  Client& client;
  Upstream& server;
};

// ---- at rest -------------------------------------------------------------------------------------------------------------

TEST(Kick, ClosesWhoeverIsNamed) {
  const policy::Revocation all[] = {kAnn, revocation(Kind::jti, "t1"), revocation(Kind::sid, "s1"),
                                    revocation(Kind::claim, "ops", "roles"), revocation(Kind::ip, "192.0.2.0/24")};
  for (const policy::Revocation& what : all) {
    SCOPED_TRACE(what.kind_name());
    Kicked one;
    one.client.peer.answers_close = one.server.peer.answers_close = true;
    EXPECT_EQ(one.kick(what), 1u);
    EXPECT_EQ(one.client.peer.close_frame()->payload, close_payload(4403, "revoked"));
    EXPECT_EQ(one.server.peer.close_code(), 1001u);
    EXPECT_EQ(one.counted(what.kind), 1u);
    one.client.wire.finish();
    one.house.run();
    one.expect_gone();
  }
}

TEST(Kick, ClosesTheOneConnectionOfAnId) {
  Kicked one;
  Client& other = one.house.open(upgrade_request("/ws", bearer()));
  const std::string id = field_of(one.server.peer.head, "X-Request-Id");
  ASSERT_FALSE(id.empty());
  EXPECT_EQ(one.kick(revocation(Kind::connection, id)), 1u);
  EXPECT_EQ(one.client.peer.close_code(), 4403u);
  EXPECT_EQ(other.peer.close_frame(), nullptr);
}

TEST(Kick, SaysWhatTheOperatorSays) {
  Kicked one;
  policy::Revocation what = kAnn;
  what.code = 4409;
  what.reason = "moved to another device";
  one.kick(what);
  EXPECT_EQ(one.client.peer.close_frame()->payload, close_payload(4409, "moved to another device"));
}

TEST(Kick, LeavesTheOthersAlone) {
  Kicked one;
  Client& bob = one.house.open(upgrade_request("/ws", bearer(R"(,"sub":"bob","jti":"t2","roles":["admin"])")));
  one.house.last().peer.echoes = true;
  EXPECT_EQ(one.kick(revocation(Kind::claim, "ops", "roles")), 1u);
  bob.peer.text("still here");
  one.house.run();
  EXPECT_EQ(bob.peer.messages(), Messages{"still here"});
  EXPECT_EQ(one.kick(revocation(Kind::sub, "eve")), 0u);
  EXPECT_EQ(bob.peer.close_frame(), nullptr);
}

TEST(Kick, ClosesNobodyTwice) {
  Kicked one;
  EXPECT_EQ(one.kick(), 1u);
  EXPECT_EQ(one.kick(), 0u);
  EXPECT_EQ(one.kick(revocation(Kind::jti, "t1")), 0u);
  EXPECT_EQ(one.client.peer.count(8), 1u);
  EXPECT_EQ(one.counted(), 1u);
}

TEST(Kick, WaitsForNobodyWhoDoesNotAnswer) {
  Kicked one;
  one.kick();
  EXPECT_EQ(one.client.peer.close_code(), 4403u);
  one.house.advance(900ms);
  EXPECT_EQ(one.house.alive(), 1u);
  one.house.advance(200ms);
  EXPECT_TRUE(one.server.wire.closed);
  EXPECT_TRUE(one.client.wire.finished);
  one.house.advance(1s);
  one.expect_gone();
}

// ---- inside a message ------------------------------------------------------------------------------------------------------

TEST(Kick, LetsTheFrameThatIsOnItsWayEnd) {
  Kicked one;
  const std::string frame = frame_octets(0x82, std::string(1000, 'x'), false);
  one.server.wire.send(frame.substr(0, 500));
  one.house.run();
  EXPECT_EQ(one.kick(), 1u);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr) << "it would stand inside the frame";
  one.house.advance(500ms);
  one.server.wire.send(frame.substr(500));
  one.house.run();
  ASSERT_EQ(one.client.peer.frames.size(), 2u);
  EXPECT_EQ(one.client.peer.frames[0].payload.size(), 1000u);
  EXPECT_EQ(one.client.peer.close_code(), 4403u);
}

TEST(Kick, CutsOneWhoseFrameDoesNotEndWithinASecond) {
  Kicked one;
  one.server.wire.send(frame_octets(0x82, std::string(1000, 'x'), false).substr(0, 500));
  one.house.run();
  one.kick();
  one.house.advance(900ms);
  EXPECT_FALSE(one.client.wire.aborted);
  one.house.advance(200ms);
  EXPECT_TRUE(one.client.wire.aborted);
  one.house.advance(1s);
  one.expect_gone();
}

TEST(Kick, NothingThatTheClientSaysAfterwardsPasses) {
  Kicked one;
  const std::string frame = frame_octets(0x81, "half of it and the rest", true);
  one.client.wire.send(frame.substr(0, 12));
  one.house.run();
  one.kick();
  one.client.wire.send(frame.substr(12));
  one.client.peer.text("more");
  one.house.run();
  for (const std::string& message : one.server.peer.messages()) EXPECT_EQ(message, "half of it and the rest");
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  one.house.advance(3s);
  one.expect_gone();
}

TEST(Kick, AClientThatTakesNothingIsCut) {
  Kicked one;
  one.client.wire.open_window(0);
  one.server.peer.binary(std::string(300'000, 'x'));
  one.house.run();
  EXPECT_EQ(one.kick(), 1u);
  one.house.advance(1100ms);
  EXPECT_TRUE(one.client.wire.aborted);
  one.house.advance(2s);
  one.expect_gone();
}

// ---- before it is served ---------------------------------------------------------------------------------------------------

TEST(Kick, RefusesWhoWaitsForItsServer) {
  for (const bool silent : {false, true}) {
    SimHouse house(with_tokens());
    house.on_dial = [&](Upstream& up) {
      if (silent) {
        up.peer.greeting = WsPeer::Greeting::none;
      } else {
        up.script = SimHouse::Script::hang;
      }
    };
    Client& client = house.open(upgrade_request("/ws", bearer()));
    ASSERT_TRUE(client.peer.head.empty());
    EXPECT_EQ(house.kick(kAnn), 1u);
    house.run();
    EXPECT_EQ(client.peer.status(), 403);
    EXPECT_NE(client.peer.body.find("revoked"), std::string::npos);
    EXPECT_EQ(house.dials(), 1u) << "no other server is tried";
    house.hang_up();
    house.run();
    house.advance(2s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.server(0).active.load(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  }
}

// Its address was asked for before the check began, and will not be asked for again.
TEST(Kick, RefusesWhoIsBeingChecked) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.type = policy::AuthSettings::Type::external;
  auth.name = "sso";
  auth.external.host = "10.9.9.9";
  auth.external.port = 4181;
  auth.external.authority = "10.9.9.9:4181";
  auth.external.target = "/verify";
  auth.external.subject_header = "X-Auth-User";
  auth.external.response_headers = {"X-Auth-User"};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"sso"};
  const policy::Revocation block = revocation(Kind::ip, "192.0.2.0/24");
  for (const bool by_name : {false, true}) {
    SimHouse house(settings);
    house.on_dial = [](Upstream& up) { up.peer.raw_only = up.address == "10.9.9.9:4181"; };
    Client& client = house.open();
    ASSERT_EQ(house.dials(), 1u);
    ASSERT_EQ(house.runtime().external_checks.at("sso")->under_way(), 1u);
    if (by_name) {
      // Who it is will be known once the check is done, and then the table is asked.
      ASSERT_TRUE(house.revocations().add(kAnn));
      EXPECT_EQ(house.kick(kAnn), 0u);
      house.last().wire.send("HTTP/1.1 200 OK\r\nX-Auth-User: ann\r\nContent-Length: 0\r\n\r\n");
    } else {
      ASSERT_TRUE(house.revocations().add(block));
      EXPECT_EQ(house.kick(block), 1u);
    }
    house.run();
    EXPECT_EQ(client.peer.status(), 403);
    EXPECT_NE(client.peer.body.find("revoked"), std::string::npos);
    EXPECT_EQ(house.dials(), 1u);
    EXPECT_EQ(house.runtime().external_checks.at("sso")->under_way(), 0u);
    house.hang_up();
    house.run();
    house.advance(2s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  }
}

TEST(Kick, RefusesWhoWaitsInLine) {
  config::Settings settings = with_tokens();
  settings.backends[0].pending = {10, 60s};
  SimHouse house(std::move(settings));
  house.server(0).set_healthy(false);
  Client& client = house.open(upgrade_request("/ws", bearer()));
  ASSERT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 1u);
  EXPECT_EQ(house.kick(revocation(Kind::ip, "192.0.2.7")), 1u);
  house.run();
  EXPECT_EQ(client.peer.status(), 403);
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
  EXPECT_EQ(house.dials(), 0u);
}

TEST(Kick, CutsOneWhoseAnswerIsOnItsWay) {
  SimHouse house(with_tokens());
  Client& client = house.connect();
  client.wire.open_window(10);  // of the 101
  client.wire.send(upgrade_request("/ws", bearer()));
  house.run();
  ASSERT_EQ(house.dials(), 1u);
  ASSERT_EQ(client.wire.out.size(), 10u);
  EXPECT_EQ(house.kick(kAnn), 1u);
  house.run();
  EXPECT_TRUE(client.wire.aborted);
  EXPECT_EQ(client.wire.out.size(), 10u);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
  house.advance(3s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
}

// ---- while it ends anyway --------------------------------------------------------------------------------------------------

TEST(Kick, AClientThatHasSaidCloseIsWaitedForNoLonger) {
  Kicked one;
  one.client.peer.close(1000);
  one.house.run();
  EXPECT_EQ(one.kick(), 1u);
  one.house.advance(1100ms);
  EXPECT_TRUE(one.server.wire.closed);
  one.house.advance(2s);
  one.expect_gone();
}

TEST(Kick, ADrainedClientSaysNothingMore) {
  Kicked one;
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  one.client.peer.text("taken");
  one.house.run();
  EXPECT_EQ(one.kick(), 1u);
  EXPECT_EQ(one.client.peer.count(8), 1u) << "there is one Close";
  one.client.peer.text("not taken");
  one.house.run();
  EXPECT_EQ(one.server.peer.messages(), Messages{"taken"});
  one.house.advance(3s);
  one.expect_gone();
}

TEST(Kick, AnEndThatIsUnderWayTakesItsCourse) {
  Kicked one;
  one.client.wire.finish();
  one.house.run();
  EXPECT_EQ(one.kick(), 0u);
  EXPECT_EQ(one.counted(), 0u);
}

// ---- other kinds of session ------------------------------------------------------------------------------------------------

TEST(Kick, ClosesEveryLegOfSpreadMessages) {
  config::Settings settings = with_tokens(spread(2));
  SimHouse house(std::move(settings));
  Client& client = house.open(upgrade_request("/ws", bearer()));
  for (int i = 0; house.dials() < 2 && i < 10; ++i) {
    client.peer.text("warm up");
    house.run();
  }
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.kick(kAnn), 1u);
  house.run();
  EXPECT_EQ(client.peer.close_code(), 4403u);
  EXPECT_EQ(house.upstream(0).peer.close_code(), 1001u);
  EXPECT_EQ(house.upstream(1).peer.close_code(), 1001u);
  house.advance(3s);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Kick, ClosesOneThatWaitsForAnotherServer) {
  config::Settings settings = with_tokens(surviving(config::InFlight::hold));
  SimHouse house(std::move(settings));
  Client& client = house.open(upgrade_request("/ws", bearer()));
  ASSERT_EQ(client.peer.status(), 101);
  house.on_dial = [](Upstream& up) { up.script = SimHouse::Script::hang; };
  house.last().wire.reset();
  house.run();
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(house.kick(kAnn), 1u);
  house.run();
  EXPECT_EQ(client.peer.close_code(), 4403u);
  house.advance(3s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
}

TEST(Kick, ClosesBeforeATcpServer) {
  config::Settings settings = with_tokens(settings_for({"tcp://10.0.0.2:7000"}));
  Kicked one(std::move(settings));
  one.client.peer.answers_close = true;
  EXPECT_EQ(one.kick(), 1u);
  EXPECT_EQ(one.client.peer.close_code(), 4403u);
  EXPECT_TRUE(one.server.wire.finished);
  one.house.advance(3s);
  one.expect_gone();
}

TEST(Kick, RefusesAPlainRequestThatHasNoAnswerYetAndCutsOneThatHas) {
  for (const bool answered : {false, true}) {
    SimHouse house(with_tokens(settings_for({"http://10.0.0.1:9000"})));
    house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
    Client& client = house.connect();
    client.peer.raw_only = true;
    client.wire.send("GET /x HTTP/1.1\r\nHost: gw.test\r\n" + bearer() + "\r\n");
    house.run();
    if (answered) {
      house.last().wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      house.run();
    }
    EXPECT_EQ(house.kick(kAnn), 1u);
    house.run();
    EXPECT_TRUE(client.wire.out.starts_with(answered ? "HTTP/1.1 200 " : "HTTP/1.1 403 ")) << client.wire.out;
    EXPECT_TRUE(house.last().wire.closed);
    EXPECT_TRUE(client.wire.finished || client.wire.aborted);
    house.hang_up();
    house.run();
    house.advance(3s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.upstreams.size(), 0u) << "its connection serves nobody else";
  }
}

TEST(Kick, EndsPlainTcpByItsAddress) {
  config::Settings settings = settings_for({"tcp://10.0.0.1:7000"});
  settings.routes.clear();
  settings.listeners[0].backend = "app";
  settings.listeners[0].idle_timeout = 60s;
  SimHouse house(std::move(settings));
  house.polls = false;
  Client& client = house.connect("192.0.2.7");
  Client& other = house.connect("192.0.3.7");
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.kick(kAnn), 0u) << "it has no identity";
  const policy::Revocation block = revocation(Kind::ip, "192.0.2.0/24");
  EXPECT_EQ(house.kick(block), 1u);
  house.run();
  EXPECT_TRUE(client.wire.closed);
  EXPECT_FALSE(other.wire.closed);
  EXPECT_EQ(house.server(0).active.load(), 1u);
  EXPECT_EQ(house.worker_tally().revoked[static_cast<std::size_t>(Kind::ip)].get(), 1u);

  ASSERT_TRUE(house.revocations().add(block));
  Client& again = house.connect("192.0.2.9");
  house.run();
  EXPECT_TRUE(again.wire.closed);
  EXPECT_EQ(house.dials(), 2u);
}

// ---- new ones --------------------------------------------------------------------------------------------------------------

TEST(Revoked, IdentitiesAreRefusedUntilTheirTime) {
  SimHouse house(with_tokens());
  ASSERT_TRUE(house.revocations().add(kAnn));
  Client& ann = house.open(upgrade_request("/ws", bearer()));
  EXPECT_EQ(ann.peer.status(), 403);
  EXPECT_NE(ann.peer.body.find("revoked"), std::string::npos);
  EXPECT_EQ(house.dials(), 0u);
  EXPECT_EQ(house.open(upgrade_request("/ws", bearer(R"(,"sub":"bob")"))).peer.status(), 101);
  EXPECT_EQ(house.worker_tally().rejects[static_cast<std::size_t>(Errc::revoked)].get(), 1u);
  house.advance(10min);
  EXPECT_EQ(house.open(upgrade_request("/ws", bearer())).peer.status(), 101);
}

TEST(Revoked, ANewLoginIsGoodWhenTold) {
  SimHouse house(with_tokens());
  policy::Revocation what = kAnn;
  what.allow_newer = true;
  ASSERT_TRUE(house.revocations().add(what));
  house.advance(5s);
  EXPECT_EQ(house.open(upgrade_request("/ws", bearer())).peer.status(), 403);
  EXPECT_EQ(house.open(upgrade_request("/ws", bearer(R"(,"sub":"ann")", kStart + 2))).peer.status(), 101);
}

TEST(Revoked, AddressesAreRefusedWithoutAnyAuth) {
  SimHouse house;
  ASSERT_TRUE(house.revocations().add(revocation(Kind::ip, "192.0.2.7")));
  EXPECT_EQ(house.open().peer.status(), 403);
  Client& other = house.connect("192.0.2.8");
  other.wire.send(upgrade_request());
  house.run();
  EXPECT_EQ(other.peer.status(), 101);
  EXPECT_EQ(house.dials(), 1u);
}

TEST(Revoked, ABrowserIsToldByItsCode) {
  config::Settings settings = with_tokens();
  rules_of(settings).reject_with_close = true;
  SimHouse house(std::move(settings));
  ASSERT_TRUE(house.revocations().add(kAnn));
  Client& client = house.open(upgrade_request("/ws", bearer()));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(client.peer.close_frame()->payload, close_payload(4403, "revoked"));
}

TEST(Revoked, APlainRequestIsJudgedEachTime) {
  SimHouse house(with_tokens(settings_for({"http://10.0.0.1:9000"})));
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house.connect();
  client.peer.raw_only = true;
  const std::string request = "GET /x HTTP/1.1\r\nHost: gw.test\r\n" + bearer() + "\r\n";
  client.wire.send(request);
  house.run();
  house.last().wire.send("HTTP/1.1 204 No Content\r\n\r\n");
  house.run();
  EXPECT_TRUE(client.wire.take().empty()) << "the peer has read it";
  ASSERT_TRUE(house.revocations().add(kAnn));
  EXPECT_EQ(house.kick(kAnn), 0u) << "between two requests it is nobody's";
  client.peer.raw.clear();
  client.wire.send(request);
  house.run();
  EXPECT_TRUE(client.peer.raw.starts_with("HTTP/1.1 403 ")) << client.peer.raw;
}

}  // namespace
}  // namespace sluice::test
