#include "policy/logout_token.h"

#include <gtest/gtest.h>

#include <map>

#include "policy/jwt.h"
#include "support/keys.h"

namespace sluice::policy {
namespace {

using net::JwsAlgorithm;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::string_view kEvents = R"({"http://schemas.openid.net/event/backchannel-logout":{}})";

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

net::CryptoContext& context() {
  static net::CryptoContext one;
  return one;
}

std::unique_ptr<Jwt> verifier() {
  JwtSettings settings;
  settings.algorithms = {JwsAlgorithm::hs256};
  settings.secret = test::kSecret;
  settings.issuer = "https://id.example.com";
  settings.audience = {"chat"};
  settings.required = {{"role", {"member"}}};  // of credentials
  settings.max_lifetime_seconds = 60;          // likewise
  std::string why;
  auto jwt = Jwt::make(context(), settings, why);
  EXPECT_TRUE(jwt) << why;
  return jwt;
}

// Claims by name, each as JSON text.
using Claims = std::map<std::string, std::string>;

Claims good() {
  return {{"iss", R"("https://id.example.com")"}, {"aud", R"("chat")"},     {"iat", "1799999990"}, {"exp", "1800000100"},
          {"jti", R"("j-1")"},                    {"sub", R"("alice")"}, {"sid", R"("s-1")"},   {"events", std::string(kEvents)}};
}

// A change to "" leaves the claim out.
Claims with(Claims changes) {
  Claims claims = good();
  for (auto& [name, value] : changes) claims[name] = value;
  std::erase_if(claims, [](const auto& claim) { return claim.second.empty(); });
  return claims;
}

std::string token(const Claims& claims, std::string_view header = R"({"alg":"HS256","typ":"logout+jwt"})",
                  std::string_view key = test::kSecret) {
  std::string payload = "{";
  for (const auto& [name, value] : claims) payload += (payload.size() > 1 ? ",\"" : "\"") + name + "\":" + value;
  payload += "}";
  std::string text = net::base64url(as_bytes(header)) + "." + net::base64url(as_bytes(payload));
  std::string why;
  const auto signature = net::sign(context(), JwsAlgorithm::hs256, key, as_bytes(text), why);
  EXPECT_TRUE(signature) << why;
  return text + "." + net::base64url(*signature);
}

std::string verdict(const std::string& text, std::int64_t now = kNow) {
  const auto logout = verifier()->verify_logout(text, at(now));
  if (logout) return "ok";
  EXPECT_EQ(logout.error().code, Errc::bad_token);
  return logout.error().detail;
}

TEST(LogoutToken, SaysWhoHasLoggedOut) {
  const auto logout = verifier()->verify_logout(token(good()), at(kNow));
  ASSERT_TRUE(logout);
  EXPECT_EQ(logout->issuer, "https://id.example.com");
  EXPECT_EQ(logout->id, "j-1");
  EXPECT_EQ(logout->subject, "alice");
  EXPECT_EQ(logout->session, "s-1");
  EXPECT_EQ(logout->end, at(1'800'000'130)) << "exp and leeway";
}

TEST(LogoutToken, GoodOnes) {
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256"})")), "ok");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256","typ":"JWT"})")), "ok");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256","typ":"application/logout+jwt"})")), "ok");
  EXPECT_EQ(verdict(token(with({{"sid", ""}}))), "ok");
  EXPECT_EQ(verdict(token(with({{"sub", ""}}))), "ok");
  EXPECT_EQ(verdict(token(with({{"aud", R"(["x","chat"])"}}))), "ok");
  EXPECT_EQ(verdict(token(with({{"exp", ""}}))), "ok") << "where it is not there, iat decides";
  EXPECT_EQ(verdict(token(with({{"events", R"({"http://schemas.openid.net/event/backchannel-logout":{"x":1},"y":{}})"}}))), "ok");
  EXPECT_EQ(verdict(token(with({{"exp", "1800009999"}}))), "ok") << "max_lifetime is of credentials";
}

TEST(LogoutToken, BadOnes) {
  const struct {
    Claims changes;
    std::string_view why;
  } kCases[] = {
      {{{"iss", ""}}, "iss"},
      {{{"iss", R"("https://evil.example.com")"}}, "iss"},
      {{{"iss", "1"}}, "iss is not a string"},
      {{{"aud", ""}}, "aud"},
      {{{"aud", R"("other")"}}, "aud"},
      {{{"jti", ""}}, "no jti"},
      {{{"jti", R"("")"}}, "no jti"},
      {{{"jti", "7"}}, "no jti"},
      {{{"iat", ""}}, "no iat"},
      {{{"iat", "\"now\""}}, "iat is not a date"},
      {{{"iat", "1800000031"}}, "iat is ahead"},
      {{{"iat", "1799999370"}}, "a logout of long ago"},
      {{{"exp", "1799999970"}}, "a logout of long ago"},
      {{{"exp", "-1"}}, "exp is not a date"},
      {{{"events", ""}}, "events name no logout"},
      {{{"events", "[]"}}, "events name no logout"},
      {{{"events", R"("http://schemas.openid.net/event/backchannel-logout")"}}, "events name no logout"},
      {{{"events", R"({"http://schemas.openid.net/event/other":{}})"}}, "events name no logout"},
      {{{"events", R"({"http://schemas.openid.net/event/backchannel-logout":1})"}}, "the logout event is no object"},
      {{{"nonce", R"("n")"}}, "nonce"},
      {{{"nonce", "null"}}, "nonce"},
      {{{"sub", ""}, {"sid", ""}}, "neither sub nor sid"},
      {{{"sub", "1"}}, "sub is not a string"},
      {{{"sub", R"("")"}}, "sub is no text"},
      {{{"sid", "1"}}, "sid is no text"},
      {{{"sid", "\"" + std::string(1025, 's') + "\""}}, "sid is no text"},
      {{{"sid", "\"a\\u0000b\""}}, "sid is no text"},
  };
  for (const auto& one : kCases) EXPECT_EQ(verdict(token(with(one.changes))), one.why);
}

TEST(LogoutToken, ItsHeaderAndSignatureAreThoseOfATokenOfThatAuth) {
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS384"})")), "alg not allowed");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"none"})")), "alg not known");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256","typ":"at+jwt"})")), "typ");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256","typ":"secevent+jwt"})")), "typ");
  EXPECT_EQ(verdict(token(good(), R"({"alg":"HS256"})", "another-secret-of-32-octets-or-more")), "signature");
  EXPECT_EQ(verdict(""), "not three parts");
}

TEST(LogoutToken, IsNobodysCredentialAndACredentialIsNone) {
  const auto jwt = verifier();
  const auto refused = [&](const std::string& text) {
    const auto identity = jwt->verify(text, at(kNow));
    return identity ? std::string("ok") : std::string(identity.error().detail);
  };
  const Claims both = with({{"role", R"("member")"}, {"exp", "1800000040"}});
  EXPECT_EQ(refused(token(both)), "typ");
  EXPECT_EQ(refused(token(both, R"({"alg":"HS256","typ":"JWT"})")), "a logout token");
  const Claims credential = with({{"role", R"("member")"}, {"exp", "1800000040"}, {"events", ""}});
  EXPECT_EQ(refused(token(credential, R"({"alg":"HS256","typ":"JWT"})")), "ok");
  EXPECT_EQ(verdict(token(with({{"events", ""}}), R"({"alg":"HS256","typ":"JWT"})")), "events name no logout");
}

TEST(LogoutToken, EndsTenMinutesAfterItsIssueAtTheLatest) {
  const std::string text = token(with({{"exp", "1900000000"}}));
  EXPECT_EQ(verdict(text, 1'799'999'990 + 629), "ok");
  EXPECT_EQ(verdict(text, 1'799'999'990 + 630), "a logout of long ago");
}

}  // namespace
}  // namespace sluice::policy
