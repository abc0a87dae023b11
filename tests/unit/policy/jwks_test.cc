#include "policy/jwks.h"

#include <gtest/gtest.h>

#include "support/keys.h"

namespace sluice::policy {
namespace {

using net::base64url;
using net::JwsAlgorithm;

net::CryptoContext& context() {
  static net::CryptoContext one;
  return one;
}

std::string ed25519(std::string_view extra) {
  return R"({"kty":"OKP","crv":"Ed25519","x":")" + base64url(test::ed25519_key().raw_public()) + "\"" +
         std::string(extra) + "}";
}

std::string rsa(const test::KeyPair& pair, std::string_view extra) {
  return R"({"kty":"RSA","n":")" + base64url(pair.n()) + R"(","e":")" + base64url(pair.e()) + "\"" +
         std::string(extra) + "}";
}

std::string set_of(std::string_view keys) { return R"({"keys":[)" + std::string(keys) + "]}"; }

TEST(Jwks, TakesEveryKindOfPublicKey) {
  const auto& p256 = test::p256_key();
  const std::string ec = R"({"kty":"EC","crv":"P-256","kid":"e","x":")" + base64url(p256.x(32)) +
                         R"(","y":")" + base64url(p256.y(32)) + "\"}";
  std::string why;
  const auto set = Jwks::parse(
      context(), set_of(rsa(test::rsa_key(), R"(,"kid":"r")") + "," + ec + "," + ed25519(R"(,"kid":"o")")),
      false, why);
  ASSERT_TRUE(set) << why;
  EXPECT_TRUE(set->find("r")->serves(JwsAlgorithm::ps512));
  EXPECT_TRUE(set->find("e")->serves(JwsAlgorithm::es256));
  EXPECT_TRUE(set->find("o")->serves(JwsAlgorithm::eddsa));
  EXPECT_FALSE(set->find("o")->serves(JwsAlgorithm::es256));
  EXPECT_EQ(set->find("x"), nullptr);
  EXPECT_EQ(set->find(""), nullptr);
  EXPECT_EQ(set->find(std::string(1000, 'r')), nullptr);
  EXPECT_TRUE(set->warnings().empty());
}

TEST(Jwks, LeavesOutKeysThatItCannotUseAndSaysWhy) {
  const std::string good = ed25519(R"(,"kid":"good")");
  for (const std::string& bad :
       {ed25519(R"(,"kid":"b","use":"enc")"),
        ed25519(R"(,"kid":"b","use":7)"),
        ed25519(R"(,"kid":"b","key_ops":["sign"])"),
        ed25519(R"(,"kid":"b","key_ops":"verify")"),
        ed25519(R"(,"kid":"b","alg":"RS256")"),
        ed25519(R"(,"kid":"b","alg":"RSA-OAEP")"),
        ed25519(R"(,"kid":"b","alg":7)"),
        ed25519(R"(,"kid":"good")"),
        ed25519(R"(,"kid":"")"),
        ed25519(R"(,"kid":7)"),
        ed25519(R"(,"kid":")" + std::string(129, 'b') + "\""),
        ed25519(R"(,"kid":"b","d":"AAAA")"),
        rsa(test::KeyPair::rsa(1024), R"(,"kid":"b")"),
        std::string(R"({"kty":"RSA","kid":"b","n":"AQAB","e":"AQAB"})"),
        std::string(R"({"kty":"RSA","kid":"b","e":"AQAB"})"),
        std::string(R"({"kty":"EC","kid":"b","crv":"P-256","x":"AA","y":"AA"})"),
        std::string(R"({"kty":"OKP","kid":"b","crv":"X25519","x":"AAAA"})"),
        std::string(R"({"kty":"OKP","kid":"b","crv":"Ed25519","x":"AA=="})"),
        std::string(R"({"kty":"oct","kid":"b","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"})"),
        std::string(R"({"kty":"new","kid":"b"})"),
        std::string(R"({"kid":"b"})"),
        std::string("7"),
        std::string("null")}) {
    std::string why;
    const auto set = Jwks::parse(context(), set_of(good + "," + bad), false, why);
    ASSERT_TRUE(set) << bad << why;
    EXPECT_EQ(set->keys().size(), 1U) << bad;
    EXPECT_EQ(set->warnings().size(), 1U) << bad;
    EXPECT_EQ(set->find("b"), nullptr) << bad;
    EXPECT_FALSE(
        Jwks::parse(context(), set_of(bad.find("\"good\"") == std::string::npos ? bad : ""), false, why))
        << bad;
  }
  std::string why;
  EXPECT_TRUE(Jwks::parse(
      context(), set_of(ed25519(R"(,"use":"sig","key_ops":["verify"],"alg":"EdDSA","x5t":"a")")), false, why))
      << why;
}

TEST(Jwks, LeavesOutAnRsaKeyOf16384Bits) {
  std::string why;
  test::Octets n(2048, 0xff);
  const std::string huge = R"({"kty":"RSA","kid":"b","n":")" + base64url(n) + R"(","e":"AQAB"})";
  const auto set = Jwks::parse(context(), set_of(huge + "," + ed25519("")), false, why);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->keys().size(), 1U);
}

TEST(Jwks, TakesSymmetricKeysOnlyWhenAskedAndThenNoOthers) {
  const std::string oct = R"({"kty":"oct","kid":"s","k":")" + base64url(as_bytes(test::kSecret)) + "\"}";
  std::string why;
  const auto set = Jwks::parse(context(), set_of(oct + "," + ed25519("")), true, why);
  ASSERT_TRUE(set) << why;
  EXPECT_EQ(set->keys().size(), 1U);
  EXPECT_TRUE(set->find("s")->serves(JwsAlgorithm::hs256));
  EXPECT_FALSE(Jwks::parse(context(), set_of(oct), false, why));
  EXPECT_FALSE(Jwks::parse(context(), set_of(R"({"kty":"oct","k":"c2hvcnQ"})"), true, why));
}

TEST(Jwks, RefusesTextThatIsNoSetAndSetsBeyondTheLimits) {
  std::string why;
  for (const std::string& text : {std::string(), std::string("{}"), std::string("<html>"), std::string("[]"),
                                  std::string(R"({"keys":{}})"), std::string(R"({"keys":[]})"), ed25519(""),
                                  R"({"keys":[],"keys":[)" + ed25519("") + "]}"}) {
    why.clear();
    EXPECT_FALSE(Jwks::parse(context(), text, false, why)) << text;
    EXPECT_NE(why, "");
  }
  std::string keys = ed25519("");
  for (int i = 1; i < 100; ++i) keys += "," + ed25519("");
  const auto full = Jwks::parse(context(), set_of(keys), false, why);
  ASSERT_TRUE(full) << why;
  EXPECT_EQ(full->keys().size(), 100U);
  EXPECT_FALSE(Jwks::parse(context(), set_of(keys + "," + ed25519("")), false, why));
  EXPECT_FALSE(Jwks::parse(context(), set_of(ed25519("")) + std::string(256 * 1024, ' '), false, why));
}

}  // namespace
}  // namespace sluice::policy
