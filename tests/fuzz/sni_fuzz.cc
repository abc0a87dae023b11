// The certificate for a name: whatever a client says in its hello, a certificate that is not the default one is shown only
// when OpenSSL's own matcher finds the name in it, and when it finds one, that is shown. Input: the name.
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/crypto_owner.h"
#include "net/tls_profile.h"

using namespace sluice;

namespace {

using Ssl = std::unique_ptr<SSL, net::Freer<SSL_free>>;
using Ctx = std::unique_ptr<SSL_CTX, net::Freer<SSL_CTX_free>>;
using Certificate = std::unique_ptr<X509, net::Freer<X509_free>>;

struct House {
  House() {
    net::TlsSettings settings;
    for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{
             {"default.test"}, {"a.test", "*.a.test"}, {"deep.b.test", "*.b.test", "*.c.b.test"}}) {
      settings.certificates.push_back(net::self_signed_certificate(names));
    }
    settings.min_version = "1.3";
    std::string why;
    lenient = net::TlsProfile::make(context, settings, net::fresh_ticket_keys(), why);
    settings.strict_sni = true;
    strict = net::TlsProfile::make(context, settings, net::fresh_ticket_keys(), why);
    check(lenient != nullptr && strict != nullptr && client != nullptr, "the settings of the fuzz target");
    for (const net::CertificateSettings& one : settings.certificates) certificates.push_back(read(one.certificate));
  }

  static Certificate read(const std::string& pem);

  net::CryptoContext context;
  std::unique_ptr<net::TlsProfile> lenient;
  std::unique_ptr<net::TlsProfile> strict;
  Ctx client{SSL_CTX_new(TLS_client_method())};
  std::vector<Certificate> certificates;
};

Certificate House::read(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Certificate certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
  BIO_free(bio);
  check(certificate != nullptr, "the certificates of the fuzz target");
  return certificate;
}

// Which certificate the server has chosen after one hello; -1: it refused.
int answer_to(const House& house, const net::TlsProfile& profile, const std::string& name) {
  const Ssl client(SSL_new(house.client.get()));
  const Ssl server(profile.accept());
  BIO* client_end = nullptr;
  BIO* server_end = nullptr;
  check(BIO_new_bio_pair(&client_end, 0, &server_end, 0) == 1, "BIO_new_bio_pair");
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_connect_state(client.get());
  if (SSL_set_tlsext_host_name(client.get(), name.c_str()) != 1) return -2;  // OpenSSL itself sends no such name
  (void)SSL_do_handshake(client.get());
  if (SSL_do_handshake(server.get()) != 1 && SSL_get_error(server.get(), -1) != SSL_ERROR_WANT_READ &&
      SSL_get_error(server.get(), -1) != SSL_ERROR_WANT_WRITE) {
    return -1;
  }
  X509* const shown = SSL_get_certificate(server.get());
  for (std::size_t i = 0; i < house.certificates.size(); ++i) {
    if (X509_cmp(shown, house.certificates[i].get()) == 0) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const House house;
  const std::string name(as_text(Bytes(data, size)));
  if (name.empty() || name.size() > 255 || name.find('\0') != std::string::npos) return 0;
  int expected = -1;
  for (std::size_t i = 0; i < house.certificates.size(); ++i) {
    // A leading dot means "any name below" to OpenSSL's matcher; no host is called so.
    const bool found = !name.starts_with('.') &&
                       X509_check_host(house.certificates[i].get(), name.data(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
    if (found && expected < 0) expected = static_cast<int>(i);
  }
  const int lenient = answer_to(house, *house.lenient, name);
  const int strict = answer_to(house, *house.strict, name);
  if (lenient == -2) return 0;
  if (expected >= 0) return check(lenient == expected && strict == expected, "another certificate than the name's"), 0;
  // OpenSSL's matcher takes only letters, digits and hyphens for the star; here any one label stands for it.
  const std::size_t dot = name.find('.');
  std::string suffix = dot == std::string::npos || dot == 0 ? std::string() : name.substr(dot);
  std::ranges::transform(suffix, suffix.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  const int by_star = suffix == ".a.test" ? 1 : suffix == ".b.test" || suffix == ".c.b.test" ? 2 : -1;
  check(strict == by_star && lenient == std::max(by_star, 0), "a certificate for a name that is not in it");
  return 0;
}
