// Fresh tokens in the client's own messages: what is taken out, what passes, and what the client is told; and the warning before the
// end.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/keys.h"
#include "support/spread.h"
#include "support/survivor.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Messages = std::vector<std::string>;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

config::Settings refreshing(config::Settings settings = settings_for({"ws://10.0.0.1:9000"})) {
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  auth.refresh.in_band = true;
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  rules_of(settings).ping_interval = {};
  return settings;
}

const std::int64_t kStart =
    std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();

std::string token(std::int64_t lives, const std::string& claims = R"(,"sub":"ann","jti":"t1")") {
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 "{\"exp\":" + std::to_string(kStart + lives) + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

std::string message(const std::string& token) { return R"({"type":"auth","token":")" + token + "\"}"; }
std::string good(std::int64_t lives) { return R"({"type":"auth","ok":true,"expires":)" + std::to_string(kStart + lives) + "}"; }
std::string bad(std::string_view reason) { return R"({"type":"auth","ok":false,"reason":")" + std::string(reason) + "\"}"; }

const std::string kSecond = token(600, R"(,"sub":"ann","jti":"t2")");

policy::Revocation revoked(const std::string& jti) {
  policy::Revocation what;
  what.id = jti;
  what.kind = policy::Revocation::Kind::jti;
  what.value = jti;
  what.made = FakeClock().wall();
  what.expires = what.made + 10min;
  return what;
}

class Refresh : public ::testing::Test {
 protected:
  // Every client has a token for a minute, and 30 s of leeway.
  Client& open(config::Settings settings = refreshing(), const std::string& more = "") {
    house_ = std::make_unique<SimHouse>(std::move(settings));
    client_ = &house_->open(upgrade_request("/ws", "Authorization: Bearer " + token(60) + "\r\n" + more));
    if (client_->peer.status() != 101) throw std::runtime_error("not let in");
    return *client_;
  }
  Upstream& server() { return house_->upstream(0); }
  std::uint64_t counted(Errc code) { return house_->worker_tally().refreshes[static_cast<std::size_t>(code)].get(); }
  void expect_clean() {
    house_->hang_up();
    house_->run();
    house_->advance(5s);
    EXPECT_EQ(house_->alive(), 0u);
    EXPECT_EQ(house_->pool().lent(), 0u);
  }

  std::unique_ptr<SimHouse> house_;
  Client* client_ = nullptr;
};

TEST_F(Refresh, ExtendsTheConnectionAndGoesNowhere) {
  Client& client = open();
  client.peer.text("before");
  client.peer.text(message(kSecond));
  client.peer.text("after");
  house_->run();
  EXPECT_EQ(server().peer.messages(), (Messages{"before", "after"}));
  EXPECT_EQ(client.peer.messages(), Messages{good(600)});
  EXPECT_EQ(counted(Errc::none), 1u);
  house_->advance(629s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  house_->advance(2s);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  expect_clean();
}

TEST_F(Refresh, MayBeCutAnywhere) {
  const std::string text = message(kSecond);
  const std::string octets = frame_octets(0x81, "{\"a\":1}", true) + frame_octets(0x01, text.substr(0, 20), true) +
                             frame_octets(0x89, "p", true) + frame_octets(0x00, "", true) +
                             frame_octets(0x80, text.substr(20), true) + frame_octets(0x82, "behind", true);
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    Client& client = open();
    client.wire.send(octets.substr(0, cut));
    house_->run();
    client.wire.send(octets.substr(cut));
    house_->run();
    ASSERT_EQ(server().peer.messages(), (Messages{"{\"a\":1}", "behind"})) << cut;
    ASSERT_EQ(client.peer.messages(), Messages{good(600)}) << cut;
    ASSERT_EQ(client.peer.count(10) + server().peer.count(9), 1u) << cut;
  }
  expect_clean();
}

TEST_F(Refresh, OtherMessagesPassAsTheyAre) {
  const Messages others = {"", "{", "{}", "hello", R"({"type":"auth"})", R"({"type":"auth","token":""})",
                           R"({"type":"other","token":"x"})", R"({"type":"auth","token":"x","more":1})", " " + message(kSecond),
                           R"({"type":"auth","token":")" + std::string(9000, 'x') + "\"}", std::string(300'000, '{')};
  Client& client = open();
  for (const std::string& text : others) client.peer.text(text);
  client.peer.binary(message(kSecond));
  house_->run();
  Messages expected = others;
  expected.push_back(message(kSecond));
  EXPECT_EQ(server().peer.messages(), expected);
  EXPECT_EQ(client.peer.messages(), Messages{});
  expect_clean();
}

TEST_F(Refresh, AMessageThatIsNoObjectIsNotHeld) {
  Client& client = open();
  const std::string frame = frame_octets(0x81, "hello, it is a long text", true);
  client.wire.send(frame.substr(0, 10));
  house_->run();
  EXPECT_FALSE(server().peer.raw.empty()) << "its first octets are on their way";
  client.wire.send(frame.substr(10));
  house_->run();
  EXPECT_EQ(server().peer.messages(), Messages{"hello, it is a long text"});
  expect_clean();
}

TEST_F(Refresh, PingsPassAsBeforeWhereNothingIsHeld) {
  Client& client = open();
  client.peer.ping("up");
  house_->run();
  EXPECT_EQ(server().peer.count(9), 1u);
  EXPECT_EQ(client.peer.count(10), 0u);
  expect_clean();
}

TEST_F(Refresh, ACloseInsideOfAHeldMessageEndsBothSides) {
  Client& client = open();
  server().peer.answers_close = true;
  client.wire.send(frame_octets(0x01, message(kSecond).substr(0, 40), true));
  client.peer.close(4007, "enough");
  house_->run();
  EXPECT_EQ(server().peer.close_code(), 4007u);
  EXPECT_EQ(server().peer.messages(), Messages{}) << "the half of a token goes nowhere";
  EXPECT_EQ(client.peer.close_code(), 4007u);
  EXPECT_EQ(house_->alive(), 1u);
  client.wire.finish();
  house_->run();
  EXPECT_EQ(house_->alive(), 0u);
}

TEST_F(Refresh, ABadTokenChangesNothing) {
  const std::vector<std::pair<std::string, Errc>> all = {
      {"nonsense", Errc::bad_token},
      {token(-40), Errc::token_expired},
      {token(600, R"(,"sub":"bob")"), Errc::refresh_denied},
      {token(600, ""), Errc::refresh_denied},
      {token(600, R"(,"sub":"ann","iss":"https://other")"), Errc::refresh_denied},
      {token(600, R"(,"sub":"ann","jti":"gone")"), Errc::revoked},
  };
  for (const auto& [text, errc] : all) {
    Client& client = open();
    house_->revocations().add(revoked("gone"));
    client.peer.text(message(text));
    house_->run();
    EXPECT_EQ(client.peer.messages(), Messages{bad(row(errc).name)});
    EXPECT_EQ(counted(errc), 1u);
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    house_->advance(91s);
    EXPECT_EQ(client.peer.close_code(), 4401u);
    expect_clean();
  }
}

TEST_F(Refresh, ABadTokenClosesWhereThatIsWanted) {
  config::Settings settings = refreshing();
  settings.auths[0].refresh.close_on_failure = true;
  Client& client = open(settings);
  client.peer.text(message("nonsense"));
  client.peer.text("behind");
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 4401u);
  EXPECT_EQ(client.peer.close_frame()->reason(), "bad_token");
  EXPECT_EQ(client.peer.messages(), Messages{});
  expect_clean();

  Client& other = open(settings);
  other.peer.text(message(token(600, R"(,"sub":"bob")")));
  house_->run();
  EXPECT_EQ(other.peer.close_code(), 4403u);
  expect_clean();
}

TEST_F(Refresh, OneAtATimeAndOneASecond) {
  config::Settings settings = refreshing();
  settings.auths[0].refresh.close_on_failure = true;
  Client& client = open(settings);
  client.peer.text(message(kSecond));
  client.peer.text(message(token(700)));
  house_->run();
  // The answers of one pass: the newest of them.
  EXPECT_EQ(counted(Errc::none), 1u);
  EXPECT_EQ(counted(Errc::refresh_busy), 1u);
  EXPECT_EQ(client.peer.close_frame(), nullptr) << "haste is no reason to close";
  house_->advance(1s);
  client.peer.text(message(token(700)));
  house_->run();
  EXPECT_EQ(counted(Errc::none), 2u);
  EXPECT_EQ(client.peer.messages().back(), good(700));
  EXPECT_EQ(server().peer.messages(), Messages{});
  expect_clean();
}

TEST_F(Refresh, RevokingTheOldTokenDoesNotHitTheNewOne) {
  Client& client = open();
  client.peer.text(message(kSecond));
  house_->run();
  EXPECT_EQ(house_->kick(revoked("t1")), 0u);
  EXPECT_EQ(house_->kick(revoked("t2")), 1u);
  house_->run();
  EXPECT_EQ(client.peer.close_code(), 4403u);
  expect_clean();
}

TEST_F(Refresh, TheAnswerWaitsForTheEndOfTheMessageThatIsUnderWay) {
  Client& client = open();
  server().wire.send(frame_octets(0x01, "first half, ", false));
  house_->run();
  client.peer.text(message(kSecond));
  house_->run();
  EXPECT_EQ(client.peer.frames.size(), 1u);
  server().wire.send(frame_octets(0x80, "second half", false) + frame_octets(0x81, "next", false));
  house_->run();
  const Messages got = client.peer.messages();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "first half, second half");
  EXPECT_TRUE(got[1] == good(600) || got[2] == good(600));
  expect_clean();
}

TEST_F(Refresh, CountsForTheLimitsOfTheRoute) {
  config::Settings settings = refreshing();
  policy::LimitSettings limit;
  limit.name = "chat";
  limit.key = policy::LimitSettings::Key::connection;
  limit.unit = policy::LimitSettings::Unit::messages;
  limit.rate = 1;
  limit.per = 1s;
  limit.burst = 1;
  limit.on_limit = policy::LimitSettings::Action::drop;
  settings.limits.push_back(limit);
  settings.routes[0].rate_limit = {"chat"};
  Client& client = open(settings);
  client.peer.text("one");
  client.peer.text(message(kSecond));
  client.peer.text("two");
  house_->run();
  EXPECT_EQ(counted(Errc::none), 0u) << "dropped, and not forwarded either";
  for (const std::string& text : server().peer.messages()) EXPECT_EQ(text, "one");
  house_->advance(5s);
  client.peer.text(message(kSecond));
  house_->run();
  EXPECT_EQ(counted(Errc::none), 1u);
  expect_clean();
}

TEST_F(Refresh, CompressionIsNotAgreed) {
  open(refreshing(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  EXPECT_EQ(field_of(server().peer.head, "Sec-WebSocket-Extensions"), "");
  expect_clean();
}

TEST_F(Refresh, ServesSpreadMessagesToo) {
  Client& client = open(refreshing(spread(2)));
  client.peer.text("{\"n\":1}");
  client.peer.text(message(kSecond));
  client.peer.text("{\"n\":2}");
  house_->run();
  EXPECT_EQ(all_messages(*house_), 2u);
  EXPECT_EQ(client.peer.messages(), Messages{good(600)});
  house_->hang_up();
  house_->advance(5s);
  EXPECT_EQ(house_->alive(), 0u);
}

TEST_F(Refresh, ServesTcpServersToo) {
  house_ = std::make_unique<SimHouse>(refreshing(settings_for({"tcp://10.0.0.2:7000"})));
  house_->on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house_->open(upgrade_request("/ws", "Authorization: Bearer " + token(60) + "\r\n"));
  client.peer.text("{a");
  client.peer.text(message(kSecond));
  client.peer.text("b}");
  house_->run();
  EXPECT_EQ(house_->last().peer.raw, "{ab}");
  EXPECT_EQ(client.peer.messages(), Messages{good(600)});
  expect_clean();
}

TEST_F(Refresh, ServesAClientThatOutlivesItsServer) {
  Client& client = open(refreshing(surviving(config::InFlight::hold)));
  server().wire.reset();
  client.peer.text(message(kSecond));
  house_->run();
  house_->advance(2s);
  ASSERT_EQ(client.peer.messages(), Messages{good(600)});
  client.peer.text("on");
  house_->run();
  EXPECT_EQ(house_->last().peer.messages(), Messages{"on"});
  expect_clean();
}

// ---- in every order ----------------------------------------------------------------------------------------------------------

class RefreshByKeys : public Refresh {
 protected:
  static std::string signed_token(std::string_view kid, std::int64_t lives) {
    net::CryptoContext crypto;
    std::string why;
    return *policy::mint(crypto, net::JwsAlgorithm::es256, p256_key().private_pem(), kid,
                         "{\"exp\":" + std::to_string(kStart + lives) + R"(,"sub":"ann"})", why);
  }
  static std::string keys(const std::vector<std::string>& kids) {
    std::string list;
    for (const std::string& kid : kids) {
      list += list.empty() ? "" : ",";
      list += R"({"kty":"EC","crv":"P-256","kid":")" + kid + R"(","x":")" + net::base64url(p256_key().x(32)) + R"(","y":")" +
              net::base64url(p256_key().y(32)) + "\"}";
    }
    return R"({"keys":[)" + list + "]}";
  }
  void start() {
    config::Settings settings = refreshing();
    settings.auths[0].jwt = {};
    settings.auths[0].jwt.algorithms = {net::JwsAlgorithm::es256};
    settings.auths[0].jwt.source.url = "https://id.example.com/keys";
    house_ = std::make_unique<SimHouse>(std::move(settings));
    source().on_asked([] {});
    source().publish(keys({"a"}));
    source().answered();
    client_ = &house_->open(upgrade_request("/ws", "Authorization: Bearer " + signed_token("a", 60) + "\r\n"));
    client_->peer.text(message(signed_token("b", 600)));
    client_->peer.text("while it waits");
    house_->run();
    ASSERT_EQ(source().waiting(), 1u);
    ASSERT_EQ(server().peer.messages(), Messages{"while it waits"});
  }
  policy::KeySource& source() { return *house_->runtime().snapshot->key_source("users"); }
};

TEST_F(RefreshByKeys, EndsWithTheKeysTheTimeOrTheClient) {
  enum class Event { keys, none, clock, client, server, drain, kick, expiry };
  const std::vector<Event> events = {Event::keys, Event::none, Event::clock, Event::client, Event::server, Event::drain, Event::kick,
                                     Event::expiry};
  for (const Event first : events) {
    for (const Event second : events) {
      for (const bool apart : {false, true}) {
        SCOPED_TRACE(static_cast<int>(first) * 100 + static_cast<int>(second) * 10 + apart);
        start();
        for (const Event event : {first, second}) {
          switch (event) {
            case Event::keys: source().publish(keys({"a", "b"})); source().answered(); break;
            case Event::none: source().answered(); break;
            case Event::clock: house_->advance(2s); break;
            case Event::client: client_->wire.finish(); break;
            case Event::server: server().wire.reset(); break;
            case Event::drain: house_->drain_all(); break;
            case Event::kick: {
              policy::Revocation what = revoked("ann");
              what.kind = policy::Revocation::Kind::sub;
              house_->kick(what);
              break;
            }
            case Event::expiry: house_->advance(91s); break;
          }
          if (apart) house_->run();
        }
        house_->run();
        if (first == Event::keys && second == Event::keys) {
          EXPECT_EQ(client_->peer.messages(), Messages{good(600)});
        }
        if (first == Event::none && second == Event::none) {
          EXPECT_EQ(client_->peer.messages(), Messages{bad("unknown_key")});
        }
        house_->hang_up();
        house_->run();
        house_->advance(10s);
        EXPECT_EQ(source().waiting(), 0u);
        EXPECT_EQ(house_->alive(), 0u);
        EXPECT_EQ(house_->admitted(), 0u);
        EXPECT_EQ(house_->pool().lent(), 0u);
      }
    }
  }
}

// ---- before the end ------------------------------------------------------------------------------------------------------------

class Warning : public Refresh {
 protected:
  static config::Settings warning() {
    config::Settings settings = refreshing();
    settings.auths[0].warn_before = 20s;
    settings.auths[0].warn_message = R"({"type":"expiring"})";
    settings.auths[0].expiry_close_reason = "sign in again";
    return settings;
  }
};

TEST_F(Warning, ComesOnceAndInTime) {
  Client& client = open(warning());
  house_->advance(69s);
  EXPECT_EQ(client.peer.messages(), Messages{});
  house_->advance(1s);
  EXPECT_EQ(client.peer.messages(), Messages{R"({"type":"expiring"})"});
  house_->advance(19s);
  EXPECT_EQ(client.peer.messages().size(), 1u);
  house_->advance(1s);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  EXPECT_EQ(client.peer.close_frame()->reason(), "sign in again");
  expect_clean();
}

TEST_F(Warning, ComesAgainBeforeTheNextEnd) {
  Client& client = open(warning());
  house_->advance(70s);
  ASSERT_EQ(client.peer.messages().size(), 1u);
  client.peer.text(message(token(200)));
  house_->run();
  house_->advance(139s);
  EXPECT_EQ(client.peer.messages().size(), 2u) << "the answer";
  house_->advance(1s);
  EXPECT_EQ(client.peer.messages().back(), R"({"type":"expiring"})");
  house_->advance(20s);
  EXPECT_EQ(client.peer.close_code(), 4401u);
  expect_clean();
}

TEST_F(Warning, WaitsForTheEndOfTheMessageThatIsUnderWay) {
  Client& client = open(warning());
  server().wire.send(frame_octets(0x02, "half", false));
  house_->advance(75s);
  EXPECT_EQ(client.peer.frames.size(), 1u);
  server().wire.send(frame_octets(0x80, "", false));
  house_->run();
  EXPECT_EQ(client.peer.messages(), (Messages{"half", R"({"type":"expiring"})"}));
  expect_clean();
}

TEST_F(Warning, NeedsNoRefreshInBand) {
  config::Settings settings = warning();
  settings.auths[0].refresh.in_band = false;
  Client& client = open(settings);
  client.peer.text(message(kSecond));
  house_->run();
  EXPECT_EQ(server().peer.messages(), Messages{message(kSecond)});
  house_->advance(71s);
  EXPECT_EQ(client.peer.messages(), Messages{R"({"type":"expiring"})"});
  expect_clean();
}

}  // namespace
}  // namespace sluice::test
