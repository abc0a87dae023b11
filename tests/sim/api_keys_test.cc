// API keys: who is let in by one, what goes up of it, its expiry, and addresses that fail too often.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

const std::string kText = "sk_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const std::string kWrong = "sk_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9";

policy::ApiKey key() {
  policy::ApiKey made;
  made.name = "billing";
  made.digest = net::sha256(as_bytes(kText));
  made.prefix = *policy::ApiKeys::prefix_of(kText);
  made.claims = *Json::parse(R"({"sub":"billing","team":"blue"})");
  return made;
}

config::Settings with_keys(policy::ApiKey one = key()) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.type = policy::AuthSettings::Type::api_key;
  auth.name = "machines";
  auth.keys = std::make_shared<const policy::ApiKeys>(std::vector<policy::ApiKey>{std::move(one)});
  auth.from = {{policy::Carrier::Kind::header, "X-API-Key"}};
  auth.forward = {{"sub", "X-Client"}, {"team", "X-Team"}};
  auth.failures = {10, 1min};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"machines"};
  return settings;
}

Client& open(SimHouse& house, const std::string& key, const std::string& ip = "192.0.2.7") {
  Client& client = house.connect(ip);
  client.wire.send(upgrade_request("/ws", key.empty() ? "" : "X-API-Key: " + key + "\r\n"));
  house.run();
  return client;
}

TEST(ApiKeys, LetTheirHolderInAndStayHere) {
  SimHouse house(with_keys());
  Client& client = open(house, kText);
  ASSERT_EQ(client.peer.status(), 101);
  const std::string& head = house.last().peer.head;
  EXPECT_EQ(head.find("sk_"), std::string::npos) << head;
  EXPECT_EQ(field_of(head, "X-API-Key"), "");
  EXPECT_EQ(field_of(head, "X-Client"), "billing");
  EXPECT_EQ(field_of(head, "X-Team"), "blue");
}

TEST(ApiKeys, AnswerUnknownAndWrongOnesAlike) {
  SimHouse house(with_keys());
  const auto answer = [&](const std::string& text) {
    std::string out = open(house, text).wire.out;
    const std::size_t at = out.find("X-Request-Id: ");
    return out.erase(at, out.find('\n', at) - at);
  };
  const std::string wrong = answer(kWrong);
  EXPECT_TRUE(wrong.starts_with("HTTP/1.1 401 ")) << wrong;
  EXPECT_EQ(answer("sk_ffffffffffffffff" + kWrong.substr(19)), wrong);
  EXPECT_EQ(answer("nothing of the kind"), wrong);
  policy::ApiKey off = key();
  off.disabled = true;
  SimHouse other(with_keys(off));
  std::string disabled = open(other, kText).wire.out;
  const std::size_t at = disabled.find("X-Request-Id: ");
  EXPECT_EQ(disabled.erase(at, disabled.find('\n', at) - at), wrong);
  EXPECT_EQ(house.dials() + other.dials(), 0u);
}

TEST(ApiKeys, EndTheirConnectionsWhenTheyExpire) {
  policy::ApiKey expiring = key();
  expiring.expires = FakeClock().wall() + 5s;
  SimHouse house(with_keys(expiring));
  Client& client = open(house, kText);
  ASSERT_EQ(client.peer.status(), 101);
  house.advance(4s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  house.advance(1s);
  EXPECT_EQ(client.peer.close_code(), 4401u) << "there is no leeway";
  EXPECT_EQ(open(house, kText).peer.status(), 401);
}

TEST(ApiKeys, AreNotCheckedForAWhileAfterTenWrongOnes) {
  SimHouse house(with_keys());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(open(house, kWrong).peer.status(), 401) << i;
    house.only_clock(1s);
  }
  Client& eleventh = open(house, kWrong);
  EXPECT_EQ(eleventh.peer.status(), 429);
  EXPECT_EQ(field_of(eleventh.peer.head, "Retry-After"), "50");
  EXPECT_EQ(open(house, kText).peer.status(), 429) << "a right one is not told from a wrong one";
  EXPECT_EQ(open(house, kText, "192.0.2.8").peer.status(), 101) << "others are let in";
  house.only_clock(50s);
  EXPECT_EQ(open(house, kText).peer.status(), 101);
}

TEST(ApiKeys, CountNeitherGoodOnesNorNone) {
  SimHouse house(with_keys());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(open(house, "").peer.status(), 401);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(open(house, kText).peer.status(), 101);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(open(house, kWrong).peer.status(), 401);
  EXPECT_EQ(open(house, kText).peer.status(), 101);
}

TEST(ApiKeys, AreRefusedByCloseWhereTheRouteSaysSo) {
  config::Settings settings = with_keys();
  rules_of(settings).reject_with_close = true;
  settings.auths[0].failures.count = 1;
  SimHouse house(settings);
  EXPECT_EQ(open(house, kWrong).peer.close_code(), 4401u);
  EXPECT_EQ(open(house, kText).peer.close_code(), 4429u);
}

TEST(ApiKeys, MayFailAsOftenAsOneLikesWithoutALimit) {
  config::Settings settings = with_keys();
  settings.auths[0].failures = {};
  SimHouse house(settings);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(open(house, kWrong).peer.status(), 401);
  EXPECT_EQ(open(house, kText).peer.status(), 101);
}

TEST(ApiKeys, CountTheFailuresOfTokensTooWhenTold) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = "0123456789abcdef0123456789abcdef";
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  auth.failures = {2, 1min};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  SimHouse house(settings);
  const std::string request = upgrade_request("/ws", "Authorization: Bearer a.b.c\r\n");
  EXPECT_EQ(house.open(request).peer.status(), 401);
  EXPECT_EQ(house.open(request).peer.status(), 401);
  EXPECT_EQ(house.open(request).peer.status(), 429);
}

// As far away as a certificate's "no end" (RFC 5280 §4.1.2.5), which no clock of nanoseconds reaches.
TEST(ApiKeys, MayExpireAtTheEndOfAllDates) {
  policy::ApiKey lasting = key();
  lasting.expires = WallTime(std::chrono::sys_days(std::chrono::December / 31 / 9999));
  SimHouse house(with_keys(lasting));
  Client& client = open(house, kText);
  ASSERT_EQ(client.peer.status(), 101);
  house.advance(1s);
  client.peer.text("still here");
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{"still here"});
}

// ---- limits of one key

policy::LimitSettings limit(const char* name, policy::LimitSettings::Unit unit, std::uint64_t number) {
  policy::LimitSettings made;
  made.name = name;
  made.key = policy::LimitSettings::Key::claim;
  made.claim = "sub";
  made.unit = unit;
  made.rate = made.burst = made.limit = number;
  made.on_limit = unit == policy::LimitSettings::Unit::messages ? policy::LimitSettings::Action::drop
                                                                : policy::LimitSettings::Action::reject;
  return made;
}

using Unit = policy::LimitSettings::Unit;

TEST(ApiKeys, HaveLimitsOfTheirOwnInPlaceOfTheRoutes) {
  policy::ApiKey favoured = key();
  favoured.rate_limit = {"gold"};
  for (const bool gold : {false, true}) {
    config::Settings settings = with_keys(gold ? favoured : key());
    settings.limits = {limit("each", Unit::connections, 1), limit("gold", Unit::connections, 3)};
    settings.routes[0].rate_limit = {"each"};
    SimHouse house(settings);
    std::vector<int> answers;
    for (int i = 0; i < 4; ++i) answers.push_back(open(house, kText).peer.status());
    EXPECT_EQ(answers, (gold ? std::vector{101, 101, 101, 429} : std::vector{101, 429, 429, 429}));
  }
}

TEST(ApiKeys, KeepTheRoutesLimitsOfOtherUnits) {
  policy::ApiKey favoured = key();
  favoured.rate_limit = {"gold"};
  config::Settings settings = with_keys(favoured);
  settings.limits = {limit("each", Unit::handshakes, 2), limit("gold", Unit::connections, 3)};
  settings.routes[0].rate_limit = {"each"};
  SimHouse house(settings);
  EXPECT_EQ(open(house, kText).peer.status(), 101);
  EXPECT_EQ(open(house, kText).peer.status(), 101);
  EXPECT_EQ(open(house, kText).peer.status(), 429);
}

TEST(ApiKeys, MeterMessagesOfTheirHolderOnly) {
  policy::ApiKey slow = key();
  slow.rate_limit = {"slow"};
  policy::ApiKey other = key();
  other.name = "other";
  const std::string text = "sk_fedcba9876543210" + kText.substr(19);
  other.digest = net::sha256(as_bytes(text));
  other.prefix = *policy::ApiKeys::prefix_of(text);
  config::Settings settings = with_keys(slow);
  settings.auths[0].keys = std::make_shared<const policy::ApiKeys>(std::vector<policy::ApiKey>{slow, other});
  settings.limits = {limit("slow", Unit::messages, 2)};
  SimHouse house(settings);
  for (const std::string& who : {kText, text}) {
    Client& client = open(house, who);
    ASSERT_EQ(client.peer.status(), 101);
    for (int i = 0; i < 5; ++i) client.peer.text(std::to_string(i));
    house.run();
    EXPECT_EQ(house.last().peer.messages().size(), who == kText ? 2u : 5u);
  }
}

}  // namespace
}  // namespace sluice::test
