#include "policy/jwt.h"

#include <gtest/gtest.h>

#include "support/keys.h"

namespace sluice::policy {
namespace {

using net::base64url;
using net::JwsAlgorithm;
using test::KeyPair;

constexpr std::int64_t kNow = 1'800'000'000;

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

net::CryptoContext& context() {
  static net::CryptoContext one;
  return one;
}

// A token with any header and payload text, signed by a secret or a private key in PEM.
std::string token_of(JwsAlgorithm algorithm, std::string_view key, std::string_view header,
                     std::string_view payload) {
  std::string text = base64url(as_bytes(header)) + "." + base64url(as_bytes(payload));
  std::string why;
  const auto signature = net::sign(context(), algorithm, key, as_bytes(text), why);
  EXPECT_TRUE(signature) << why;
  return text + "." + base64url(*signature);
}

std::string hs(std::string_view header, std::string_view payload) {
  return token_of(JwsAlgorithm::hs256, test::kSecret, header, payload);
}

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";
constexpr std::string_view kClaims =
    R"({"exp":1800000100,"iss":"https://id.example.com","aud":["chat","x"],"sub":"alice"})";

JwtSettings hs_settings() {
  JwtSettings settings;
  settings.algorithms = {JwsAlgorithm::hs256};
  settings.secret = test::kSecret;
  settings.issuer = "https://id.example.com";
  settings.audience = {"chat"};
  return settings;
}

// What verify says, in one word: "ok", or the name of the error and its detail.
std::string verdict(const JwtSettings& settings, std::string_view token, WallTime now = at(kNow)) {
  std::string why;
  const auto jwt = Jwt::make(context(), settings, why);
  if (!jwt) return "make: " + why;
  const auto identity = jwt->verify(token, now);
  if (identity) return "ok";
  return std::string(row(identity.error().code).name) + ": " + identity.error().detail;
}

std::string claims_verdict(std::string_view claims, WallTime now = at(kNow)) {
  JwtSettings settings = hs_settings();
  settings.issuer.clear();
  settings.audience.clear();
  return verdict(settings, hs(kHeader, claims), now);
}

std::string header_verdict(std::string_view header) { return verdict(hs_settings(), hs(header, kClaims)); }

std::string jwk_of(const KeyPair& pair, std::string_view kid) {
  const std::string id = kid.empty() ? "" : R"("kid":")" + std::string(kid) + R"(",)";
  const auto ec = [&](const char* curve, std::size_t size) {
    return "{" + id + R"("kty":"EC","crv":")" + curve + R"(","x":")" + base64url(pair.x(size)) +
           R"(","y":")" + base64url(pair.y(size)) + "\"}";
  };
  if (&pair == &test::p256_key()) return ec("P-256", 32);
  if (&pair == &test::p384_key()) return ec("P-384", 48);
  if (&pair == &test::p521_key()) return ec("P-521", 66);
  if (&pair == &test::ed25519_key()) {
    return "{" + id + R"("kty":"OKP","crv":"Ed25519","x":")" + base64url(pair.raw_public()) + "\"}";
  }
  return "{" + id + R"("kty":"RSA","use":"sig","n":")" + base64url(pair.n()) + R"(","e":")" +
         base64url(pair.e()) + "\"}";
}

std::string set_of(std::initializer_list<std::string> jwks) {
  std::string list;
  for (const std::string& jwk : jwks) list += (list.empty() ? "" : ",") + jwk;
  return R"({"keys":[)" + list + "]}";
}

struct Case {
  JwsAlgorithm algorithm;
  const KeyPair* pair;
};

std::vector<Case> asymmetric_cases() {
  return {{JwsAlgorithm::rs256, &test::rsa_key()},  {JwsAlgorithm::rs384, &test::rsa_key()},
          {JwsAlgorithm::rs512, &test::rsa_key()},  {JwsAlgorithm::ps256, &test::rsa_key()},
          {JwsAlgorithm::ps384, &test::rsa_key()},  {JwsAlgorithm::ps512, &test::rsa_key()},
          {JwsAlgorithm::es256, &test::p256_key()}, {JwsAlgorithm::es384, &test::p384_key()},
          {JwsAlgorithm::es512, &test::p521_key()}, {JwsAlgorithm::eddsa, &test::ed25519_key()}};
}

TEST(Jwt, JudgesEveryHeaderByItselfWhateverItSawBefore) {
  std::string why;
  const auto jwt = Jwt::make(context(), hs_settings(), why);
  ASSERT_TRUE(jwt) << why;
  const auto verdict_of = [&](std::string_view header) {
    const auto identity = jwt->verify(hs(header, kClaims), at(kNow));
    return identity ? std::string("ok") : std::string(identity.error().detail);
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(verdict_of(kHeader), "ok");
    EXPECT_EQ(verdict_of(kHeader), "ok");
    EXPECT_EQ(verdict_of(R"({"alg":"none","typ":"JWT"})"), "alg not known");
    EXPECT_EQ(verdict_of(R"({"alg":"none","typ":"JWT"})"), "alg not known");
    EXPECT_EQ(verdict_of(R"({"alg":"HS512","typ":"JWT"})"), "alg not allowed");
    EXPECT_EQ(verdict_of(R"({"alg":"HS512","typ":"JWT"})"), "alg not allowed");
    EXPECT_EQ(verdict_of(R"({"alg":"HS256","crit":[]})"), "crit");
  }
  const std::string good = hs(kHeader, kClaims);
  EXPECT_FALSE(jwt->verify(good.substr(0, good.size() - 4) + "AAAA", at(kNow)));
}

TEST(Jwt, AcceptsAllThirteenAlgorithms) {
  std::string why;
  for (const auto algorithm : {JwsAlgorithm::hs256, JwsAlgorithm::hs384, JwsAlgorithm::hs512}) {
    JwtSettings settings = hs_settings();
    settings.algorithms = {algorithm};
    const auto token = mint(context(), algorithm, test::kSecret, "", kClaims, why);
    ASSERT_TRUE(token) << why;
    EXPECT_EQ(verdict(settings, *token), "ok") << net::name(algorithm);
    settings.secret.clear();
    settings.jwks = R"({"keys":[{"kty":"oct","kid":"s","k":")" + base64url(as_bytes(test::kSecret)) + "\"}]}";
    EXPECT_EQ(verdict(settings, *token), "ok") << net::name(algorithm);
  }
  for (const Case& c : asymmetric_cases()) {
    JwtSettings settings = hs_settings();
    settings.secret.clear();
    settings.algorithms = {c.algorithm};
    settings.public_key = c.pair->public_pem();
    const auto token = mint(context(), c.algorithm, c.pair->private_pem(), "k1", kClaims, why);
    ASSERT_TRUE(token) << why;
    EXPECT_EQ(verdict(settings, *token), "ok") << net::name(c.algorithm);
    settings.public_key.clear();
    settings.jwks = set_of({jwk_of(*c.pair, "k1")});
    EXPECT_EQ(verdict(settings, *token), "ok") << net::name(c.algorithm);
    std::string bent = *token;
    bent[bent.size() - 20] = bent[bent.size() - 20] == 'A' ? 'B' : 'A';
    EXPECT_EQ(verdict(settings, bent), "bad_token: signature") << net::name(c.algorithm);
  }
}

TEST(Jwt, YieldsTheIdentity) {
  std::string why;
  const auto jwt = Jwt::make(context(), hs_settings(), why);
  const auto identity = jwt->verify(hs(kHeader, kClaims), at(kNow));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->method, "jwt");
  EXPECT_EQ(identity->subject, "alice");
  EXPECT_TRUE(identity->expires);
  EXPECT_EQ(identity->expiry, at(1'800'000'100));
  EXPECT_EQ(identity->claims.find("iss")->text(), "https://id.example.com");
}

TEST(Jwt, RefusesEveryFormOfNoneAndEveryFalseAlg) {
  for (const char* alg : {R"("none")", R"("None")", R"("nOnE")", R"("NONE")", R"("")", "null", R"(["RS256"])",
                          R"(["HS256"])", "256", "true", R"("hs256")", R"("HS256 ")", R"("HS256\u0000")",
                          R"("HS384")", R"("RS256")", R"("ES256")"}) {
    const std::string header = std::string(R"({"typ":"JWT","alg":)") + alg + "}";
    EXPECT_TRUE(header_verdict(header).starts_with("bad_token: ")) << alg;
    const std::string unsigned_token = base64url(as_bytes(header)) + "." + base64url(as_bytes(kClaims)) + ".";
    EXPECT_TRUE(verdict(hs_settings(), unsigned_token).starts_with("bad_token: ")) << alg;
    EXPECT_TRUE(verdict(hs_settings(), unsigned_token + "AA").starts_with("bad_token: ")) << alg;
  }
  EXPECT_EQ(header_verdict(R"({"typ":"JWT"})"), "bad_token: no alg");
}

TEST(Jwt, RefusesAPublicKeyUsedAsHmacSecret) {
  const KeyPair& rsa = test::rsa_key();
  JwtSettings settings = hs_settings();
  settings.secret.clear();
  settings.algorithms = {JwsAlgorithm::rs256};
  settings.public_key = rsa.public_pem();
  const auto der = rsa.public_der();
  for (const std::string& secret :
       {rsa.public_pem(), std::string(as_text(der)), jwk_of(rsa, ""), set_of({jwk_of(rsa, "k")})}) {
    const std::string text = base64url(as_bytes(kHeader)) + "." + base64url(as_bytes(kClaims));
    unsigned char mac[EVP_MAX_MD_SIZE];
    std::size_t length = 0;
    ASSERT_TRUE(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, secret.data(), secret.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, sizeof mac,
                          &length));
    const std::string token = text + "." + base64url({mac, length});
    EXPECT_EQ(verdict(settings, token), "bad_token: alg not allowed");
    JwtSettings careless = hs_settings();
    careless.secret = secret;
    if (secret != as_text(der)) {
      EXPECT_TRUE(verdict(careless, token).starts_with("make: ")) << secret;
    }
  }
}

TEST(Jwt, RefusesAKeyOfAnotherKindAndAnAlgOutsideTheList) {
  const std::string es =
      token_of(JwsAlgorithm::es256, test::p256_key().private_pem(), R"({"alg":"ES256"})", kClaims);
  const std::string ps =
      token_of(JwsAlgorithm::ps256, test::rsa_key().private_pem(), R"({"alg":"PS256"})", kClaims);
  JwtSettings rs = hs_settings();
  rs.secret.clear();
  rs.algorithms = {JwsAlgorithm::rs256};
  rs.public_key = test::rsa_key().public_pem();
  EXPECT_EQ(verdict(rs, es), "bad_token: alg not allowed");
  EXPECT_EQ(verdict(rs, ps), "bad_token: alg not allowed");
  JwtSettings both = rs;
  both.algorithms = {JwsAlgorithm::rs256, JwsAlgorithm::es256};
  EXPECT_EQ(verdict(both, es), "make: no key can serve ES256");
  both.public_key.clear();
  both.jwks = set_of({jwk_of(test::rsa_key(), "r"), jwk_of(test::p256_key(), "e")});
  const std::string crossed =
      token_of(JwsAlgorithm::es256, test::p256_key().private_pem(), R"({"alg":"ES256","kid":"r"})", kClaims);
  EXPECT_EQ(verdict(both, crossed), "bad_token: alg does not fit the key");
  both.algorithms = {JwsAlgorithm::ps256, JwsAlgorithm::rs256};
  std::string pinned = jwk_of(test::rsa_key(), "r");
  pinned.insert(1, R"("alg":"RS256",)");
  std::string other = jwk_of(test::rsa_key(), "p");
  other.insert(1, R"("alg":"PS256",)");
  both.jwks = set_of({pinned, other});
  EXPECT_EQ(verdict(both, token_of(JwsAlgorithm::ps256, test::rsa_key().private_pem(),
                                   R"({"alg":"PS256","kid":"r"})", kClaims)),
            "bad_token: alg does not fit the key");
  EXPECT_EQ(verdict(both, token_of(JwsAlgorithm::ps256, test::rsa_key().private_pem(),
                                   R"({"alg":"PS256","kid":"p"})", kClaims)),
            "ok");
}

TEST(Jwt, RefusesFalseFormsOfAnEcdsaSignature) {
  JwtSettings settings = hs_settings();
  settings.secret.clear();
  settings.algorithms = {JwsAlgorithm::es256};
  settings.public_key = test::p256_key().public_pem();
  const std::string good =
      token_of(JwsAlgorithm::es256, test::p256_key().private_pem(), R"({"alg":"ES256"})", kClaims);
  ASSERT_EQ(verdict(settings, good), "ok");
  const std::string text = good.substr(0, good.rfind('.') + 1);
  const auto signature = *net::from_base64url(good.substr(text.size()));
  const auto n = test::p256_key().number(OSSL_PKEY_PARAM_EC_ORDER, 32);
  test::Octets zero(64, 0), r_is_n(signature), s_is_n(signature),
      shorter(signature.begin(), signature.end() - 1), longer(signature);
  std::copy(n.begin(), n.end(), r_is_n.begin());
  std::copy(n.begin(), n.end(), s_is_n.begin() + 32);
  longer.push_back(0);
  test::Octets der{0x30, 0x44, 0x02, 0x20};
  der.insert(der.end(), signature.begin(), signature.begin() + 32);
  der.insert(der.end(), {0x02, 0x20});
  der.insert(der.end(), signature.begin() + 32, signature.end());
  for (const auto& bad : {zero, r_is_n, s_is_n, shorter, longer, der}) {
    EXPECT_EQ(verdict(settings, text + base64url(bad)), "bad_token: signature");
  }
}

TEST(Jwt, RefusesHeadersThatItMustNotAccept) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"alg":"HS256","crit":["b64"],"b64":true})", "bad_token: crit"},
      {R"({"alg":"HS256","crit":[]})", "bad_token: crit"},
      {R"({"alg":"HS256","crit":null})", "bad_token: crit"},
      {R"({"alg":"HS256","crit":["exp"],"exp":1})", "bad_token: crit"},
      {R"({"alg":"HS256","b64":false})", "bad_token: b64"},
      {R"({"alg":"HS256","zip":"DEF"})", "bad_token: encrypted or compressed"},
      {R"({"alg":"HS256","enc":"A128GCM"})", "bad_token: encrypted or compressed"},
      {R"({"alg":"HS256","typ":"JWE"})", "bad_token: typ"},
      {R"({"alg":"HS256","typ":"logout+jwt"})", "bad_token: typ"},
      {R"({"alg":"HS256","typ":"dpop+jwt"})", "bad_token: typ"},
      {R"({"alg":"HS256","typ":"application/"})", "bad_token: typ"},
      {R"({"alg":"HS256","typ":null})", "bad_token: typ"},
      {R"({"alg":"HS256","typ":["JWT"]})", "bad_token: typ"},
      {R"({"alg":"HS256","kid":7})", "bad_token: kid"},
      {R"({"alg":"none","alg":"HS256"})", "bad_token: header is not a JSON object"},
      {R"({"alg":"HS256","typ":"JWT","typ":"JWT"})", "bad_token: header is not a JSON object"},
      {R"({"alg":"HS256"}{})", "bad_token: header is not a JSON object"},
      {R"(["HS256"])", "bad_token: header is not a JSON object"},
      {R"("HS256")", "bad_token: header is not a JSON object"},
      {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "bad_token: header is not a JSON object"},
  };
  for (const auto& [header, expected] : rows) EXPECT_EQ(header_verdict(header), expected) << header;
  EXPECT_EQ(header_verdict(R"({"alg":"HS256","kid":")" + std::string(129, 'k') + "\"}"), "bad_token: kid");
  EXPECT_EQ(header_verdict(R"({"alg":"HS256","kid":")" + std::string(128, 'k') + "\"}"), "ok");
  EXPECT_EQ(header_verdict(R"({"alg":"HS256","x":")" + std::string(1100, 'k') + "\"}"),
            "bad_token: header too long");
  EXPECT_EQ(header_verdict(R"({"alg":"HS256","x":)" + std::string(17, '[') + std::string(17, ']') + "}"),
            "bad_token: header is not a JSON object");
}

TEST(Jwt, AcceptsTheTypesOfJwtAndAccessTokensInAnyCase) {
  for (const char* type : {"JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/at+JWT"}) {
    EXPECT_EQ(header_verdict(R"({"alg":"HS256","typ":")" + std::string(type) + "\"}"), "ok") << type;
  }
  EXPECT_EQ(header_verdict(R"({"alg":"HS256"})"), "ok");
}

TEST(Jwt, NeverUsesKeysOrPlacesThatATokenNames) {
  const KeyPair other = KeyPair::ec("P-256");
  const std::string jwk = R"({"kty":"EC","crv":"P-256","x":")" + base64url(other.x(32)) + R"(","y":")" +
                          base64url(other.y(32)) + "\"}";
  JwtSettings settings = hs_settings();
  settings.secret.clear();
  settings.algorithms = {JwsAlgorithm::es256};
  settings.jwks = set_of({jwk_of(test::p256_key(), "k1")});
  for (const std::string& extra :
       {R"("jwk":)" + jwk, std::string(R"("jku":"http://127.0.0.1/keys")"),
        std::string(R"("x5u":"http://127.0.0.1/cert")"), std::string(R"("x5c":["AAAA"])")}) {
    EXPECT_EQ(verdict(settings, token_of(JwsAlgorithm::es256, other.private_pem(),
                                         R"({"alg":"ES256",)" + extra + "}", kClaims)),
              "bad_token: signature");
  }
  EXPECT_EQ(
      verdict(settings, token_of(JwsAlgorithm::es256, test::p256_key().private_pem(),
                                 R"({"alg":"ES256","kid":"k1","jku":"http://127.0.0.1/keys"})", kClaims)),
      "ok");
}

TEST(Jwt, FindsTheKeyByItsIdAndFallsBackOnlyWithoutAChoice) {
  const auto es = [](std::string_view kid) {
    const std::string id = kid.empty() ? "" : R"(,"kid":")" + std::string(kid) + "\"";
    return token_of(JwsAlgorithm::es256, test::p256_key().private_pem(), R"({"alg":"ES256")" + id + "}",
                    kClaims);
  };
  JwtSettings one = hs_settings();
  one.secret.clear();
  one.algorithms = {JwsAlgorithm::es256};
  one.jwks = set_of({jwk_of(test::p256_key(), "k1")});
  EXPECT_EQ(verdict(one, es("k1")), "ok");
  EXPECT_EQ(verdict(one, es("")), "ok");
  for (const char* kid : {"k2", "K1", "k1 ", "../../dev/null", "' OR 1=1", "\\r\\nDEL x", "k1\\u0000"}) {
    EXPECT_EQ(verdict(one, es(kid)), "bad_token: kid not known") << kid;
  }
  JwtSettings two = one;
  two.jwks = set_of({jwk_of(test::p256_key(), "k1"), jwk_of(test::ed25519_key(), "k2")});
  EXPECT_EQ(verdict(two, es("k1")), "ok");
  EXPECT_EQ(verdict(two, es("")), "bad_token: no kid, and more than one key");
  JwtSettings pem = one;
  pem.jwks.clear();
  pem.public_key = test::p256_key().public_pem();
  EXPECT_EQ(verdict(pem, es("anything")), "ok");
}

TEST(Jwt, RefusesWhatIsNotACompactToken) {
  const std::string good = hs(kHeader, kClaims);
  ASSERT_EQ(verdict(hs_settings(), good), "ok");
  const std::string header = base64url(as_bytes(kHeader));
  const std::string payload = base64url(as_bytes(kClaims));
  for (const std::string& token : {std::string(),
                                   std::string("."),
                                   std::string(".."),
                                   std::string("..."),
                                   header,
                                   header + "." + payload,
                                   header + "." + payload + ".",
                                   good + ".",
                                   good + ".x.y",
                                   "." + good,
                                   good + "=",
                                   good + "==",
                                   good + " ",
                                   " " + good,
                                   good + "\n",
                                   std::string("{\"payload\":\"") + payload + "\",\"signatures\":[]}",
                                   std::string(8193, 'A'),
                                   std::string(1'000'000, '.'),
                                   good.substr(0, good.size() - 1),
                                   good.substr(0, good.find('.')) + "=" + good.substr(good.find('.')),
                                   std::string("A.") + payload + ".AAAA",
                                   header + ".A." + good.substr(good.rfind('.') + 1)}) {
    EXPECT_TRUE(verdict(hs_settings(), token).starts_with("bad_token: ")) << token.substr(0, 80);
  }
  std::string plus = good;
  plus[plus.size() - 3] = '+';
  EXPECT_EQ(verdict(hs_settings(), plus), "bad_token: octet outside of base64url");
  EXPECT_EQ(verdict(hs_settings(), std::string("a\0b", 3)), "bad_token: octet outside of base64url");
}

TEST(Jwt, RefusesTheOtherSpellingsOfTheLastDigit) {
  const std::string good = hs(kHeader, kClaims);  // 32 octets: the last digit has two unused bits
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int accepted = 0;
  for (const char digit : kDigits) {
    std::string token = good;
    token.back() = digit;
    accepted += verdict(hs_settings(), token) == "ok";
  }
  EXPECT_EQ(accepted, 1);
}

TEST(Jwt, RefusesEveryCutAndEveryFlippedOctet) {
  std::string why;
  const auto jwt = Jwt::make(context(), hs_settings(), why);
  const std::string good = hs(kHeader, kClaims);
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(jwt->verify(good.substr(0, i), at(kNow)));
    std::string bent = good;
    bent[i] = static_cast<char>(bent[i] ^ 1);
    EXPECT_FALSE(jwt->verify(bent, at(kNow))) << i;
  }
}

TEST(Jwt, TakesDatesOnlyAsIntegersInRange) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({})", "bad_token: no exp"},
      {R"({"exp":null})", "bad_token: exp is not a date"},
      {R"({"exp":"9999999999"})", "bad_token: exp is not a date"},
      {R"({"exp":9999999999.0})", "bad_token: exp is not a date"},
      {R"({"exp":9.9e9})", "bad_token: exp is not a date"},
      {R"({"exp":1e400})", "bad_token: payload is not a JSON object"},
      {R"({"exp":1e1000000000})", "bad_token: payload is not a JSON object"},
      {R"({"exp":-1})", "bad_token: exp is not a date"},
      {R"({"exp":-0})", "bad_token: exp is not a date"},
      {R"({"exp":true})", "bad_token: exp is not a date"},
      {R"({"exp":[9999999999]})", "bad_token: exp is not a date"},
      {R"({"exp":9007199254740992})", "bad_token: exp is not a date"},
      {R"({"exp":18446744073709551616})", "bad_token: exp is not a date"},
      {R"({"exp":9007199254740991})", "ok"},
      {R"({"exp":0})", "token_expired: exp"},
      {R"({"exp":9999999999,"nbf":"1"})", "bad_token: nbf is not a date"},
      {R"({"exp":9999999999,"nbf":1.5})", "bad_token: nbf is not a date"},
      {R"({"exp":9999999999,"iat":-5})", "bad_token: iat is not a date"},
      {R"({"exp":9999999999,"iat":{}})", "bad_token: iat is not a date"},
      {R"({"exp":9999999999,"nbf":1,"iat":1})", "ok"},
  };
  for (const auto& [claims, expected] : rows) EXPECT_EQ(claims_verdict(claims), expected) << claims;
}

TEST(Jwt, AllowsThirtySecondsOfLeewayAndNoMore) {
  const auto ms = [](std::int64_t milliseconds) {
    return at(kNow) + std::chrono::milliseconds(milliseconds);
  };
  const std::string exp = R"({"exp":1800000000})";
  EXPECT_EQ(claims_verdict(exp, ms(29'000)), "ok");
  EXPECT_EQ(claims_verdict(exp, ms(29'999)), "ok");
  EXPECT_EQ(claims_verdict(exp, ms(30'000)), "token_expired: exp");
  EXPECT_EQ(claims_verdict(exp, ms(31'000)), "token_expired: exp");
  const std::string nbf = R"({"exp":9999999999,"nbf":1800000000})";
  EXPECT_EQ(claims_verdict(nbf, ms(-29'000)), "ok");
  EXPECT_EQ(claims_verdict(nbf, ms(-30'000)), "ok");
  EXPECT_EQ(claims_verdict(nbf, ms(-31'000)), "bad_token: nbf is ahead");
  const std::string iat = R"({"exp":9999999999,"iat":1800000000})";
  EXPECT_EQ(claims_verdict(iat, ms(-29'000)), "ok");
  EXPECT_EQ(claims_verdict(iat, ms(-31'000)), "bad_token: iat is ahead");
  JwtSettings strict = hs_settings();
  strict.issuer.clear();
  strict.audience.clear();
  strict.leeway_seconds = 0;
  EXPECT_EQ(verdict(strict, hs(kHeader, exp), ms(-1)), "ok");
  EXPECT_EQ(verdict(strict, hs(kHeader, exp), ms(0)), "token_expired: exp");
  strict.leeway_seconds = 301;
  EXPECT_TRUE(verdict(strict, hs(kHeader, exp)).starts_with("make: "));
  strict.leeway_seconds = -1;
  EXPECT_TRUE(verdict(strict, hs(kHeader, exp)).starts_with("make: "));
}

TEST(Jwt, HoldsMaxLifetime) {
  JwtSettings settings = hs_settings();
  settings.issuer.clear();
  settings.audience.clear();
  settings.max_lifetime_seconds = 3600;
  EXPECT_EQ(verdict(settings, hs(kHeader, R"({"iat":1800000000,"exp":1800003600})")), "ok");
  EXPECT_EQ(verdict(settings, hs(kHeader, R"({"iat":1800000000,"exp":1800003601})")),
            "bad_token: lives longer than max_lifetime");
  EXPECT_EQ(verdict(settings, hs(kHeader, R"({"exp":1800003600})")),
            "bad_token: no iat, which max_lifetime needs");
}

TEST(Jwt, ComparesIssuerAndAudienceExactly) {
  const auto check = [](std::string_view iss, std::string_view aud) {
    std::string claims = R"({"exp":1800000100)";
    if (!iss.empty()) claims += R"(,"iss":)" + std::string(iss);
    if (!aud.empty()) claims += R"(,"aud":)" + std::string(aud);
    return verdict(hs_settings(), hs(kHeader, claims + "}"));
  };
  constexpr std::string_view kIss = R"("https://id.example.com")";
  EXPECT_EQ(check(kIss, R"("chat")"), "ok");
  EXPECT_EQ(check(kIss, R"(["a","chat"])"), "ok");
  for (const char* iss : {"", R"("https://id.example.com/")", R"("https://id.example.co")",
                          R"("HTTPS://id.example.com")", R"("")", R"("https://id.example.com ")"}) {
    EXPECT_EQ(check(iss, R"("chat")"), "bad_token: iss") << iss;
  }
  for (const char* aud : {"", R"("cha")", R"("chatter")", R"("Chat")", R"("")", R"([])", R"(["cha","t"])",
                          R"("chat,x")", R"("chat x")"}) {
    EXPECT_EQ(check(kIss, aud), "bad_token: aud") << aud;
  }
  for (const char* iss :
       {"7", "null", R"(["https://id.example.com"])", R"("https://id.example.com\u0000")"}) {
    EXPECT_EQ(check(iss, R"("chat")"), "bad_token: iss is not a string") << iss;
  }
  for (const char* aud :
       {"7", "null", "{}", R"(["chat",7])", R"([["chat"]])", R"("chat\u0000")", R"(["chat","a\u0000"])"}) {
    EXPECT_EQ(check(kIss, aud), "bad_token: aud is not a string or a list of strings") << aud;
  }
}

TEST(Jwt, RefusesClaimsThatAreAmbiguousOrTooDeep) {
  for (const std::string& claims :
       {std::string(R"({"exp":9999999999,"sub":"a","sub":"root"})"),
        std::string(R"({"exp":9999999999,"s\u0075b":"a","sub":"root"})"),
        std::string(R"([{"exp":9999999999}])"), std::string("7"), std::string(R"({"exp":9999999999)"),
        R"({"exp":9999999999,"x":)" + std::string(1000, '[') + std::string(1000, ']') + "}",
        std::string(5000, '['), std::string("{\"exp\":9999999999,\"x\":\"\xff\"}"),
        std::string(R"({"exp":9999999999} )") + "x"}) {
    EXPECT_EQ(claims_verdict(claims), "bad_token: payload is not a JSON object") << claims.substr(0, 60);
  }
  std::string many = R"({"exp":9999999999)";
  for (int i = 0; i < 100; ++i) many += ",\"m" + std::to_string(i) + "\":0";
  EXPECT_EQ(claims_verdict(many + "}"), "bad_token: payload is not a JSON object");
  EXPECT_EQ(claims_verdict(R"({"exp":9999999999,"sub":7})"), "bad_token: sub is not a string");
  EXPECT_EQ(claims_verdict(R"({"exp":9999999999,"sub":"a\u0000b"})"), "bad_token: sub is not a string");
}

TEST(Jwt, ReadsNoClaimBeforeTheSignatureIsGood) {
  const std::string token =
      token_of(JwsAlgorithm::hs256, "another secret of thirty-two octets", kHeader, "not json");
  EXPECT_EQ(verdict(hs_settings(), token), "bad_token: signature");
  const std::string expired =
      token_of(JwsAlgorithm::hs256, "another secret of thirty-two octets", kHeader, R"({"exp":1})");
  EXPECT_EQ(verdict(hs_settings(), expired), "bad_token: signature");
}

TEST(Jwt, HoldsRequiredClaims) {
  const auto check = [](RequiredClaim rule, std::string_view claim) {
    JwtSettings settings = hs_settings();
    settings.issuer.clear();
    settings.audience.clear();
    settings.required = {std::move(rule)};
    return verdict(settings, hs(kHeader, R"({"exp":1800000100)" + std::string(claim) + "}"));
  };
  const std::string no = "scope: a required claim";
  EXPECT_EQ(check({"role", {}}, R"(,"role":1)"), "ok");
  EXPECT_EQ(check({"role", {}}, ""), no);
  EXPECT_EQ(check({"role", {}}, R"(,"role":null)"), no);
  EXPECT_EQ(check({"role", {"admin", "ops"}}, R"(,"role":"ops")"), "ok");
  EXPECT_EQ(check({"role", {"admin", "ops"}}, R"(,"role":["x","admin"])"), "ok");
  EXPECT_EQ(check({"role", {"admin"}}, R"(,"role":"administrator")"), no);
  EXPECT_EQ(check({"role", {"admin"}}, R"(,"role":"admin ops")"), no);
  EXPECT_EQ(check({"role", {"admin"}}, R"(,"role":[["admin"]])"), no);
  EXPECT_EQ(check({"role", {"admin"}}, R"(,"role":{"admin":true})"), no);
  EXPECT_EQ(check({"scope", {"chat"}}, R"(,"scope":"read chat write")"), "ok");
  EXPECT_EQ(check({"scope", {"chat"}}, R"(,"scope":"chatter rechat")"), no);
  EXPECT_EQ(check({"scope", {"chat"}}, R"(,"scope":"  ")"), no);
  EXPECT_EQ(check({"scope", {"chat"}}, R"(,"scope":["chat"])"), "ok");
  EXPECT_EQ(check({"email_verified", {"true"}}, R"(,"email_verified":true)"), "ok");
  EXPECT_EQ(check({"level", {"3"}}, R"(,"level":3)"), "ok");
}

TEST(Jwt, RefusesSettingsThatCannotBeSafe) {
  const auto why_of = [](const JwtSettings& settings) {
    std::string why;
    return Jwt::make(context(), settings, why) ? std::string("made") : why;
  };
  JwtSettings settings = hs_settings();
  settings.algorithms = {JwsAlgorithm::hs256, JwsAlgorithm::rs256};
  EXPECT_EQ(why_of(settings), "HS* cannot be mixed with other algorithms");
  settings.algorithms = {};
  EXPECT_EQ(why_of(settings), "no algorithm is allowed");
  settings = hs_settings();
  settings.algorithms = {JwsAlgorithm::rs256};
  EXPECT_EQ(why_of(settings), "a secret serves HS* only");
  settings = hs_settings();
  settings.secret = "short";
  EXPECT_EQ(why_of(settings), "a secret must have at least 32 octets");
  settings.secret.clear();
  EXPECT_EQ(why_of(settings), "exactly one of a secret, a public key and a JWK Set is needed");
  settings.public_key = test::rsa_key().public_pem();
  EXPECT_EQ(why_of(settings), "a public key cannot serve HS*");
  settings.algorithms = {JwsAlgorithm::es256};
  EXPECT_EQ(why_of(settings), "no key can serve ES256");
  settings.secret = test::kSecret;
  EXPECT_EQ(why_of(settings), "exactly one of a secret, a public key and a JWK Set is needed");
}

TEST(Mint, RefusesClaimsThatAreNoObjectAndKeysThatCannotSign) {
  std::string why;
  EXPECT_FALSE(mint(context(), JwsAlgorithm::hs256, test::kSecret, "", "[]", why));
  EXPECT_FALSE(mint(context(), JwsAlgorithm::hs256, test::kSecret, "", "{", why));
  EXPECT_FALSE(mint(context(), JwsAlgorithm::hs256, "short", "", "{}", why));
  EXPECT_FALSE(mint(context(), JwsAlgorithm::rs256, test::kSecret, "", "{}", why));
  EXPECT_FALSE(mint(context(), JwsAlgorithm::hs256, test::kSecret, std::string(129, 'k'), "{}", why));
}

// ---- keys from elsewhere

class JwtOfASource : public testing::Test {
 protected:
  JwtOfASource() {
    settings_.algorithms = {JwsAlgorithm::es256, JwsAlgorithm::rs256};
    source_->on_asked([this] { ++asked_; });
    std::string why;
    jwt_ = Jwt::make(context(), settings_, why, source_);
    EXPECT_TRUE(jwt_) << why;
  }
  std::string verdict_of(std::string_view token) {
    const auto identity = jwt_->verify(token, at(kNow));
    return identity ? "ok" : std::string(row(identity.error().code).name) + ": " + identity.error().detail;
  }
  static std::string token(std::string_view kid, const KeyPair& pair = test::p256_key()) {
    return token_of(JwsAlgorithm::es256, pair.private_pem(), R"({"alg":"ES256","kid":")" + std::string(kid) + "\"}", kClaims);
  }

  JwtSettings settings_;
  std::shared_ptr<KeySource> source_ = std::make_shared<KeySource>(KeySourceSettings{.url = "https://id.example.com/keys"});
  std::unique_ptr<Jwt> jwt_;
  int asked_ = 0;
  static constexpr Instant kMoment{std::chrono::seconds(1000)};
};

TEST_F(JwtOfASource, CannotJudgeBeforeThereAreKeysAndBlamesNobody) {
  EXPECT_EQ(verdict_of(token("a")), "keys_unavailable: no keys to check it by");
  EXPECT_EQ(row(Errc::keys_unavailable).status, 503);
}

TEST_F(JwtOfASource, RefusesWhatIsNoTokenWithoutAnyKeys) {
  EXPECT_EQ(verdict_of("a.b"), "bad_token: not three parts");
  EXPECT_EQ(verdict_of(hs(kHeader, kClaims)), "bad_token: alg not allowed");
  EXPECT_EQ(asked_, 0);
}

TEST_F(JwtOfASource, ChecksByTheKeysThatAreThereNow) {
  source_->publish(set_of({jwk_of(test::p256_key(), "a")}));
  EXPECT_EQ(verdict_of(token("a")), "ok");
  EXPECT_EQ(verdict_of(token("b")), "unknown_key: kid not known");
  source_->publish(set_of({jwk_of(test::p256_key(), "b")}));
  EXPECT_EQ(verdict_of(token("b")), "ok");
  EXPECT_EQ(verdict_of(token("a")), "unknown_key: kid not known") << "a key that was taken away serves no more";
  source_->withdraw();
  EXPECT_EQ(verdict_of(token("b")), "keys_unavailable: no keys to check it by");
}

TEST_F(JwtOfASource, OldAndNewKeysServeBesideEachOther) {
  source_->publish(set_of({jwk_of(test::p256_key(), "old"), jwk_of(test::rsa_key(), "new")}));
  EXPECT_EQ(verdict_of(token("old")), "ok");
  EXPECT_EQ(verdict_of(token_of(JwsAlgorithm::rs256, test::rsa_key().private_pem(), R"({"alg":"RS256","kid":"new"})", kClaims)), "ok");
}

TEST_F(JwtOfASource, AKeyOfAnotherKindOrAnotherOwnerIsNoUnknownKey) {
  source_->publish(set_of({jwk_of(test::rsa_key(), "a"), jwk_of(test::p256_key(), "b")}));
  EXPECT_EQ(verdict_of(token("a")), "bad_token: alg does not fit the key");
  const KeyPair other = KeyPair::ec("P-256");
  EXPECT_EQ(verdict_of(token("b", other)), "bad_token: signature");
}

TEST_F(JwtOfASource, TextThatIsNoSetLeavesNoKeyBehind) {
  source_->publish(set_of({jwk_of(test::p256_key(), "a")}));
  EXPECT_EQ(verdict_of(token("a")), "ok");
  source_->publish("{}");
  EXPECT_EQ(verdict_of(token("a")), "keys_unavailable: no keys to check it by");
}

TEST_F(JwtOfASource, TellsWhenOtherKeysAreInForce) {
  const std::uint64_t before = jwt_->generation();
  source_->publish(set_of({jwk_of(test::p256_key(), "a")}));
  EXPECT_NE(jwt_->generation(), before);
}

TEST_F(JwtOfASource, WaitsForAKeyAndFindsIt) {
  source_->publish(set_of({jwk_of(test::p256_key(), "old")}));
  EXPECT_EQ(verdict_of(token("new")), "unknown_key: kid not known");
  int woken = 0;
  const auto wait = jwt_->wait(token("new"), kMoment, [&] { ++woken; });
  ASSERT_TRUE(wait);
  EXPECT_EQ(asked_, 1);
  source_->publish(set_of({jwk_of(test::p256_key(), "old"), jwk_of(test::p256_key(), "new")}));
  source_->answered();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(verdict_of(token("new")), "ok");
}

TEST_F(JwtOfASource, WaitsForItsFirstKeysToo) {
  EXPECT_TRUE(jwt_->wait(token("a"), kMoment, nullptr));
  EXPECT_EQ(asked_, 1);
}

TEST_F(JwtOfASource, NobodyWaitsForAnIdThatWasGivenUp) {
  source_->publish(set_of({jwk_of(test::p256_key(), "a")}));
  jwt_->give_up(token("none"), kMoment);
  EXPECT_EQ(jwt_->wait(token("none"), kMoment + std::chrono::seconds(29), nullptr), nullptr);
  EXPECT_EQ(asked_, 0) << "nor is it asked for";
  EXPECT_TRUE(jwt_->wait(token("other"), kMoment, nullptr));
  EXPECT_TRUE(jwt_->wait(token("none"), kMoment + std::chrono::seconds(30), nullptr));
}

TEST_F(JwtOfASource, AnIdThatWasGivenUpServesAsSoonAsItIsThere) {
  source_->publish(set_of({jwk_of(test::p256_key(), "a")}));
  jwt_->give_up(token("late"), kMoment);
  source_->publish(set_of({jwk_of(test::p256_key(), "late")}));
  EXPECT_EQ(verdict_of(token("late")), "ok");
}

TEST_F(JwtOfASource, KeysOfAFileAreWaitedForByNobody) {
  std::string why;
  const auto jwt = Jwt::make(context(), hs_settings(), why);
  ASSERT_TRUE(jwt) << why;
  EXPECT_EQ(jwt->wait(hs(R"({"alg":"HS256","kid":"x"})", kClaims), kMoment, nullptr), nullptr);
  EXPECT_EQ(jwt->generation(), 0u);
}

TEST_F(JwtOfASource, NeverServesSecretsNorBesideOtherKeys) {
  std::string why;
  JwtSettings secret;
  secret.algorithms = {JwsAlgorithm::hs256};
  EXPECT_FALSE(Jwt::make(context(), secret, why, source_));
  EXPECT_EQ(why, "keys from elsewhere cannot serve HS*");
  settings_.public_key = test::p256_key().public_pem();
  EXPECT_FALSE(Jwt::make(context(), settings_, why, source_));
  EXPECT_EQ(why, "exactly one of a secret, a public key and a JWK Set is needed");
  EXPECT_EQ(Jwt::make(context(), secret, why), nullptr) << "nor is no key at all enough";
}

TEST_F(JwtOfASource, ASecretInAFetchedSetIsLeftOut) {
  source_->publish(set_of({jwk_of(test::p256_key(), "a"), R"({"kty":"oct","kid":"s","k":")" + base64url(as_bytes(test::kSecret)) + "\"}"}));
  EXPECT_EQ(verdict_of(token("a")), "ok");
  EXPECT_EQ(verdict_of(token_of(JwsAlgorithm::hs256, test::kSecret, R"({"alg":"HS256","kid":"s"})", kClaims)), "bad_token: alg not allowed");
}

}  // namespace
}  // namespace sluice::policy
