#include "net/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/result.h"

namespace sluice::net {
namespace {

// One digest, fetched and set up once per thread: an init by name costs several times the hash of a short
// text.
class ThreadDigest {
 public:
  explicit ThreadDigest(const char* algorithm)
      : md_(EVP_MD_fetch(nullptr, algorithm, nullptr)), context_(EVP_MD_CTX_new()) {
    check(md_ && context_ && EVP_DigestInit_ex2(context_, md_, nullptr) == 1, "digest not available");
  }
  ThreadDigest(const ThreadDigest&) = delete;
  ThreadDigest& operator=(const ThreadDigest&) = delete;
  ~ThreadDigest() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(md_);
  }

  void run(Bytes bytes, MutableBytes out) {
    unsigned length = 0;
    check(EVP_DigestInit_ex2(context_, nullptr, nullptr) == 1 &&
              EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1 &&
              EVP_DigestFinal_ex(context_, out.data(), &length) == 1 && length == out.size(),
          "digest failed");
  }

 private:
  EVP_MD* md_;
  EVP_MD_CTX* context_;
};

// HMAC over SHA-256, likewise fetched once per thread.
class ThreadHmac {
 public:
  ThreadHmac() : mac_(EVP_MAC_fetch(nullptr, "HMAC", nullptr)), context_(mac_ ? EVP_MAC_CTX_new(mac_) : nullptr) {
    check(context_ != nullptr, "HMAC not available");
  }
  ThreadHmac(const ThreadHmac&) = delete;
  ThreadHmac& operator=(const ThreadHmac&) = delete;
  ~ThreadHmac() {
    EVP_MAC_CTX_free(context_);
    EVP_MAC_free(mac_);
  }

  void run(Bytes key, Bytes message, MutableBytes out) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    std::size_t length = 0;
    check(EVP_MAC_init(context_, key.data(), key.size(), parameters) == 1 &&
              EVP_MAC_update(context_, message.data(), message.size()) == 1 &&
              EVP_MAC_final(context_, out.data(), &length, out.size()) == 1 && length == out.size(),
          "HMAC failed");
  }

 private:
  EVP_MAC* mac_;
  EVP_MAC_CTX* context_;
};

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kInvalid = 0xff;

using Reverse = std::array<std::uint8_t, 256>;

constexpr Reverse reverse_of(std::string_view alphabet) {
  Reverse table{};
  table.fill(kInvalid);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return table;
}

constexpr Reverse kReverse = reverse_of(kAlphabet);
constexpr Reverse kUrlReverse = reverse_of(kUrlAlphabet);

std::string encode(Bytes bytes, std::string_view alphabet, bool pad) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  const auto put = [&](std::uint32_t group, int count) {
    for (int i = 0; i < count; ++i) text.push_back(alphabet[(group >> (18 - 6 * i)) & 63]);
  };
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    put(static_cast<std::uint32_t>(bytes[i]) << 16 | static_cast<std::uint32_t>(bytes[i + 1]) << 8 |
            bytes[i + 2],
        4);
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 1) put(static_cast<std::uint32_t>(bytes[i]) << 16, 2);
  if (rest == 2)
    put(static_cast<std::uint32_t>(bytes[i]) << 16 | static_cast<std::uint32_t>(bytes[i + 1]) << 8, 3);
  if (pad && rest != 0) text.append(3 - rest, '=');
  return text;
}

// Digits only, no padding. The unused bits of the last digit must be zero (RFC 4648 §3.5): one value, one
// text.
std::optional<std::vector<std::uint8_t>> decode(std::string_view digits, const Reverse& table) {
  if (digits.size() % 4 == 1) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(digits.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : digits) {
    const std::uint8_t value = table[static_cast<std::uint8_t>(c)];
    if (value == kInvalid) return std::nullopt;
    group = (group << 6 | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(group >> bits));
    }
  }
  if ((group & ((1U << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace

Sha1 sha1(Bytes bytes) {
  thread_local ThreadDigest digest("SHA1");
  Sha1 out;
  digest.run(bytes, out);
  return out;
}

Sha256 sha256(Bytes bytes) {
  thread_local ThreadDigest digest("SHA256");
  Sha256 out;
  digest.run(bytes, out);
  return out;
}

Sha256 hmac_sha256(Bytes key, Bytes message) {
  thread_local ThreadHmac hmac;
  Sha256 out;
  hmac.run(key, message, out);
  return out;
}

bool constant_time_equal(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

void cleanse(MutableBytes bytes) {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

std::string base64(Bytes bytes) { return encode(bytes, kAlphabet, true); }
std::string base64url(Bytes bytes) { return encode(bytes, kUrlAlphabet, false); }

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, kReverse);
}

std::optional<std::vector<std::uint8_t>> from_base64url(std::string_view text) {
  return decode(text, kUrlReverse);
}

CryptoContext::CryptoContext() : raw_(OSSL_LIB_CTX_new()) { check(raw_, "no OSSL_LIB_CTX"); }
CryptoContext::~CryptoContext() { OSSL_LIB_CTX_free(raw_); }

}  // namespace sluice::net
