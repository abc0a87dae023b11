// A fresh credential for a live connection: who may bring one, and what the connection stands on then.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Kind = policy::Revocation::Kind;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

policy::AuthSettings auth_named(const std::string& name) {
  policy::AuthSettings auth;
  auth.name = name;
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  return auth;
}

config::Settings with_tokens() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.auths = {auth_named("users")};
  settings.routes[0].auth = {"users"};
  rules_of(settings).ping_interval = {};
  return settings;
}

std::string claims(std::int64_t lives, const std::string& more) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  return "{\"exp\":" + std::to_string(now + lives) + more + "}";
}

std::string bearer(std::int64_t lives, const std::string& more) {
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "", claims(lives, more), why);
  if (!text) throw std::runtime_error(why);
  return "Authorization: Bearer " + *text + "\r\n";
}

policy::Revocation revocation(Kind kind, const std::string& value) {
  policy::Revocation out;
  out.id = value;
  out.kind = kind;
  out.value = value;
  out.made = FakeClock().wall();
  out.expires = out.made + 10min;
  return out;
}

class Renewal : public ::testing::Test {
 protected:
  static constexpr std::string_view kAnn = R"(,"sub":"ann","jti":"t1","iss":"https://id")";

  explicit Renewal(config::Settings settings = with_tokens(), std::string_view more = kAnn)
      : house_(std::move(settings)), client_(house_.open(upgrade_request("/ws", bearer(60, std::string(more))))) {
    client_.peer.answers_close = house_.last().peer.answers_close = true;
    id_ = field_of(house_.last().peer.head, "X-Request-Id");
  }

  // As whoever has checked it hands it over: with settings of its own.
  policy::Authenticated fresh(std::int64_t lives, const std::string& more) {
    policy::Authenticated fresh;
    fresh.identity.method = "jwt";
    fresh.identity.claims = *Json::parse(claims(lives, more));
    if (const Json* subject = fresh.identity.claims.find("sub")) fresh.identity.subject = subject->text();
    fresh.identity.expires = true;
    fresh.identity.expiry = FakeClock().wall() + std::chrono::seconds(lives);
    fresh.auth = &elsewhere_;
    return fresh;
  }
  Errc refusal(const policy::Authenticated& fresh) {
    const Result<bool> renewed = house_.renew(id_, fresh);
    return renewed ? Errc::none : renewed.error().code;
  }
  std::uint64_t counted(Errc code) { return house_.worker_tally().refreshes[static_cast<std::size_t>(code)].get(); }
  bool open() { return client_.peer.close_frame() == nullptr; }

  policy::AuthSettings elsewhere_ = auth_named("users");
  SimHouse house_;
  Client& client_;
  std::string id_;
};

TEST_F(Renewal, TheConnectionLivesAsLongAsTheNewOne) {
  house_.advance(50s);
  ASSERT_EQ(house_.renew(id_, fresh(200, R"(,"sub":"ann","jti":"t2","iss":"https://id")")), true);
  house_.advance(179s);  // and 30 s of leeway
  EXPECT_TRUE(open());
  house_.advance(2s);
  EXPECT_EQ(client_.peer.close_code(), 4401u);
  EXPECT_EQ(counted(Errc::none), 1u);
}

TEST_F(Renewal, WhichMayBeShorterToo) {
  ASSERT_EQ(house_.renew(id_, fresh(10, R"(,"sub":"ann","iss":"https://id")")), true);
  house_.advance(39s);
  EXPECT_TRUE(open());
  house_.advance(2s);
  EXPECT_EQ(client_.peer.close_code(), 4401u);
}

TEST_F(Renewal, NobodyElseMayTakeOver) {
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"bob","iss":"https://id")")), Errc::refresh_denied);
  EXPECT_EQ(refusal(fresh(600, R"(,"iss":"https://id")")), Errc::refresh_denied);
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"ann","iss":"https://other")")), Errc::refresh_denied);
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"ann")")), Errc::refresh_denied);
  policy::Authenticated other = fresh(600, R"(,"sub":"ann","iss":"https://id")");
  elsewhere_.name = "machines";
  EXPECT_EQ(refusal(other), Errc::refresh_denied);
  EXPECT_EQ(counted(Errc::refresh_denied), 5u);
  house_.advance(91s);
  EXPECT_EQ(client_.peer.close_code(), 4401u) << "nothing of it has changed anything";
}

TEST_F(Renewal, AnotherConnectionIsAnotherMatter) {
  EXPECT_EQ(house_.renew("nobody", fresh(600, R"(,"sub":"ann","iss":"https://id")")), false);
  EXPECT_EQ(counted(Errc::none), 0u);
  house_.advance(91s);
  EXPECT_EQ(client_.peer.close_code(), 4401u);
}

TEST_F(Renewal, WhoIsRevokedByTheOldCredentialLivesOn) {
  ASSERT_EQ(house_.renew(id_, fresh(600, R"(,"sub":"ann","jti":"t2","iss":"https://id")")), true);
  EXPECT_EQ(house_.kick(revocation(Kind::jti, "t1")), 0u);
  EXPECT_EQ(house_.kick(revocation(Kind::jti, "t2")), 1u);
  house_.run();
  EXPECT_EQ(client_.peer.close_code(), 4403u);
}

TEST_F(Renewal, WhatIsRevokedRenewsNothing) {
  house_.revocations().add(revocation(Kind::jti, "t2"));
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"ann","jti":"t2","iss":"https://id")")), Errc::revoked);
  house_.advance(91s);
  EXPECT_EQ(client_.peer.close_code(), 4401u);
}

TEST_F(Renewal, OneThatHasExpiredIsNotBroughtBack) {
  house_.only_clock(90s);
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"ann","iss":"https://id")")), Errc::token_expired);
  house_.advance(1s);
  EXPECT_EQ(client_.peer.close_code(), 4401u);
}

TEST_F(Renewal, OneThatIsBeingClosedStaysClosed) {
  client_.peer.answers_close = false;
  EXPECT_EQ(house_.kick(revocation(Kind::jti, "t1")), 1u);
  EXPECT_EQ(refusal(fresh(600, R"(,"sub":"ann","iss":"https://id")")), Errc::refresh_denied);
  house_.advance(3s);
  EXPECT_EQ(house_.alive(), 0u);
}

TEST_F(Renewal, OneThatDoesNotExpireTakesTheEndAway) {
  house_.advance(20s);
  policy::Authenticated lasting = fresh(0, R"(,"sub":"ann","jti":"t3","iss":"https://id")");
  lasting.identity.expires = false;
  ASSERT_EQ(house_.renew(id_, lasting), true);
  house_.advance(300s);
  EXPECT_TRUE(open());
}

class RenewalOfNobody : public Renewal {
 protected:
  RenewalOfNobody() : Renewal(with_tokens(), R"(,"jti":"t1")") {}
};

TEST_F(RenewalOfNobody, WithoutASubjectNothingIsRenewed) {
  EXPECT_EQ(refusal(fresh(600, R"(,"jti":"t2")")), Errc::refresh_denied);
}

}  // namespace
}  // namespace sluice::test
