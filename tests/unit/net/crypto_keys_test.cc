#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "net/crypto.h"
#include "support/keys.h"

namespace sluice::net {
namespace {

using test::KeyPair;
using test::Octets;

struct Case {
  JwsAlgorithm algorithm;
  const KeyPair* pair;  // null: the secret
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto a : {JwsAlgorithm::hs256, JwsAlgorithm::hs384, JwsAlgorithm::hs512})
    all.push_back({a, nullptr});
  for (const auto a : {JwsAlgorithm::rs256, JwsAlgorithm::rs384, JwsAlgorithm::rs512, JwsAlgorithm::ps256,
                       JwsAlgorithm::ps384, JwsAlgorithm::ps512}) {
    all.push_back({a, &test::rsa_key()});
  }
  all.push_back({JwsAlgorithm::es256, &test::p256_key()});
  all.push_back({JwsAlgorithm::es384, &test::p384_key()});
  all.push_back({JwsAlgorithm::es512, &test::p521_key()});
  all.push_back({JwsAlgorithm::eddsa, &test::ed25519_key()});
  return all;
}

std::string signing_key(const Case& c) { return c.pair ? c.pair->private_pem() : std::string(test::kSecret); }

std::optional<VerifyKey> verify_key(CryptoContext& context, const Case& c, std::string& why) {
  return c.pair ? VerifyKey::from_pem(context, c.pair->public_pem(), why)
                : VerifyKey::from_secret(context, test::kSecret, why);
}

Octets order_of(const KeyPair& pair, std::size_t size) { return pair.number(OSSL_PKEY_PARAM_EC_ORDER, size); }

Octets joined(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(JwsAlgorithms, HaveExactNames) {
  for (const Case& c : cases()) EXPECT_EQ(jws_algorithm(name(c.algorithm)), c.algorithm);
  EXPECT_EQ(jws_algorithm("Ed25519"), JwsAlgorithm::eddsa);
  for (const char* text :
       {"none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "RS1", "ES256K", "eddsa", "Ed448"}) {
    EXPECT_FALSE(jws_algorithm(text)) << text;
  }
}

TEST(VerifyKey, ChecksSignaturesOfAllThirteenAlgorithmsAgainAndAgain) {
  CryptoContext context;
  for (const Case& c : cases()) {
    SCOPED_TRACE(name(c.algorithm));
    std::string why;
    const auto key = verify_key(context, c, why);
    ASSERT_TRUE(key) << why;
    ASSERT_TRUE(key->serves(c.algorithm));
    const auto signature = sign(context, c.algorithm, signing_key(c), as_bytes("message"), why);
    ASSERT_TRUE(signature) << why;
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(key->verify(c.algorithm, as_bytes("message"), *signature));
      EXPECT_FALSE(key->verify(c.algorithm, as_bytes("massage"), *signature));
    }
    auto bent = *signature;
    bent[bent.size() / 2] ^= 1;
    EXPECT_FALSE(key->verify(c.algorithm, as_bytes("message"), bent));
    EXPECT_FALSE(
        key->verify(c.algorithm, as_bytes("message"), Bytes(*signature).first(signature->size() - 1)));
    auto longer = *signature;
    longer.push_back(0);
    EXPECT_FALSE(key->verify(c.algorithm, as_bytes("message"), longer));
    EXPECT_FALSE(key->verify(c.algorithm, as_bytes("message"), {}));
    EXPECT_TRUE(key->verify(c.algorithm, as_bytes("message"), *signature));
  }
}

TEST(VerifyKey, ServesOnlyTheAlgorithmsOfItsKind) {
  CryptoContext context;
  std::string why;
  for (const Case& c : cases()) {
    const auto key = verify_key(context, c, why);
    const auto signature = sign(context, c.algorithm, signing_key(c), as_bytes("m"), why);
    ASSERT_TRUE(key && signature) << why;
    for (const Case& other : cases()) {
      const bool same_kind = c.pair == other.pair;
      EXPECT_EQ(key->serves(other.algorithm), same_kind) << name(c.algorithm) << name(other.algorithm);
      EXPECT_EQ(key->verify(other.algorithm, as_bytes("m"), *signature), c.algorithm == other.algorithm);
    }
  }
}

TEST(VerifyKey, AgreesWithTheHmacExampleOfRfc7515) {
  const auto secret = from_base64url(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
  const auto signature = from_base64url("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  CryptoContext context;
  std::string why;
  const auto key = VerifyKey::from_secret(context, as_text(*secret), why);
  ASSERT_TRUE(key) << why;
  EXPECT_TRUE(key->verify(
      JwsAlgorithm::hs256,
      as_bytes(
          "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
          "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"),
      *signature));
}

TEST(VerifyKey, AgreesWithTheEd25519ExampleOfRfc8037) {
  CryptoContext context;
  std::string why;
  const auto key =
      VerifyKey::from_ed25519(context, *from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), why);
  ASSERT_TRUE(key) << why;
  EXPECT_TRUE(key->verify(
      JwsAlgorithm::eddsa, as_bytes("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
      *from_base64url(
          "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")));
}

TEST(VerifyKey, AgreesWithTheEcExampleOfRfc7515) {
  CryptoContext context;
  std::string why;
  const auto key =
      VerifyKey::from_ec(context, "P-256", *from_base64url("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                         *from_base64url("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"), why);
  ASSERT_TRUE(key) << why;
  EXPECT_TRUE(key->verify(
      JwsAlgorithm::es256,
      as_bytes(
          "eyJhbGciOiJFUzI1NiJ9."
          "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"),
      *from_base64url(
          "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")));
}

TEST(VerifyKey, RefusesEveryFalseFormOfAnEcdsaSignature) {
  CryptoContext context;
  std::string why;
  const struct {
    JwsAlgorithm algorithm;
    const KeyPair& pair;
    std::size_t half;
  } rows[] = {{JwsAlgorithm::es256, test::p256_key(), 32},
              {JwsAlgorithm::es384, test::p384_key(), 48},
              {JwsAlgorithm::es512, test::p521_key(), 66}};
  for (const auto& row : rows) {
    SCOPED_TRACE(name(row.algorithm));
    const auto key = VerifyKey::from_pem(context, row.pair.public_pem(), why);
    const auto good = sign(context, row.algorithm, row.pair.private_pem(), as_bytes("m"), why);
    ASSERT_TRUE(key && good) << why;
    ASSERT_EQ(good->size(), 2 * row.half);
    ASSERT_TRUE(key->verify(row.algorithm, as_bytes("m"), *good));
    const Octets r(good->begin(), good->begin() + row.half);
    const Octets s(good->begin() + row.half, good->end());
    const Octets zero(row.half, 0);
    const Octets n = order_of(row.pair, row.half);
    Octets over = n;
    over.back() += 1;
    const Octets ones(row.half, 0xff);
    for (const Octets& bad :
         {joined(zero, zero), joined(zero, s), joined(r, zero), joined(n, s), joined(r, n), joined(n, n),
          joined(over, s), joined(r, over), joined(ones, ones), joined(s, r)}) {
      EXPECT_FALSE(key->verify(row.algorithm, as_bytes("m"), bad));
    }
    Octets shorter(good->begin(), good->end() - 1);
    Octets longer = joined(*good, {0});
    Octets padded = joined({0}, *good);
    EXPECT_FALSE(key->verify(row.algorithm, as_bytes("m"), shorter));
    EXPECT_FALSE(key->verify(row.algorithm, as_bytes("m"), longer));
    EXPECT_FALSE(key->verify(row.algorithm, as_bytes("m"), padded));

    Octets der(2 * row.half + 16);
    std::size_t length = der.size();
    EVP_MD_CTX* signer = EVP_MD_CTX_new();
    EVP_DigestSignInit(signer, nullptr,
                       row.half == 32   ? EVP_sha256()
                       : row.half == 48 ? EVP_sha384()
                                        : EVP_sha512(),
                       nullptr, row.pair.raw());
    ASSERT_EQ(EVP_DigestSign(signer, der.data(), &length, reinterpret_cast<const unsigned char*>("m"), 1), 1);
    EVP_MD_CTX_free(signer);
    der.resize(length);
    EXPECT_FALSE(key->verify(row.algorithm, as_bytes("m"), der));
  }
}

TEST(VerifyKey, RefusesPssWithAnotherSaltLength) {
  CryptoContext context;
  std::string why;
  const auto key = VerifyKey::from_pem(context, test::rsa_key().public_pem(), why);
  ASSERT_TRUE(key) << why;
  for (const int salt : {0, 20, 32, 48}) {
    EVP_MD_CTX* signer = EVP_MD_CTX_new();
    EVP_PKEY_CTX* parameters = nullptr;
    EVP_DigestSignInit(signer, &parameters, EVP_sha256(), nullptr, test::rsa_key().raw());
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt);
    Octets signature(256);
    std::size_t length = signature.size();
    ASSERT_EQ(
        EVP_DigestSign(signer, signature.data(), &length, reinterpret_cast<const unsigned char*>("m"), 1), 1);
    EVP_MD_CTX_free(signer);
    EXPECT_EQ(key->verify(JwsAlgorithm::ps256, as_bytes("m"), signature), salt == 32) << salt;
  }
}

TEST(VerifyKey, IsMadeFromTheNumbersOfAJwk) {
  CryptoContext context;
  std::string why;
  const KeyPair& rsa = test::rsa_key();
  const auto key = VerifyKey::from_rsa(context, rsa.n(), rsa.e(), why);
  ASSERT_TRUE(key) << why;
  const auto signature = sign(context, JwsAlgorithm::ps384, rsa.private_pem(), as_bytes("m"), why);
  EXPECT_TRUE(key->verify(JwsAlgorithm::ps384, as_bytes("m"), *signature));
  EXPECT_TRUE(VerifyKey::from_ec(context, "P-521", test::p521_key().x(66), test::p521_key().y(66), why))
      << why;
}

TEST(VerifyKey, RefusesKeysThatAreTooWeakOrTooLarge) {
  CryptoContext context;
  for (const unsigned bits : {1024U, 2040U}) {
    const KeyPair weak = KeyPair::rsa(bits);
    std::string why;
    EXPECT_FALSE(VerifyKey::from_pem(context, weak.public_pem(), why));
    EXPECT_NE(why, "");
    EXPECT_FALSE(VerifyKey::from_rsa(context, weak.n(), weak.e(), why));
    EXPECT_FALSE(sign(context, JwsAlgorithm::rs256, weak.private_pem(), as_bytes("m"), why));
  }
  std::string why;
  Octets huge(1025, 0xff);  // 8200 bits
  EXPECT_FALSE(VerifyKey::from_rsa(context, huge, Octets{1, 0, 1}, why));
  EXPECT_FALSE(VerifyKey::from_rsa(context, test::rsa_key().n(), Octets{1}, why));
  EXPECT_FALSE(VerifyKey::from_rsa(context, test::rsa_key().n(), Octets{2}, why));
  EXPECT_FALSE(VerifyKey::from_rsa(context, test::rsa_key().n(), Octets(9, 0xff), why));
  EXPECT_FALSE(VerifyKey::from_rsa(context, {}, {}, why));
  EXPECT_FALSE(VerifyKey::from_secret(context, std::string(31, 'x'), why));
  EXPECT_TRUE(VerifyKey::from_secret(context, std::string(32, 'x'), why));
}

TEST(VerifyKey, RefusesPointsOffTheCurveAndUnknownCurves) {
  CryptoContext context;
  const KeyPair& pair = test::p256_key();
  std::string why;
  Octets bent = pair.y(32);
  bent[31] ^= 1;
  EXPECT_FALSE(VerifyKey::from_ec(context, "P-256", pair.x(32), bent, why));
  EXPECT_NE(why, "");
  EXPECT_FALSE(VerifyKey::from_ec(context, "P-256", Octets(32, 0), Octets(32, 0), why));
  EXPECT_FALSE(VerifyKey::from_ec(context, "P-384", pair.x(32), pair.y(32), why));
  EXPECT_FALSE(VerifyKey::from_ec(context, "P-256", pair.x(33), pair.y(33), why));
  EXPECT_FALSE(VerifyKey::from_ec(context, "secp256k1", pair.x(32), pair.y(32), why));
  const KeyPair other = KeyPair::ec("secp256k1");
  EXPECT_FALSE(VerifyKey::from_pem(context, other.public_pem(), why));
  EXPECT_FALSE(VerifyKey::from_pem(context, KeyPair::ed448().public_pem(), why));
  EXPECT_FALSE(VerifyKey::from_ed25519(context, Octets(31, 1), why));
  EXPECT_FALSE(VerifyKey::from_ed25519(context, Octets(33, 1), why));
}

TEST(VerifyKey, RefusesAnEncodedKeyAsSecret) {
  CryptoContext context;
  std::string why;
  EXPECT_FALSE(VerifyKey::from_secret(context, test::rsa_key().public_pem(), why));
  EXPECT_FALSE(VerifyKey::from_secret(
      context, R"({"kty":"RSA","n":"0123456789abcdef0123456789abcdef","e":"AQAB"})", why));
  EXPECT_FALSE(sign(context, JwsAlgorithm::hs256, test::rsa_key().public_pem(), as_bytes("m"), why));
}

TEST(VerifyKey, RefusesPrivateKeysGarbageAndBundles) {
  CryptoContext context;
  const KeyPair& pair = test::p256_key();
  for (const std::string& pem : {pair.private_pem(), std::string(""), std::string("hello"),
                                 std::string("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
                                 pair.public_pem() + pair.public_pem()}) {
    std::string why;
    EXPECT_FALSE(VerifyKey::from_pem(context, pem, why));
    EXPECT_NE(why, "");
  }
}

TEST(VerifyKey, LeavesNoErrorsInTheThreadsQueue) {
  CryptoContext context;
  std::string why;
  const auto key = VerifyKey::from_pem(context, test::rsa_key().public_pem(), why);
  EXPECT_FALSE(key->verify(JwsAlgorithm::rs256, as_bytes("m"), Octets(256, 0xff)));
  EXPECT_FALSE(
      VerifyKey::from_pem(context, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", why));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Sign, RefusesAKeyOfAnotherKindAndOneBehindAPassphrase) {
  CryptoContext context;
  std::string why;
  EXPECT_FALSE(sign(context, JwsAlgorithm::es384, test::p256_key().private_pem(), as_bytes("m"), why));
  EXPECT_FALSE(sign(context, JwsAlgorithm::rs256, test::p256_key().private_pem(), as_bytes("m"), why));
  EXPECT_FALSE(sign(context, JwsAlgorithm::rs256, test::rsa_key().public_pem(), as_bytes("m"), why));
  EXPECT_FALSE(
      sign(context, JwsAlgorithm::rs256, test::rsa_key().encrypted_private_pem(), as_bytes("m"), why));
  EXPECT_FALSE(sign(context, JwsAlgorithm::hs256, "short", as_bytes("m"), why));
}

}  // namespace
}  // namespace sluice::net
