// Tokens: what goes up of them (nothing), expiry, early acceptance, subprotocols.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Kind = policy::Carrier::Kind;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

config::Settings with_tokens() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{Kind::header, "Authorization"},
               {Kind::cookie, "session"},
               {Kind::query, "access_token"},
               {Kind::subprotocol, "bearer"}};
  auth.forward = {{"sub", "X-User-Id"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  return settings;
}

// Seconds from the fake clock's start to expiry.
std::string token(std::int64_t lives, const std::string& claims = R"(,"sub":"ann")") {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 "{\"exp\":" + std::to_string(now + lives) + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

TEST(Identity, LetsNoCarrierThroughAndForwardsTheClaim) {
  const std::string secret = token(600);
  const std::vector<std::pair<std::string, std::string>> carriers = {
      {"/ws", "Authorization: Bearer " + secret + "\r\n"},
      // A cookie counts only beside an Origin: only a browser sends it unasked.
      {"/ws", "Origin: http://gw.test\r\nCookie: a=b; session=" + secret + "; c=d\r\n"},
      {"/ws?x=1&access_token=" + secret + "&y=2", ""},
      {"/ws", "Sec-WebSocket-Protocol: chat, bearer, " + secret + "\r\n"},
  };
  for (const auto& [target, fields] : carriers) {
    SCOPED_TRACE(fields);
    SimHouse house(with_tokens());
    Client& client = house.open(upgrade_request(target, "X-User-Id: root\r\nx_user_id: root\r\n" + fields));
    ASSERT_EQ(client.peer.status(), 101);
    const std::string& head = house.last().peer.head;
    EXPECT_EQ(head.find(secret), std::string::npos);
    EXPECT_EQ(head.find("root"), std::string::npos);
    EXPECT_EQ(field_of(head, "X-User-Id"), "ann");
    EXPECT_EQ(client.wire.out.find(secret), std::string::npos);
    EXPECT_EQ(head.find("bearer"), std::string::npos);
  }
}

TEST(Identity, KeepsWhatStandsBesideTheCarrier) {
  const std::string secret = token(600);
  SimHouse house(with_tokens());
  house.open(upgrade_request("/ws?x=1&access_token=" + secret + "&y=2", "Cookie: a=b; c=d\r\n"));
  EXPECT_TRUE(house.last().peer.head.starts_with("GET /ws?x=1&y=2 HTTP/1.1\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "a=b; c=d");

  house.open(upgrade_request("/ws", "Origin: http://gw.test\r\nCookie: a=b; session=" + secret + "; c=d\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "a=b; c=d");

  house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: chat, bearer, " + secret + "\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Protocol"), "chat");
}

TEST(Identity, AnswersTheMarkerWhenNothingElseWasOffered) {
  const std::string secret = token(600);
  SimHouse house(with_tokens());
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: bearer, " + secret + "\r\n"));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "bearer");
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Protocol"), "");
}

TEST(Identity, TakesKubernetesFormOutOfTheOffer) {
  const std::string secret = token(600);
  const std::string name = std::string(policy::kKubernetesToken) + net::base64url(as_bytes(secret));
  config::Settings settings = with_tokens();
  settings.auths[0].from = {{Kind::kubernetes, ""}};
  SimHouse house(settings);
  house.on_dial = [](Upstream& up) { up.peer.greeting_fields = "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"; };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: " + name + ", v4.channel.k8s.io\r\n"));
  ASSERT_EQ(client.peer.status(), 101);
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "v4.channel.k8s.io");
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Protocol"), "v4.channel.k8s.io");
  EXPECT_EQ(house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: " + name + "\r\n")).peer.status(), 401);

  rules_of(settings).reject_with_close = true;
  SimHouse closing(settings);
  Client& alone = closing.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: " + name + "\r\n"));
  EXPECT_EQ(alone.peer.close_code(), 4401u);
  EXPECT_EQ(alone.wire.out.find(name), std::string::npos) << "the token is never answered";
}

TEST(Identity, RefusesBeforeAnythingGoesUp) {
  const std::vector<std::pair<std::string, int>> all = {
      {"", 401},
      {"Authorization: Bearer nonsense\r\n", 401},
      {"Authorization: Bearer " + token(-31) + "\r\n", 401},
      {"Authorization: Bearer " + token(600) + "\r\nAuthorization: Bearer " + token(600) + "\r\n", 400},
      {"Authorization: Bearer " + token(600, R"(,"sub":"a\nb")") + "\r\n", 403},
  };
  for (const auto& [fields, status] : all) {
    SCOPED_TRACE(fields);
    SimHouse house(with_tokens());
    EXPECT_EQ(house.open(upgrade_request("/ws", fields)).peer.status(), status);
    EXPECT_EQ(house.dials(), 0u);
  }
}

TEST(Identity, ClosesWhenTheTokenExpires) {
  SimHouse house(with_tokens());
  Client& client = house.open(upgrade_request("/ws", "Authorization: Bearer " + token(5) + "\r\n"));
  client.peer.answers_close = house.last().peer.answers_close = true;
  ASSERT_EQ(client.peer.status(), 101);
  house.advance(34s);  // and 30 s of leeway
  client.peer.text("still");
  house.run();
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  house.advance(1s);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
  client.wire.finish();
  house.run();
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Identity, ExpiresInTimeWhateverTheWallSays) {
  for (const Duration set : {Duration(-1h), Duration(1h)}) {
    SimHouse house(with_tokens());
    Client& client = house.open(upgrade_request("/ws", "Authorization: Bearer " + token(5) + "\r\n"));
    house.clock.set_wall(set);
    house.advance(34s);
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    house.advance(1s);
    EXPECT_EQ(client.peer.close_code(), 4401u);
  }
}

TEST(Identity, KeepsTheConnectionWhenToldTo) {
  config::Settings settings = with_tokens();
  settings.auths[0].close_on_expiry = false;
  rules_of(settings).ping_interval = {};
  SimHouse house(settings);
  Client& client = house.open(upgrade_request("/ws", "Authorization: Bearer " + token(5) + "\r\n"));
  house.advance(100s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(Identity, AcceptsOnlyToCloseWhenTheRouteSaysSo) {
  config::Settings settings = with_tokens();
  rules_of(settings).reject_with_close = true;
  SimHouse house(settings);
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: chat, other\r\n"));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "chat");
  ASSERT_EQ(client.peer.frames.size(), 1u);
  EXPECT_EQ(client.peer.frames[0].payload, close_payload(4401, "no_token"));
  EXPECT_EQ(house.dials(), 0u);
  EXPECT_TRUE(client.wire.finished);
  house.advance(1s);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Identity, AnswersNeverTheTokenWhenItAcceptsToClose) {
  config::Settings settings = with_tokens();
  rules_of(settings).reject_with_close = true;
  for (const std::string& offer : {std::string("bearer, badtoken"), std::string("chat, bearer, badtoken")}) {
    SimHouse house(settings);
    Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: " + offer + "\r\n"));
    EXPECT_EQ(client.peer.status(), 101);
    EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), offer.starts_with("chat") ? "chat" : "bearer");
    EXPECT_EQ(client.wire.out.find("badtoken"), std::string::npos);
    EXPECT_EQ(client.peer.close_code(), 4401u);
  }
}

TEST(Identity, ClosesWith4429WhenARateRefuses) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).reject_with_close = true;
  add_limit(settings, policy::LimitSettings::Unit::handshakes, policy::LimitSettings::Key::ip, 1);
  SimHouse house(settings);
  house.open();
  Client& second = house.open();
  EXPECT_EQ(second.peer.status(), 101);
  EXPECT_EQ(second.peer.close_code(), 4429u);
}

TEST(Identity, RefusesABrokenHandshakeByStatusEvenSo) {
  config::Settings settings = with_tokens();
  rules_of(settings).reject_with_close = true;
  SimHouse house(settings);
  EXPECT_EQ(house.open("GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n").peer.status(), 426);
  house.on_dial = [](Upstream& up) { up.script = SimHouse::Script::refuse; };
  EXPECT_EQ(house.open(upgrade_request("/ws", "Authorization: Bearer " + token(60) + "\r\n")).peer.status(), 503);
}

TEST(Subprotocols, AreFilteredByTheRoute) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).subprotocols = {"chat.v2", "chat.v1"};
  SimHouse house(settings);
  house.on_dial = [](Upstream& up) { up.peer.greeting_fields = "Sec-WebSocket-Protocol: chat.v1\r\n"; };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: evil, chat.v1, chat.v2\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Protocol"), "chat.v1, chat.v2");
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "chat.v1");

  EXPECT_EQ(house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: evil\r\n")).peer.status(), 400);

  house.on_dial = nullptr;
  Client& none = house.open();
  EXPECT_EQ(none.peer.status(), 101);
  EXPECT_EQ(field_of(none.peer.head, "Sec-WebSocket-Protocol"), "");
}

TEST(Subprotocols, OfWhichTheUpstreamChoosesNoneAreAnsweredByNone) {
  SimHouse house;
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: a, b\r\n"));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "");
}

TEST(Identity, ATokenMayExpireWhileItsClientWaitsForAServer) {
  config::Settings settings = with_tokens();
  settings.auths[0].jwt.leeway_seconds = 0;
  settings.backends[0].pending = {10, 60s};
  SimHouse house(std::move(settings));
  house.server(0).set_healthy(false);
  Client& client = house.open(upgrade_request("/ws", "Authorization: Bearer " + token(5) + "\r\n"));
  house.advance(4s);
  EXPECT_TRUE(client.peer.head.empty());
  house.advance(2s);
  EXPECT_EQ(client.peer.status(), 401);
  EXPECT_NE(client.peer.body.find("token_expired"), std::string::npos);
  EXPECT_EQ(house.runtime().snapshot->clusters()[0]->load()->line.size(), 0u);
}

}  // namespace
}  // namespace sluice::test
