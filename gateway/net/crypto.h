// Cryptography over OpenSSL's EVP for everything outside TLS: digests, HMAC, signature checks, base64. Algorithms are
// fetched once per CryptoContext; each worker has its own (its own OSSL_LIB_CTX), because OpenSSL 3.0 is slow when
// threads share objects.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

struct ossl_lib_ctx_st;  // OSSL_LIB_CTX

namespace sluice::net {

using Sha1 = std::array<std::uint8_t, 20>;
using Sha256 = std::array<std::uint8_t, 32>;
Sha1 sha1(Bytes bytes);
Sha256 sha256(Bytes bytes);
Sha256 hmac_sha256(Bytes key, Bytes message);  // RFC 2104
// True when equal; time depends on the sizes only.
bool constant_time_equal(Bytes a, Bytes b);
// Wipes memory in a way that the compiler keeps.
void cleanse(MutableBytes bytes);

std::string base64(Bytes bytes);
std::string base64url(Bytes bytes);                               // without padding (RFC 7515 §2)
std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);     // strict: padding, no white space
std::optional<std::vector<std::uint8_t>> from_base64url(std::string_view text);  // strict: no padding, canonical end

enum class JwsAlgorithm : std::uint8_t {
  hs256, hs384, hs512, rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, es512, eddsa,
};
std::optional<JwsAlgorithm> jws_algorithm(std::string_view name);  // exact case (RFC 7518 §3.1, RFC 8037)
std::string_view name(JwsAlgorithm algorithm);
bool is_hmac(JwsAlgorithm algorithm);

// OSSL_LIB_CTX of one thread with its default provider, by RAII.
class CryptoContext {
 public:
  CryptoContext();
  ~CryptoContext();
  CryptoContext(const CryptoContext&) = delete;
  CryptoContext& operator=(const CryptoContext&) = delete;
  ossl_lib_ctx_st* raw() const { return raw_; }

 private:
  ossl_lib_ctx_st* raw_;
};

// One verification key, immutable after construction, used by one thread. Which algorithms it can serve follows from
// what it is: an HMAC secret HS*, RSA RS*/PS*, a curve its ES*, Ed25519 EdDSA.
class VerifyKey {
 public:
  struct Impl;
  ~VerifyKey();
  VerifyKey(VerifyKey&&) noexcept;
  VerifyKey& operator=(VerifyKey&&) noexcept;

  // nullopt and `why` for what cannot be used: RSA under 2048 or over 8192 bits, a secret under 32 octets, a point off
  // its curve, an unknown curve.
  static std::optional<VerifyKey> from_secret(CryptoContext& context, std::string_view secret, std::string& why);
  static std::optional<VerifyKey> from_pem(CryptoContext& context, std::string_view pem, std::string& why);
  static std::optional<VerifyKey> from_rsa(CryptoContext& context, Bytes n, Bytes e, std::string& why);
  static std::optional<VerifyKey> from_ec(CryptoContext& context, std::string_view curve, Bytes x, Bytes y, std::string& why);
  static std::optional<VerifyKey> from_ed25519(CryptoContext& context, Bytes x, std::string& why);

  bool serves(JwsAlgorithm algorithm) const;
  // True only for a good signature. ES*: raw r||s of exact length, 0 < r,s < n.
  bool verify(JwsAlgorithm algorithm, Bytes message, Bytes signature) const;

 private:
  explicit VerifyKey(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Signs for `sluice token` and the demo: a secret (HS*) or a private key in PEM. nullopt and `why` when it cannot.
std::optional<std::vector<std::uint8_t>> sign(CryptoContext& context, JwsAlgorithm algorithm, std::string_view key,
                                              Bytes message, std::string& why);

}  // namespace sluice::net
