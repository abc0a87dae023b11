// mint: distinct tokens (RFC 7515), one a line, for measurements in which none may be known already.
//
//   --algorithm HS256|RS256|ES256|EdDSA --key FILE (PEM; for HS256 the secret itself) --octets 4500000
//
// As many as make up that many octets: more than a gateway that remembers tokens has room for. They have the claims of the token
// of compare.sh, and a `jti` each.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>

#include "commands.h"

namespace bench {
namespace {

using Octets = std::basic_string<unsigned char>;

std::string base64url(const unsigned char* octets, std::size_t size) {
  std::string text((size + 2) / 3 * 4 + 1, '\0');
  text.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), octets, static_cast<int>(size))));
  while (text.ends_with('=')) text.pop_back();
  for (char& digit : text) digit = digit == '+' ? '-' : digit == '/' ? '_' : digit;
  return text;
}

std::string base64url(const std::string& text) {
  return base64url(reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

class Signer {
 public:
  Signer(std::string algorithm, const std::string& path) : algorithm_(std::move(algorithm)) {
    std::ifstream file(path, std::ios::binary);
    secret_.assign(std::istreambuf_iterator<char>(file), {});
    if (secret_.empty()) fail("no key in " + path);
    if (algorithm_ == "HS256") return;
    const std::unique_ptr<BIO, decltype(&BIO_free)> pem(BIO_new_mem_buf(secret_.data(), static_cast<int>(secret_.size())), BIO_free);
    key_.reset(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
    if (!key_) fail("no private key in " + path);
  }

  Octets sign(const std::string& text) const {
    const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
    Octets signature(1024, 0);
    if (algorithm_ == "HS256") {
      unsigned size = 0;
      HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), octets, text.size(), signature.data(), &size);
      signature.resize(size);
      return signature;
    }
    std::size_t size = signature.size();
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const EVP_MD* digest = algorithm_ == "EdDSA" ? nullptr : EVP_sha256();
    if (EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &size, octets, text.size()) != 1) {
      fail("the key cannot sign " + algorithm_);
    }
    signature.resize(size);
    return algorithm_ == "ES256" ? r_and_s(signature) : signature;
  }

 private:
  // RFC 7518 §3.4: both numbers, as wide as the order of the curve.
  static Octets r_and_s(const Octets& der) {
    const unsigned char* from = der.data();
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> both(d2i_ECDSA_SIG(nullptr, &from, static_cast<long>(der.size())),
                                                                     ECDSA_SIG_free);
    Octets out(64, 0);
    BN_bn2binpad(ECDSA_SIG_get0_r(both.get()), out.data(), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(both.get()), out.data() + 32, 32);
    return out;
  }

  std::string algorithm_;
  std::string secret_;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_{nullptr, EVP_PKEY_free};
};

}  // namespace

int run_mint(Options& options) {
  const std::string algorithm = options.text("algorithm");
  const Signer signer(algorithm, options.text("key"));
  const auto octets = options.number("octets", std::size_t{4'500'000});
  options.finish();

  const std::string header = base64url(R"({"alg":")" + algorithm + R"(","typ":"JWT"})");
  const std::string expiry = std::to_string(std::time(nullptr) + 864000);
  std::size_t written = 0;
  for (unsigned number = 0; written < octets; ++number) {
    const std::string text = header + "." +
                             base64url(R"({"iss":"https://id.example.com/","aud":"chat","sub":"bench","exp":)" + expiry +
                                       R"(,"jti":")" + std::to_string(number) + R"("})");
    const Octets signature = signer.sign(text);
    const std::string token = text + "." + base64url(signature.data(), signature.size());
    std::puts(token.c_str());
    written += token.size();
  }
  return 0;
}

}  // namespace bench
