// Verification keys: what may serve as one, and the check of one signature.
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>

#include "base/result.h"
#include "net/crypto.h"
#include "net/crypto_detail.h"

namespace sluice::net {
namespace {

using namespace detail;

struct AlgorithmRow {
  std::string_view name;
  Family family;
  const char* digest;       // null: the algorithm has its own
  std::size_t part_octets;  // of r and of s
};

constexpr std::array<AlgorithmRow, 13> kAlgorithms{{
    {"HS256", Family::hmac, "SHA256", 0},
    {"HS384", Family::hmac, "SHA384", 0},
    {"HS512", Family::hmac, "SHA512", 0},
    {"RS256", Family::rsa, "SHA256", 0},
    {"RS384", Family::rsa, "SHA384", 0},
    {"RS512", Family::rsa, "SHA512", 0},
    {"PS256", Family::rsa, "SHA256", 0},
    {"PS384", Family::rsa, "SHA384", 0},
    {"PS512", Family::rsa, "SHA512", 0},
    {"ES256", Family::p256, "SHA256", 32},
    {"ES384", Family::p384, "SHA384", 48},
    {"ES512", Family::p521, "SHA512", 66},
    {"EdDSA", Family::ed25519, nullptr, 0},
}};

const AlgorithmRow& row_of(JwsAlgorithm algorithm) {
  return kAlgorithms[static_cast<std::size_t>(algorithm)];
}

struct CurveRow {
  Family family;
  std::string_view jwk_name;  // RFC 7518 §6.2.1.1
  const char* group;
  std::size_t octets;
};

constexpr std::array<CurveRow, 3> kCurves{{
    {Family::p256, "P-256", "prime256v1", 32},
    {Family::p384, "P-384", "secp384r1", 48},
    {Family::p521, "P-521", "secp521r1", 66},
}};

constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr std::size_t kMinSecret = 32;

// Everything that one algorithm needs with one key, made at its first use and copied or re-initialised after
// that.
struct Prepared {
  MdCtx asymmetric;
  MacCtx mac;
};

}  // namespace

namespace detail {

Family family(JwsAlgorithm algorithm) { return row_of(algorithm).family; }
const char* digest_name(JwsAlgorithm algorithm) { return row_of(algorithm).digest; }
std::size_t part_octets(JwsAlgorithm algorithm) { return row_of(algorithm).part_octets; }
bool is_pss(JwsAlgorithm algorithm) {
  return algorithm >= JwsAlgorithm::ps256 && algorithm <= JwsAlgorithm::ps512;
}

std::optional<Family> family_of(EVP_PKEY* key, std::string& why) {
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
      why = "an RSA key must have 2048 to 8192 bits, this one has " + std::to_string(bits);
      return std::nullopt;
    }
    BIGNUM* exponent = nullptr;
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent);
    const Bn e(exponent);
    if (!e || !BN_is_odd(e.get()) || BN_is_one(e.get()) || BN_num_bits(e.get()) > 64) {
      why = "the RSA exponent must be odd, at least 3 and at most 64 bits";
      return std::nullopt;
    }
    return Family::rsa;
  }
  if (EVP_PKEY_is_a(key, "ED25519")) return Family::ed25519;
  if (EVP_PKEY_is_a(key, "EC")) {
    int is_explicit = 0;
    EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit);
    std::array<char, 64> group{};
    std::size_t length = 0;
    if (is_explicit == 0 && EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) == 1) {
      for (const CurveRow& curve : kCurves) {
        if (std::string_view(group.data(), length) == curve.group) return curve.family;
      }
    }
    why = "the curve must be P-256, P-384 or P-521, by its name";
    return std::nullopt;
  }
  why = "the key must be RSA, EC or Ed25519";
  return std::nullopt;
}

bool set_padding(EVP_PKEY_CTX* context, JwsAlgorithm algorithm) {
  if (family(algorithm) != Family::rsa) return true;
  if (!is_pss(algorithm)) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
  // RFC 7518 §3.5: the salt is as long as the digest; MGF1 uses the same digest, which is OpenSSL's default.
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
}

MacCtx keyed_mac(CryptoContext& context, JwsAlgorithm algorithm, std::string_view secret) {
  const Mac mac(EVP_MAC_fetch(context.raw(), "HMAC", nullptr));
  MacCtx keyed(mac ? EVP_MAC_CTX_new(mac.get()) : nullptr);
  std::string digest = digest_name(algorithm);
  const std::array<OSSL_PARAM, 2> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  const Bytes octets = as_bytes(secret);
  if (!keyed || EVP_MAC_init(keyed.get(), octets.data(), octets.size(), parameters.data()) != 1)
    return nullptr;
  return keyed;
}

bool usable_secret(std::string_view secret, std::string& why) {
  // RFC 7518 §3.2 asks for a key at least as long as the digest's output; 256 bits is the floor for all.
  if (secret.size() < kMinSecret) {
    why = "a secret must have at least 32 octets";
    return false;
  }
  if (secret.find("-----BEGIN ") != std::string_view::npos ||
      (secret.find('{') != std::string_view::npos && secret.find("\"kty\"") != std::string_view::npos)) {
    why = "this is an encoded key (PEM or JWK), not a secret";
    return false;
  }
  return true;
}

}  // namespace detail

std::optional<JwsAlgorithm> jws_algorithm(std::string_view name) {
  if (name == "Ed25519") return JwsAlgorithm::eddsa;  // the fully specified name of RFC 9864
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
    if (kAlgorithms[i].name == name) return static_cast<JwsAlgorithm>(i);
  }
  return std::nullopt;
}

std::string_view name(JwsAlgorithm algorithm) { return row_of(algorithm).name; }
bool is_hmac(JwsAlgorithm algorithm) { return row_of(algorithm).family == Family::hmac; }

struct VerifyKey::Impl {
  CryptoContext* context = nullptr;
  Family family = Family::hmac;
  std::string secret;
  Pkey key;
  std::vector<std::uint8_t> order;  // of the curve, big-endian, as long as r and s
  std::array<Prepared, kAlgorithms.size()> prepared;
  MdCtx work{EVP_MD_CTX_new()};

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { cleanse({reinterpret_cast<std::uint8_t*>(secret.data()), secret.size()}); }

  static std::unique_ptr<Impl> of(CryptoContext& context, Pkey key, std::string& why);
  bool verify_mac(JwsAlgorithm algorithm, Bytes message, Bytes signature);
  bool verify_asymmetric(JwsAlgorithm algorithm, Bytes message, Bytes signature);
  bool prepare(JwsAlgorithm algorithm, MdCtx& out) const;
  std::vector<std::uint8_t> der_of(Bytes signature) const;
};

std::unique_ptr<VerifyKey::Impl> VerifyKey::Impl::of(CryptoContext& context, Pkey key, std::string& why) {
  const auto family = family_of(key.get(), why);
  if (!family) return nullptr;
  const PkeyCtx checker(EVP_PKEY_CTX_new_from_pkey(context.raw(), key.get(), nullptr));
  if (!checker || EVP_PKEY_public_check(checker.get()) != 1) {
    why = "the public key is not valid (a point off its curve, or a bad modulus)";
    return nullptr;
  }
  auto impl = std::make_unique<Impl>();
  impl->context = &context;
  impl->family = *family;
  for (const CurveRow& curve : kCurves) {
    if (curve.family != *family) continue;
    BIGNUM* order = nullptr;
    EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_EC_ORDER, &order);
    const Bn owned(order);
    impl->order.resize(curve.octets);
    if (!owned || BN_bn2binpad(owned.get(), impl->order.data(), static_cast<int>(curve.octets)) < 0) {
      why = "the order of the curve is not known";
      return nullptr;
    }
  }
  impl->key = std::move(key);
  return impl;
}

bool VerifyKey::Impl::verify_mac(JwsAlgorithm algorithm, Bytes message, Bytes signature) {
  MacCtx& mac = prepared[static_cast<std::size_t>(algorithm)].mac;
  if (!mac) {
    mac = keyed_mac(*context, algorithm, secret);
    if (!mac) return false;
  } else if (EVP_MAC_init(mac.get(), nullptr, 0, nullptr) !=
             1) {  // keeps the key: a sixth of the cost of a new one
    return false;
  }
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> computed;
  std::size_t length = 0;
  if (EVP_MAC_update(mac.get(), message.data(), message.size()) != 1 ||
      EVP_MAC_final(mac.get(), computed.data(), &length, computed.size()) != 1) {
    mac.reset();
    return false;
  }
  return constant_time_equal(Bytes(computed).first(length), signature);
}

bool VerifyKey::Impl::prepare(JwsAlgorithm algorithm, MdCtx& out) const {
  MdCtx fresh(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `fresh`
  if (!fresh ||
      EVP_DigestVerifyInit_ex(fresh.get(), &parameters, digest_name(algorithm), context->raw(), nullptr,
                              key.get(), nullptr) != 1 ||
      !set_padding(parameters, algorithm)) {
    return false;
  }
  out = std::move(fresh);
  return true;
}

// RFC 7518 §3.4: r||s of exact length. 0 < r,s < n is checked here, before there is
// any DER.
std::vector<std::uint8_t> VerifyKey::Impl::der_of(Bytes signature) const {
  const std::size_t half = order.size();
  if (signature.size() != 2 * half) return {};
  const auto in_range = [&](Bytes part) {
    return std::any_of(part.begin(), part.end(), [](std::uint8_t octet) { return octet != 0; }) &&
           std::lexicographical_compare(part.begin(), part.end(), order.begin(), order.end());
  };
  if (!in_range(signature.first(half)) || !in_range(signature.subspan(half))) return {};
  return der_from_raw(signature);
}

bool VerifyKey::Impl::verify_asymmetric(JwsAlgorithm algorithm, Bytes message, Bytes signature) {
  std::vector<std::uint8_t> der;
  if (!order.empty()) {
    der = der_of(signature);
    if (der.empty()) return false;
    signature = der;
  } else if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(key.get()))) {
    return false;  // RSA: as long as the modulus; Ed25519: 64 octets
  }
  MdCtx& ready = prepared[static_cast<std::size_t>(algorithm)].asymmetric;
  if (!ready && !prepare(algorithm, ready)) return false;
  // A copy of the prepared context: cheaper than an init, which fetches the digest and the signature by name.
  if (!work || EVP_MD_CTX_copy_ex(work.get(), ready.get()) != 1) return false;
  // 1 is the only good answer: 0 says a bad signature, negative numbers say that the check itself failed.
  const bool good =
      EVP_DigestVerify(work.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  forget_errors();
  return good;
}

VerifyKey::VerifyKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
VerifyKey::~VerifyKey() = default;
VerifyKey::VerifyKey(VerifyKey&&) noexcept = default;
VerifyKey& VerifyKey::operator=(VerifyKey&&) noexcept = default;

std::optional<VerifyKey> VerifyKey::from_secret(CryptoContext& context, std::string_view secret,
                                                std::string& why) {
  if (!usable_secret(secret, why)) return std::nullopt;
  auto impl = std::make_unique<Impl>();
  impl->context = &context;
  impl->secret = secret;
  return VerifyKey(std::move(impl));
}

std::optional<VerifyKey> VerifyKey::from_pem(CryptoContext& context, std::string_view pem, std::string& why) {
  const std::size_t first = pem.find("-----BEGIN ");
  if (first == std::string_view::npos) {
    why = "no PEM block (-----BEGIN PUBLIC KEY-----)";
    return std::nullopt;
  }
  if (pem.find("-----BEGIN ", first + 1) != std::string_view::npos) {
    why = "more than one PEM block";
    return std::nullopt;
  }
  if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
    why = "a private key stands where a public key belongs";
    return std::nullopt;
  }
  Pkey key;
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 1 << 20))));
  if (bio && pem.substr(first).starts_with("-----BEGIN CERTIFICATE-----")) {
    X509* certificate = X509_new_ex(context.raw(), nullptr);
    if (PEM_read_bio_X509(bio.get(), &certificate, no_passphrase, nullptr))
      key.reset(X509_get_pubkey(certificate));
    X509_free(certificate);
  } else if (bio) {
    key.reset(PEM_read_bio_PUBKEY_ex(bio.get(), nullptr, no_passphrase, nullptr, context.raw(), nullptr));
  }
  forget_errors();
  if (!key) {
    why = "not a readable public key or certificate";
    return std::nullopt;
  }
  auto impl = Impl::of(context, std::move(key), why);
  forget_errors();
  if (!impl) return std::nullopt;
  return VerifyKey(std::move(impl));
}

std::optional<VerifyKey> VerifyKey::from_rsa(CryptoContext& context, Bytes n, Bytes e, std::string& why) {
  if (n.size() > kMaxRsaBits / 8 + 1 || e.size() > 8) {
    why = "an RSA key must have 2048 to 8192 bits and an exponent of at most 64";
    return std::nullopt;
  }
  const Bn modulus(BN_bin2bn(n.data(), static_cast<int>(n.size()), nullptr));
  const Bn exponent(BN_bin2bn(e.data(), static_cast<int>(e.size()), nullptr));
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  Params parameters;
  if (modulus && exponent && builder &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1) {
    parameters.reset(OSSL_PARAM_BLD_to_param(builder.get()));
  }
  Pkey key = key_from(context, "RSA", parameters.get());
  auto impl = key ? Impl::of(context, std::move(key), why) : nullptr;
  forget_errors();
  if (!impl) {
    if (why.empty()) why = "not a usable RSA key";
    return std::nullopt;
  }
  return VerifyKey(std::move(impl));
}

std::optional<VerifyKey> VerifyKey::from_ec(CryptoContext& context, std::string_view curve, Bytes x, Bytes y,
                                            std::string& why) {
  const auto at =
      std::find_if(kCurves.begin(), kCurves.end(), [&](const CurveRow& c) { return c.jwk_name == curve; });
  if (at == kCurves.end()) {
    why = "the curve must be P-256, P-384 or P-521";
    return std::nullopt;
  }
  // RFC 7518 §6.2.1.2: the coordinates have the full length of the curve's field.
  if (x.size() != at->octets || y.size() != at->octets) {
    why = "x and y must have the full length of the curve";
    return std::nullopt;
  }
  std::vector<std::uint8_t> point{0x04};  // uncompressed (SEC 1 §2.3.3)
  point.insert(point.end(), x.begin(), x.end());
  point.insert(point.end(), y.begin(), y.end());
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  Params parameters;
  if (builder &&
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, at->group, 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) ==
          1) {
    parameters.reset(OSSL_PARAM_BLD_to_param(builder.get()));
  }
  Pkey key = key_from(context, "EC", parameters.get());
  auto impl = key ? Impl::of(context, std::move(key), why) : nullptr;
  forget_errors();
  if (!impl) {
    if (why.empty()) why = "not a point of the curve";
    return std::nullopt;
  }
  return VerifyKey(std::move(impl));
}

std::optional<VerifyKey> VerifyKey::from_ed25519(CryptoContext& context, Bytes x, std::string& why) {
  Pkey key(x.size() == 32
               ? EVP_PKEY_new_raw_public_key_ex(context.raw(), "ED25519", nullptr, x.data(), x.size())
               : nullptr);
  auto impl = key ? Impl::of(context, std::move(key), why) : nullptr;
  forget_errors();
  if (!impl) {
    if (why.empty()) why = "an Ed25519 key must have 32 octets";
    return std::nullopt;
  }
  return VerifyKey(std::move(impl));
}

bool VerifyKey::serves(JwsAlgorithm algorithm) const { return row_of(algorithm).family == impl_->family; }

bool VerifyKey::verify(JwsAlgorithm algorithm, Bytes message, Bytes signature) const {
  if (!serves(algorithm)) return false;
  return impl_->family == Family::hmac ? impl_->verify_mac(algorithm, message, signature)
                                       : impl_->verify_asymmetric(algorithm, message, signature);
}

}  // namespace sluice::net
