// Keys that are fetched: clients that wait for them, in whatever order the keys, the end of the time, and the client's own end come.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/keys.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

config::Settings with_fetched_keys() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::es256};
  auth.jwt.source.url = "https://id.example.com/keys";
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  return settings;
}

std::string token(std::string_view kid) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::es256, p256_key().private_pem(), kid,
                                 "{\"exp\":" + std::to_string(now + 3600) + R"(,"sub":"ann"})", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

std::string keys(std::initializer_list<std::string_view> kids) {
  std::string list;
  for (const std::string_view kid : kids) {
    list += list.empty() ? "" : ",";
    list += R"({"kty":"EC","crv":"P-256","kid":")" + std::string(kid) + R"(","x":")" + net::base64url(p256_key().x(32)) + R"(","y":")" +
            net::base64url(p256_key().y(32)) + "\"}";
  }
  return R"({"keys":[)" + list + "]}";
}

class KeyWaiting : public ::testing::Test {
 protected:
  explicit KeyWaiting(config::Settings settings = with_fetched_keys()) : house_(std::move(settings)) {
    source().on_asked([this] { ++asked_; });
  }
  policy::KeySource& source() { return *house_.runtime().snapshot->key_source("users"); }
  Client& ask(std::string_view kid) {
    Client& client = house_.connect();
    client.wire.send(upgrade_request("/ws", "Authorization: Bearer " + token(kid) + "\r\n"));
    house_.run();
    return client;
  }
  // A fetch has ended with these keys.
  void answer(std::initializer_list<std::string_view> kids) {
    source().publish(keys(kids));
    source().answered();
  }
  std::uint64_t refused(Errc code) { return house_.worker_tally().rejects[static_cast<std::size_t>(code)].get(); }
  void expect_clean() {
    house_.hang_up();
    house_.run();
    house_.advance(15s);
    EXPECT_EQ(source().waiting(), 0u);
    EXPECT_EQ(house_.alive(), 0u);
    EXPECT_EQ(house_.admitted(), 0u);
    EXPECT_EQ(house_.pool().lent(), 0u);
    EXPECT_EQ(house_.worker_tally().handshaking.get(), 0);
  }

  SimHouse house_;
  int asked_ = 0;
};

TEST_F(KeyWaiting, AKeyThatIsThereIsWaitedForByNobody) {
  answer({"a"});
  EXPECT_EQ(ask("a").peer.status(), 101);
  EXPECT_EQ(asked_, 0);
  expect_clean();
}

TEST_F(KeyWaiting, AKeyThatComesLetsInAllWhoWaitForIt) {
  answer({"old"});
  Client& one = ask("new");
  Client& two = ask("new");
  EXPECT_EQ(one.wire.out, "");
  EXPECT_EQ(source().waiting(), 2u);
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(house_.dials(), 0u) << "no server hears of them";
  answer({"old", "new"});
  house_.run();
  EXPECT_EQ(one.peer.status(), 101);
  EXPECT_EQ(two.peer.status(), 101);
  expect_clean();
}

TEST_F(KeyWaiting, AFetchWithoutTheKeyEndsTheWaitAndTheNextOneDoesNotWait) {
  answer({"a"});
  Client& client = ask("none");
  source().answered();
  house_.run();
  EXPECT_EQ(client.peer.status(), 401);
  EXPECT_EQ(refused(Errc::unknown_key), 1u);
  EXPECT_EQ(ask("none").peer.status(), 401);
  EXPECT_EQ(asked_, 1);
  house_.advance(31s);
  EXPECT_EQ(ask("none").wire.out, "") << "after a while it is asked for again";
  EXPECT_EQ(asked_, 2);
  expect_clean();
}

TEST_F(KeyWaiting, TwoSecondsAreWaitedAtMost) {
  answer({"a"});
  Client& client = ask("slow");
  house_.advance(1900ms);
  EXPECT_EQ(client.wire.out, "");
  house_.advance(100ms);
  EXPECT_EQ(client.peer.status(), 401);
  EXPECT_EQ(source().waiting(), 0u);
  answer({"a", "slow"});
  house_.run();
  EXPECT_EQ(ask("slow").peer.status(), 101) << "what was given up serves as soon as it is there";
  expect_clean();
}

TEST_F(KeyWaiting, TheFirstKeysAreWaitedForToo) {
  Client& client = ask("a");
  EXPECT_EQ(client.wire.out, "");
  EXPECT_EQ(asked_, 1);
  answer({"a"});
  house_.run();
  EXPECT_EQ(client.peer.status(), 101);
  expect_clean();
}

TEST_F(KeyWaiting, WithoutAnyKeysTheAnswerIsAFaultOfOurs) {
  Client& client = ask("a");
  source().answered();
  house_.run();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_NE(field_of(client.peer.head, "Retry-After"), "");
  EXPECT_EQ(field_of(client.peer.head, "WWW-Authenticate"), "");
  EXPECT_EQ(refused(Errc::keys_unavailable), 1u);
  source().withdraw();
  Client& late = ask("a");
  house_.advance(2s);
  EXPECT_EQ(late.peer.status(), 503);
  expect_clean();
}

TEST_F(KeyWaiting, NobodyWaitsWhileNoFetchMayBegin) {
  answer({"a"});
  source().rest(house_.clock.now() + 30s);
  EXPECT_EQ(ask("x").peer.status(), 401);
  EXPECT_EQ(ask("y").peer.status(), 401);
  EXPECT_EQ(asked_, 1) << "but the key is fetched when it may be";
  house_.advance(28s);
  EXPECT_EQ(ask("x").wire.out, "");
  expect_clean();
}

TEST_F(KeyWaiting, AClientThatLeavesGivesItsPlaceUp) {
  answer({"a"});
  Client& client = ask("new");
  ASSERT_EQ(source().waiting(), 1u);
  client.wire.finish();
  house_.run();
  EXPECT_EQ(source().waiting(), 0u);
  EXPECT_EQ(refused(Errc::client_lost), 1u);
  answer({"a", "new"});
  house_.run();
  EXPECT_EQ(house_.dials(), 0u);
  expect_clean();
}

TEST_F(KeyWaiting, TheKeysAndTheEndOfTheClientMayComeInOnePass) {
  for (const bool keys_first : {true, false}) {
    answer({"a"});
    Client& client = ask("new" + std::to_string(keys_first));
    if (keys_first) answer({"a", "b"});
    client.wire.finish();
    if (!keys_first) answer({"a", "b"});
    house_.run();
    EXPECT_EQ(source().waiting(), 0u);
    EXPECT_EQ(house_.alive(), 0u);
  }
  expect_clean();
}

TEST_F(KeyWaiting, TheKeysAndTheEndOfTheTimeMayComeInOnePass) {
  answer({"a"});
  Client& client = ask("new");
  house_.only_clock(2s);
  answer({"a", "new"});
  house_.run();
  EXPECT_EQ(client.peer.status(), 101) << "who has the key is let in, late as it is";
  expect_clean();
}

TEST_F(KeyWaiting, AResetInsideTheWaitLeavesNothingBehind) {
  answer({"a"});
  Client& client = ask("new");
  client.wire.reset();
  house_.run();
  answer({"a", "new"});
  house_.run();
  EXPECT_EQ(source().waiting(), 0u);
  EXPECT_EQ(house_.alive(), 0u);
}

TEST_F(KeyWaiting, OctetsBehindTheRequestEndNoWait) {
  answer({"a"});
  Client& client = ask("new");
  client.wire.send(std::string("\x81\x82\0\0\0\0hi", 8));
  house_.run();
  EXPECT_EQ(source().waiting(), 1u);
  EXPECT_EQ(asked_, 1);
  answer({"a", "new"});
  house_.run();
  EXPECT_EQ(client.peer.status(), 101);
  expect_clean();
}

TEST_F(KeyWaiting, ADrainRefusesWhoWaits) {
  answer({"a"});
  Client& client = ask("new");
  house_.drain_all();
  house_.run();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(refused(Errc::draining), 1u);
  EXPECT_EQ(source().waiting(), 0u);
}

TEST_F(KeyWaiting, ThePlacesAreLimited) {
  answer({"a"});
  std::vector<std::unique_ptr<policy::KeySource::Wait>> others;
  for (std::size_t i = 0; i < policy::KeySource::kMostWaiters; ++i) others.push_back(source().wait(house_.clock.now(), nullptr));
  EXPECT_EQ(ask("new").peer.status(), 401);
  others.clear();
  EXPECT_EQ(ask("newer").wire.out, "");
  expect_clean();
}

class KeyWaitingByClose : public KeyWaiting {
 protected:
  static config::Settings by_close() {
    config::Settings settings = with_fetched_keys();
    rules_of(settings).reject_with_close = true;
    return settings;
  }
  KeyWaitingByClose() : KeyWaiting(by_close()) {}
};

TEST_F(KeyWaitingByClose, RefusalsHaveTheirCodes) {
  Client& unavailable = ask("a");
  source().answered();
  house_.run();
  EXPECT_EQ(unavailable.peer.status(), 101);
  EXPECT_EQ(unavailable.peer.close_code(), 1013);
  answer({"a"});
  Client& unknown = ask("b");
  source().answered();
  house_.run();
  EXPECT_EQ(unknown.peer.close_code(), 4401);
  expect_clean();
}

}  // namespace
}  // namespace sluice::test
