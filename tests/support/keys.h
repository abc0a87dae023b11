// Key pairs made with OpenSSL for tests: PEM of both halves and the numbers that a JWK needs.
#pragma once

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

using Octets = std::vector<std::uint8_t>;

class KeyPair {
 public:
  explicit KeyPair(EVP_PKEY* key) : key_(key) {
    if (!key_) std::abort();
  }
  static KeyPair rsa(unsigned bits) { return KeyPair(EVP_RSA_gen(bits)); }
  static KeyPair ec(const char* group) { return KeyPair(EVP_EC_gen(group)); }
  static KeyPair ed25519() { return KeyPair(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }
  static KeyPair ed448() { return KeyPair(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448")); }
  KeyPair(KeyPair&& other) noexcept : key_(std::exchange(other.key_, nullptr)) {}
  KeyPair& operator=(KeyPair&&) = delete;
  ~KeyPair() { EVP_PKEY_free(key_); }

  EVP_PKEY* raw() const { return key_; }
  std::string private_pem() const {
    return text(
        [&](BIO* out) { PEM_write_bio_PKCS8PrivateKey(out, key_, nullptr, nullptr, 0, nullptr, nullptr); });
  }
  std::string encrypted_private_pem() const {
    return text([&](BIO* out) {
      PEM_write_bio_PKCS8PrivateKey(out, key_, EVP_aes_128_cbc(), "pass", 4, nullptr, nullptr);
    });
  }
  std::string public_pem() const {
    return text([&](BIO* out) { PEM_write_bio_PUBKEY(out, key_); });
  }
  Octets public_der() const {
    Octets der(static_cast<std::size_t>(i2d_PUBKEY(key_, nullptr)));
    unsigned char* at = der.data();
    i2d_PUBKEY(key_, &at);
    return der;
  }
  // A number of the key, big-endian, padded on the left to `size` when given.
  Octets number(const char* name, std::size_t size = 0) const {
    BIGNUM* value = nullptr;
    if (EVP_PKEY_get_bn_param(key_, name, &value) != 1) std::abort();
    if (size == 0) size = static_cast<std::size_t>(BN_num_bytes(value));
    Octets out(size);
    BN_bn2binpad(value, out.data(), static_cast<int>(size));
    BN_free(value);
    return out;
  }
  Octets n() const { return number(OSSL_PKEY_PARAM_RSA_N); }
  Octets e() const { return number(OSSL_PKEY_PARAM_RSA_E); }
  Octets x(std::size_t size) const { return number(OSSL_PKEY_PARAM_EC_PUB_X, size); }
  Octets y(std::size_t size) const { return number(OSSL_PKEY_PARAM_EC_PUB_Y, size); }
  Octets raw_public() const {
    std::size_t size = 0;
    EVP_PKEY_get_raw_public_key(key_, nullptr, &size);
    Octets out(size);
    EVP_PKEY_get_raw_public_key(key_, out.data(), &size);
    return out;
  }

 private:
  template <typename F>
  static std::string text(F&& write) {
    BIO* out = BIO_new(BIO_s_mem());
    write(out);
    char* at = nullptr;
    const long size = BIO_get_mem_data(out, &at);
    std::string pem(at, static_cast<std::size_t>(size));
    BIO_free(out);
    return pem;
  }
  EVP_PKEY* key_;
};

// Made once per process: RSA generation is slow.
inline const KeyPair& rsa_key() {
  static const KeyPair key = KeyPair::rsa(2048);
  return key;
}
inline const KeyPair& p256_key() {
  static const KeyPair key = KeyPair::ec("P-256");
  return key;
}
inline const KeyPair& p384_key() {
  static const KeyPair key = KeyPair::ec("P-384");
  return key;
}
inline const KeyPair& p521_key() {
  static const KeyPair key = KeyPair::ec("P-521");
  return key;
}
inline const KeyPair& ed25519_key() {
  static const KeyPair key = KeyPair::ed25519();
  return key;
}

inline constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

}  // namespace sluice::test
