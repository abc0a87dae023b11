#include "session/kick.h"

#include <gtest/gtest.h>

#include "session/connection_filter.h"

namespace sluice::session {
namespace {

using Kind = policy::Revocation::Kind;
constexpr std::uint64_t kSeed = 7;
const std::string kUsers = "users";
const std::string kMachines = "machines";

policy::Identity identity(const std::string& claims) {
  policy::Identity out;
  out.method = "jwt";
  out.subject = "ann";
  out.claims = *Json::parse(claims);
  return out;
}

Standing::Owner standing(const std::string& auth = kUsers) {
  return Standing::of(identity(R"({"sub":"ann","jti":"t1","iss":"https://a/","iat":1800000000,"exp":1900000000,
                                   "roles":["admin","ops"],"tenant":7})"),
                      auth == kUsers ? kUsers : kMachines, kSeed);
}

policy::Revocation revocation(Kind kind, const std::string& value, const std::string& name = "") {
  policy::Revocation out;
  out.kind = kind;
  out.value = value;
  out.name = name;
  return out;
}

bool hits(const policy::Revocation& what, const Standing* who = nullptr) {
  static const Standing::Owner ann = standing();
  return Kick(what, kSeed).hits(who ? who : ann.get(), "192.0.2.7", "id-1");
}

TEST(Standing, RemembersWhoItWasWithoutAnyText) {
  const auto who = standing();
  EXPECT_EQ(who->method(), "jwt");
  EXPECT_EQ(&who->auth(), &kUsers);
  EXPECT_EQ(who->issued(), 1'800'000'000);
  const auto has = [&](std::string_view name, std::string_view value) {
    return who->has(policy::claim_mark(name, value, kSeed));
  };
  EXPECT_TRUE(has("sub", "ann"));
  EXPECT_TRUE(has("jti", "t1"));
  EXPECT_TRUE(has("roles", "ops"));
  EXPECT_TRUE(has("tenant", "7"));
  EXPECT_FALSE(has("roles", "op"));
  EXPECT_FALSE(has("role", "sops"));
  EXPECT_FALSE(has("exp", "1900000000"));
  EXPECT_FALSE(who->has(policy::claim_mark("sub", "ann", kSeed + 1)));
}

TEST(Standing, MayHaveNoClaims) {
  policy::Identity nobody;
  const auto who = Standing::of(nobody, kUsers, kSeed);
  EXPECT_EQ(who->method(), "");
  EXPECT_EQ(who->issued(), 0);
  EXPECT_FALSE(who->has(policy::claim_mark("sub", "", kSeed)));
}

TEST(Kick, HitsByIdentity) {
  EXPECT_TRUE(hits(revocation(Kind::sub, "ann")));
  EXPECT_FALSE(hits(revocation(Kind::sub, "bob")));
  EXPECT_TRUE(hits(revocation(Kind::jti, "t1")));
  EXPECT_FALSE(hits(revocation(Kind::jti, "t2"))) << "a refreshed session stands on another token";
  EXPECT_FALSE(hits(revocation(Kind::sid, "t1")));
  EXPECT_TRUE(hits(revocation(Kind::claim, "admin", "roles")));
  EXPECT_FALSE(Kick(revocation(Kind::sub, "ann"), kSeed).hits(nullptr, "192.0.2.7", "id-1"));
}

TEST(Kick, HitsByAddressAndConnectionWhoeverItIs) {
  for (const char* block : {"192.0.2.7", "192.0.2.0/24", "::ffff:192.0.2.7"}) {
    EXPECT_TRUE(Kick(revocation(Kind::ip, block), kSeed).hits(nullptr, "192.0.2.7", "id-1")) << block;
  }
  EXPECT_FALSE(hits(revocation(Kind::ip, "192.0.3.0/24")));
  EXPECT_FALSE(Kick(revocation(Kind::ip, "0.0.0.0/0"), kSeed).hits(nullptr, "", "id-1")) << "a unix socket has none";
  EXPECT_TRUE(Kick(revocation(Kind::connection, "id-1"), kSeed).hits(nullptr, "192.0.2.7", "id-1"));
  EXPECT_FALSE(hits(revocation(Kind::connection, "id-2")));
}

TEST(Kick, KeepsToItsScope) {
  policy::Revocation what = revocation(Kind::sub, "ann");
  what.auth = "users";
  EXPECT_TRUE(hits(what));
  EXPECT_FALSE(hits(what, standing(kMachines).get()));
  what.issuer = "https://a/";
  EXPECT_TRUE(hits(what));
  what.issuer = "https://b/";
  EXPECT_FALSE(hits(what));
}

TEST(Kick, SparesNewerCredentialsWhenTold) {
  policy::Revocation what = revocation(Kind::sub, "ann");
  what.made = WallTime(std::chrono::seconds(1'799'999'999));
  EXPECT_TRUE(hits(what));
  what.allow_newer = true;
  EXPECT_FALSE(hits(what));
  what.made = WallTime(std::chrono::seconds(1'800'000'000));
  EXPECT_TRUE(hits(what));
}

TEST(ConnectionFilter, TakesWhatAgreesWithAllOfIt) {
  const auto who = standing();
  const auto takes = [&](const ConnectionFilter& filter) { return filter.takes("chat", "ann", who.get()); };
  EXPECT_TRUE(takes({}));
  EXPECT_TRUE(ConnectionFilter{}.takes("", "", nullptr));
  EXPECT_TRUE(takes({.subject = "ann", .route = "chat", .auth = "users", .method = "jwt",
                     .claim = policy::claim_mark("roles", "ops", kSeed)}));
  EXPECT_FALSE(takes({.subject = "bob"}));
  EXPECT_FALSE(takes({.route = "cha"}));
  EXPECT_FALSE(takes({.auth = "machines"}));
  EXPECT_FALSE(takes({.method = "api_key"}));
  EXPECT_FALSE(takes({.claim = policy::claim_mark("roles", "root", kSeed)}));
  EXPECT_FALSE((ConnectionFilter{.auth = "users"}.takes("chat", "", nullptr)));
}

}  // namespace
}  // namespace sluice::session
