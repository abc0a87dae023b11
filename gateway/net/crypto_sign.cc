// Signing, and the conversions that signing and checking share.
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>

#include "net/crypto.h"
#include "net/crypto_detail.h"

namespace sluice::net {
namespace detail {

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

Pkey key_from(CryptoContext& context, const char* type, OSSL_PARAM* parameters) {
  const PkeyCtx maker(EVP_PKEY_CTX_new_from_name(context.raw(), type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !maker || EVP_PKEY_fromdata_init(maker.get()) != 1 ||
      EVP_PKEY_fromdata(maker.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return nullptr;
  }
  return Pkey(key);
}

std::vector<std::uint8_t> der_from_raw(Bytes raw) {
  const int half = static_cast<int>(raw.size() / 2);
  Bn r(BN_bin2bn(raw.data(), half, nullptr));
  Bn s(BN_bin2bn(raw.data() + half, half, nullptr));
  const EcdsaSignature signature(ECDSA_SIG_new());
  if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  const int length = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (length <= 0) return {};
  std::vector<std::uint8_t> der(static_cast<std::size_t>(length));
  std::uint8_t* at = der.data();
  i2d_ECDSA_SIG(signature.get(), &at);
  return der;
}

std::vector<std::uint8_t> raw_from_der(Bytes der, std::size_t part) {
  const std::uint8_t* at = der.data();
  const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::vector<std::uint8_t> raw(2 * part);
  const int size = static_cast<int>(part);
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), size) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + part, size) < 0) {
    return {};
  }
  return raw;
}

int no_passphrase(char*, int, int, void*) { return -1; }
void forget_errors() { ERR_clear_error(); }

}  // namespace detail

namespace {

using namespace detail;
using Signature = std::optional<std::vector<std::uint8_t>>;

Signature sign_mac(CryptoContext& context, JwsAlgorithm algorithm, std::string_view secret, Bytes message,
                   std::string& why) {
  if (!usable_secret(secret, why)) return std::nullopt;
  const MacCtx mac = keyed_mac(context, algorithm, secret);
  std::vector<std::uint8_t> out(EVP_MAX_MD_SIZE);
  std::size_t length = 0;
  if (!mac || EVP_MAC_update(mac.get(), message.data(), message.size()) != 1 ||
      EVP_MAC_final(mac.get(), out.data(), &length, out.size()) != 1) {
    why = "the HMAC failed";
    return std::nullopt;
  }
  out.resize(length);
  return out;
}

Signature sign_asymmetric(CryptoContext& context, JwsAlgorithm algorithm, EVP_PKEY* key, Bytes message,
                          std::string& why) {
  const MdCtx signer(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `signer`
  std::size_t length = 0;
  if (!signer ||
      EVP_DigestSignInit_ex(signer.get(), &parameters, digest_name(algorithm), context.raw(), nullptr, key,
                            nullptr) != 1 ||
      !set_padding(parameters, algorithm) ||
      EVP_DigestSign(signer.get(), nullptr, &length, message.data(), message.size()) != 1) {
    why = "the key cannot sign";
    return std::nullopt;
  }
  std::vector<std::uint8_t> out(length);
  if (EVP_DigestSign(signer.get(), out.data(), &length, message.data(), message.size()) != 1) {
    why = "the key cannot sign";
    return std::nullopt;
  }
  out.resize(length);
  if (const std::size_t part = part_octets(algorithm); part != 0) out = raw_from_der(out, part);
  if (out.empty()) {
    why = "the signature cannot be encoded";
    return std::nullopt;
  }
  return out;
}

}  // namespace

Signature sign(CryptoContext& context, JwsAlgorithm algorithm, std::string_view key, Bytes message,
               std::string& why) {
  if (is_hmac(algorithm)) return sign_mac(context, algorithm, key, message, why);
  const Bio bio(BIO_new_mem_buf(key.data(), static_cast<int>(std::min<std::size_t>(key.size(), 1 << 20))));
  const Pkey private_key(
      bio ? PEM_read_bio_PrivateKey_ex(bio.get(), nullptr, no_passphrase, nullptr, context.raw(), nullptr)
          : nullptr);
  Signature signature;
  if (!private_key) {
    why = "not a readable private key (PEM, without passphrase)";
  } else if (const auto of_key = family_of(private_key.get(), why); of_key && *of_key != family(algorithm)) {
    why = "the key is of another kind than " + std::string(name(algorithm)) + " needs";
  } else if (of_key) {
    signature = sign_asymmetric(context, algorithm, private_key.get(), message, why);
  }
  forget_errors();
  return signature;
}

}  // namespace sluice::net
