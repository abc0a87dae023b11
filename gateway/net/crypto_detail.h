// What crypto_keys.cc and crypto_sign.cc share: owners of OpenSSL objects and the facts about algorithms.
// Nobody else includes this.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/crypto.h"
#include "net/crypto_owner.h"

namespace sluice::net::detail {

using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Bn = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Mac = std::unique_ptr<EVP_MAC, Freer<EVP_MAC_free>>;
using MacCtx = std::unique_ptr<EVP_MAC_CTX, Freer<EVP_MAC_CTX_free>>;
using MdCtx = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;
using Pkey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using PkeyCtx = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;

enum class Family : std::uint8_t { hmac, rsa, p256, p384, p521, ed25519 };

Family family(JwsAlgorithm algorithm);
const char* digest_name(JwsAlgorithm algorithm);  // nullptr for EdDSA
std::size_t part_octets(JwsAlgorithm algorithm);  // of r and of s; 0 unless ES*
bool is_pss(JwsAlgorithm algorithm);

// What a key can serve; nullopt and `why` when it is of no use (size, exponent, curve, kind).
std::optional<Family> family_of(EVP_PKEY* key, std::string& why);
bool usable_secret(std::string_view secret, std::string& why);

// Padding of RS* and PS*; nothing to do for the others.
bool set_padding(EVP_PKEY_CTX* context, JwsAlgorithm algorithm);
MacCtx keyed_mac(CryptoContext& context, JwsAlgorithm algorithm, std::string_view secret);
Pkey key_from(CryptoContext& context, const char* type, OSSL_PARAM* parameters);

// ECDSA signatures between JWS's r||s and X9.62's DER. Empty when it cannot be.
std::vector<std::uint8_t> der_from_raw(Bytes raw);
std::vector<std::uint8_t> raw_from_der(Bytes der, std::size_t part);

// Answers OpenSSL's question for a passphrase with "none": a terminal must never be asked.
int no_passphrase(char* buffer, int size, int writing, void* user);
// A failed check leaves entries in the thread's error queue, which the next TLS call would take for its own.
void forget_errors();

}  // namespace sluice::net::detail
