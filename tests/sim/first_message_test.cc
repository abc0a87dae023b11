// Clients that say who they are in their first message: accepted before, let in afterwards.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/keys.h"
#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Kind = policy::Carrier::Kind;
using Messages = std::vector<std::string>;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

config::Settings late(config::Settings settings = settings_for({"ws://10.0.0.1:9000"})) {
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{Kind::header, "Authorization"}, {Kind::first_message, ""}};
  auth.forward = {{"sub", "X-User-Id"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  rules_of(settings).ping_interval = {};
  return settings;
}

std::string token(std::int64_t lives = 600, const std::string& claims = R"(,"sub":"ann","jti":"t1")") {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 "{\"exp\":" + std::to_string(now + lives) + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

std::string in_object(const std::string& token) { return R"({"type":"auth","token":")" + token + "\"}"; }

class FirstMessages : public ::testing::Test {
 protected:
  void make(config::Settings settings) {
    house_ = std::make_unique<SimHouse>(std::move(settings));
    house_->on_dial = on_dial_;
  }
  Client& open(const std::string& fields = "") {
    if (!house_) make(late());
    return house_->open(upgrade_request("/ws", fields));
  }
  std::uint64_t refused(Errc code) { return house_->worker_tally().rejects[static_cast<std::size_t>(code)].get(); }
  void expect_clean() {
    house_->hang_up();
    house_->run();
    house_->advance(15s);
    EXPECT_EQ(house_->alive(), 0u);
    EXPECT_EQ(house_->admitted(), 0u);
    EXPECT_EQ(house_->pool().lent(), 0u);
    EXPECT_EQ(house_->server(0).active.load(), 0u);
    EXPECT_EQ(house_->worker_tally().handshaking.get(), 0);
  }

  std::unique_ptr<SimHouse> house_;
  std::function<void(Upstream&)> on_dial_;
};

TEST_F(FirstMessages, LetTheClientInAndGoNowhere) {
  for (const bool object : {false, true}) {
    house_.reset();
    Client& client = open("X-User-Id: root\r\n");
    ASSERT_EQ(client.peer.status(), 101);
    EXPECT_EQ(house_->dials(), 0u) << "no server hears of it before";
    const std::string secret = token();
    client.peer.text(object ? in_object(secret) : secret);
    client.peer.text("hello");
    house_->run();
    ASSERT_EQ(house_->dials(), 1u);
    EXPECT_EQ(house_->last().peer.messages(), Messages{"hello"});
    EXPECT_EQ(field_of(house_->last().peer.head, "X-User-Id"), "ann");
    EXPECT_EQ(house_->last().peer.raw.find(secret), std::string::npos);
    house_->last().peer.text("welcome");
    house_->run();
    EXPECT_EQ(client.peer.messages(), Messages{"welcome"});
    EXPECT_EQ(house_->worker_tally().handshaking.get(), 0);
    expect_clean();
  }
}

TEST_F(FirstMessages, AreNotWaitedForWhereTheRequestBringsTheCredential) {
  Client& client = open("Authorization: Bearer " + token() + "\r\n");
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(house_->dials(), 1u);
  Client& wrong = open("Authorization: Bearer nonsense\r\n");
  EXPECT_EQ(wrong.peer.status(), 401) << "and a bad one there is not made good here";
  expect_clean();
}

TEST_F(FirstMessages, MayBeCutAnywhere) {
  const std::string octets = frame_octets(0x01, in_object(token()).substr(0, 30), true) + frame_octets(0x89, "p", true) +
                             frame_octets(0x80, in_object(token()).substr(30), true) + frame_octets(0x81, "behind", true);
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    house_.reset();
    Client& client = open();
    client.wire.send(octets.substr(0, cut));
    house_->run();
    client.wire.send(octets.substr(cut));
    house_->run();
    ASSERT_EQ(house_->dials(), 1u) << cut;
    ASSERT_EQ(house_->last().peer.messages(), Messages{"behind"}) << cut;
    ASSERT_EQ(client.peer.count(10), 1u) << cut;
    ASSERT_EQ(house_->last().peer.count(9), 0u) << cut;
  }
  expect_clean();
}

TEST_F(FirstMessages, MayComeWithTheRequest) {
  make(late());
  Client& client = house_->connect();
  client.wire.send(upgrade_request() + frame_octets(0x81, token(), true) + frame_octets(0x82, "data", true));
  house_->run();
  EXPECT_EQ(client.peer.status(), 101);
  ASSERT_EQ(house_->dials(), 1u);
  EXPECT_EQ(house_->last().peer.messages(), Messages{"data"});
  expect_clean();
}

TEST_F(FirstMessages, ThatAreNoCredentialEndIt) {
  const std::vector<std::tuple<std::uint8_t, std::string, std::uint16_t, Errc>> all = {
      {0x81, "nonsense", 4401, Errc::bad_token},
      {0x81, token(-31), 4401, Errc::token_expired},
      {0x81, "", 4401, Errc::bad_first_message},
      {0x81, R"({"type":"other","token":"x"})", 4401, Errc::bad_first_message},
      {0x82, token(), 4401, Errc::bad_first_message},
      {0x81, std::string(8 * 1024 + 1, 'a'), 1009, Errc::too_big},
      {0x81, "\xff\xff", 1007, Errc::ws_utf8},
      {0xC1, token(), 1002, Errc::ws_rsv},
      {0x80, token(), 1002, Errc::ws_frag},
      {0x81, token(600, R"(,"sub":"a\nb")"), 4403, Errc::bad_claim},
  };
  for (const auto& [first, payload, code, errc] : all) {
    SCOPED_TRACE(row(errc).name);
    house_.reset();
    Client& client = open();
    client.peer.send(first, payload);
    client.peer.text("behind");
    house_->run();
    EXPECT_EQ(client.peer.close_code(), code);
    EXPECT_EQ(client.peer.close_frame()->reason(), row(errc).name);
    EXPECT_EQ(refused(errc), 1u);
    EXPECT_EQ(house_->dials(), 0u);
    expect_clean();
  }
}

TEST_F(FirstMessages, AreWaitedForUntilTheDeadline) {
  Client& client = open();
  client.peer.ping("still there");
  client.wire.send(frame_octets(0x81, token(), true).substr(0, 40));
  house_->advance(4900ms);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  house_->advance(100ms);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  EXPECT_EQ(client.peer.close_frame()->reason(), "first_message_timeout");
  EXPECT_EQ(refused(Errc::first_message_timeout), 1u);
  client.wire.send(frame_octets(0x81, token(), true).substr(40));
  house_->run();
  EXPECT_EQ(house_->dials(), 0u);
  expect_clean();
}

TEST_F(FirstMessages, MayComeInThePassOfTheDeadline) {
  Client& client = open();
  house_->only_clock(5s);
  client.peer.text(token());
  house_->run();
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  EXPECT_EQ(house_->dials(), 1u);
  expect_clean();
}

TEST_F(FirstMessages, ThatNeverComeBecauseTheClientLeaves) {
  for (const int how : {0, 1, 2}) {
    house_.reset();
    Client& client = open();
    if (how == 0) client.wire.finish();
    if (how == 1) client.wire.reset();
    if (how == 2) client.peer.close(4005, "changed my mind");
    house_->run();
    EXPECT_EQ(refused(Errc::client_lost), 1u);
    if (how == 2) EXPECT_EQ(client.peer.close_code(), 4005u);
    EXPECT_EQ(house_->dials(), 0u);
    expect_clean();
  }
}

TEST_F(FirstMessages, AreNotWaitedForInADrain) {
  Client& client = open();
  house_->drain_all();
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 1001u);
  EXPECT_EQ(refused(Errc::draining), 1u);
  expect_clean();
}

TEST_F(FirstMessages, OfWhoIsRevokedEndIt) {
  policy::Revocation what;
  what.id = "r1";
  what.kind = policy::Revocation::Kind::sub;
  what.value = "ann";
  what.made = FakeClock().wall();
  what.expires = what.made + 10min;
  Client& client = open();
  EXPECT_EQ(house_->kick(what), 0u) << "nobody knows yet who it is";
  house_->revocations().add(what);
  client.peer.text(token());
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 4403u);
  EXPECT_EQ(house_->dials(), 0u);

  Client& other = open();
  what.kind = policy::Revocation::Kind::ip;
  what.value = "192.0.2.7";
  EXPECT_EQ(house_->kick(what), 1u);
  house_->run();
  EXPECT_EQ(other.peer.close_code(), 4403u);
  expect_clean();
}

TEST_F(FirstMessages, PingsAreAnsweredMeanwhileAndNotWithoutEnd) {
  Client& client = open();
  client.peer.ping("one");
  house_->run();
  EXPECT_EQ(client.peer.count(10), 1u);
  for (int i = 0; i < 50; ++i) client.peer.ping("more");
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 1008u);
  EXPECT_EQ(refused(Errc::flood_ctl), 1u);
  expect_clean();
}

TEST_F(FirstMessages, TheSubprotocolIsChosenBefore) {
  config::Settings settings = late();
  rules_of(settings).subprotocols = {"chat", "other"};
  on_dial_ = [](Upstream& up) { up.peer.greeting_fields = "Sec-WebSocket-Protocol: chat\r\n"; };
  make(settings);
  Client& client = open("Sec-WebSocket-Protocol: unknown, chat, other\r\nSec-WebSocket-Extensions: permessage-deflate\r\n");
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Extensions"), "");
  client.peer.text(token());
  client.peer.text("hello");
  house_->run();
  EXPECT_EQ(field_of(house_->last().peer.head, "Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(field_of(house_->last().peer.head, "Sec-WebSocket-Extensions"), "");
  EXPECT_EQ(house_->last().peer.messages(), Messages{"hello"});
  EXPECT_EQ(open("Sec-WebSocket-Protocol: unknown\r\n").peer.status(), 400);
  expect_clean();
}

TEST_F(FirstMessages, AnUpstreamThatAnswersAnotherSubprotocolEndsIt) {
  Client& client = open("Sec-WebSocket-Protocol: chat\r\n");
  client.peer.text(token());
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 1011u);
  EXPECT_EQ(refused(Errc::be_bad_101), 1u);
  expect_clean();
}

TEST_F(FirstMessages, AnUpstreamThatRefusesOrIsNotThereEndsIt) {
  for (const bool refuses : {true, false}) {
    house_.reset();
    on_dial_ = [refuses](Upstream& up) {
      if (refuses) {
        up.peer.greeting = WsPeer::Greeting::none;
        up.peer.raw_only = true;
      } else {
        up.script = SimHouse::Script::refuse;
      }
    };
    Client& client = open();
    client.peer.text(token());
    house_->run();
    if (refuses) {
      house_->last().wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      house_->run();
    }
    EXPECT_EQ(client.peer.close_code(), refuses ? 1011u : 1013u);
    EXPECT_EQ(client.peer.body, "");
    expect_clean();
  }
}

TEST_F(FirstMessages, WhatComesBehindWaitsForTheUpstream) {
  on_dial_ = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = open();
  client.peer.text(token());
  for (int i = 0; i < 100; ++i) client.peer.binary(std::string(10'000, static_cast<char>('a' + i % 26)));
  house_->run();
  ASSERT_EQ(house_->dials(), 1u);
  Upstream& up = house_->last();
  up.wire.send(WsPeer::switching(up.peer.head));
  house_->run();
  const Messages got = up.peer.messages();
  ASSERT_EQ(got.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], std::string(10'000, static_cast<char>('a' + i % 26)));
  expect_clean();
}

TEST_F(FirstMessages, ServeSpreadMessagesToo) {
  make(late(spread(2)));
  Client& client = open();
  client.peer.text(in_object(token()));
  for (int i = 0; i < 6; ++i) client.peer.text("m" + std::to_string(i));
  house_->run();
  EXPECT_EQ(house_->dials(), 2u);
  EXPECT_EQ(all_messages(*house_), 6u);
  house_->hang_up();
  house_->advance(5s);
  EXPECT_EQ(house_->alive(), 0u);
}

TEST_F(FirstMessages, ServeTcpServersToo) {
  on_dial_ = [](Upstream& up) { up.peer.raw_only = true; };
  make(late(settings_for({"tcp://10.0.0.2:7000"})));
  Client& client = open("Sec-WebSocket-Protocol: binary\r\n");
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "binary");
  client.peer.text(token());
  client.peer.binary("octets");
  house_->run();
  EXPECT_EQ(house_->last().peer.raw, "octets");
  expect_clean();
}

TEST_F(FirstMessages, AreNothingForAPlainRequest) {
  make(late(settings_for({"http://10.0.0.1:9000"})));
  Client& client = house_->connect();
  client.peer.raw_only = true;
  client.wire.send("GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  house_->run();
  EXPECT_TRUE(client.wire.out.starts_with("HTTP/1.1 401 ")) << client.wire.out;
  expect_clean();
}

TEST_F(FirstMessages, AClientThatTakesNothingIsNotAnsweredWithoutEnd) {
  make(late());
  Client& client = house_->connect();
  client.wire.open_window(10);
  client.wire.send(upgrade_request() + frame_octets(0x89, "a", true) + frame_octets(0x89, "b", true));
  house_->run();
  client.wire.open_window(1'000'000);
  house_->run();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(client.peer.count(10), 1u) << "the newest";
  client.peer.text(token());
  house_->run();
  EXPECT_EQ(house_->dials(), 1u);
  expect_clean();
}

// ---- keys that have to be waited for ---------------------------------------------------------------------------------------

TEST_F(FirstMessages, WaitForKeysAsOthersDo) {
  config::Settings settings = late();
  settings.auths[0].jwt = {};
  settings.auths[0].jwt.algorithms = {net::JwsAlgorithm::es256};
  settings.auths[0].jwt.source.url = "https://id.example.com/keys";
  for (const int how : {0, 1, 2}) {
    make(settings);
    policy::KeySource& source = *house_->runtime().snapshot->key_source("users");
    source.on_asked([] {});
    Client& client = open();
    net::CryptoContext crypto;
    std::string why;
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
    client.peer.text(*policy::mint(crypto, net::JwsAlgorithm::es256, p256_key().private_pem(), "k",
                                   "{\"exp\":" + std::to_string(now + 600) + R"(,"sub":"ann"})", why));
    client.peer.text("behind");
    house_->run();
    EXPECT_EQ(source.waiting(), 1u);
    EXPECT_EQ(house_->dials(), 0u);
    if (how == 0) {
      source.publish(R"({"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":")" + net::base64url(p256_key().x(32)) + R"(","y":")" +
                     net::base64url(p256_key().y(32)) + "\"}]}");
      source.answered();
      house_->run();
      ASSERT_EQ(house_->dials(), 1u);
      EXPECT_EQ(house_->last().peer.messages(), Messages{"behind"});
    } else if (how == 1) {
      source.answered();
      house_->run();
      EXPECT_EQ(client.peer.close_code(), 1013u);
    } else {
      client.wire.finish();
      house_->run();
      EXPECT_EQ(house_->dials(), 0u);
    }
    EXPECT_EQ(source.waiting(), 0u);
    expect_clean();
  }
}

}  // namespace
}  // namespace sluice::test
