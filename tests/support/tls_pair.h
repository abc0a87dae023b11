// TlsStreams against each other, both ends on one loop and one Turn, and the certificates that such tests need.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_client.h"
#include "net/tls_profile.h"
#include "net/tls_stream.h"
#include "support/keys.h"
#include "support/stream_pair.h"

namespace sluice::test {

// Made once: keys cost time.
inline const net::CertificateSettings& own_certificate() {
  static const net::CertificateSettings made = net::self_signed_certificate({"gw.test", "127.0.0.1"});
  return made;
}
inline const net::CertificateSettings& wildcard_certificate() {
  static const net::CertificateSettings made = net::self_signed_certificate({"*.example.test"});
  return made;
}
// Signed by itself and for clients: self_signed_certificate() makes those of servers.
inline const net::CertificateSettings& client_certificate() {
  static const net::CertificateSettings made = [] {
    const KeyPair& key = p256_key();
    X509* raw = X509_new();
    X509_set_version(raw, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), 1);
    X509_gmtime_adj(X509_getm_notBefore(raw), -60);
    X509_gmtime_adj(X509_getm_notAfter(raw), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("client"), -1, -1, 0);
    X509_set_issuer_name(raw, X509_get_subject_name(raw));
    X509_set_pubkey(raw, key.raw());
    for (const auto& [id, value] : {std::pair{NID_basic_constraints, "critical,CA:TRUE"},
                                    std::pair{NID_ext_key_usage, "clientAuth"},
                                    std::pair{NID_subject_alt_name, "DNS:client.test"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
      X509_add_ext(raw, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(raw, key.raw(), EVP_sha256());
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, raw);
    char* at = nullptr;
    const long size = BIO_get_mem_data(out, &at);
    net::CertificateSettings made_now;
    made_now.certificate.assign(at, static_cast<std::size_t>(size));
    made_now.key = Secret(key.private_pem());
    BIO_free(out);
    X509_free(raw);
    return made_now;
  }();
  return made;
}

inline net::TlsSettings served(std::vector<net::CertificateSettings> certificates) {
  net::TlsSettings settings;
  settings.certificates = std::move(certificates);
  return settings;
}

inline std::unique_ptr<net::TlsProfile> profile(net::CryptoContext& crypto, const net::TlsSettings& settings,
                                                const net::TicketKeys& tickets = net::fresh_ticket_keys()) {
  std::string why;
  auto made = net::TlsProfile::make(crypto, settings, tickets, why);
  if (!made) throw std::runtime_error(why);
  return made;
}
inline std::unique_ptr<net::TlsClient> client(net::CryptoContext& crypto, const net::TlsClientSettings& settings) {
  std::string why;
  auto made = net::TlsClient::make(crypto, settings, why);
  if (!made) throw std::runtime_error(why);
  return made;
}

// A client and a server end.
struct Pair {
  Pair(Bench& its_bench, ssl_st* connect, ssl_st* accept, std::pair<net::Fd, net::Fd> fds = loopback_pair())
      : bench(its_bench),
        a(std::make_unique<net::TlsStream>(bench.place, std::move(fds.first), connect, false)),
        b(std::make_unique<net::TlsStream>(bench.place, std::move(fds.second), accept, false)) {}
  net::TlsStream& client() { return static_cast<net::TlsStream&>(*a.stream); }
  net::TlsStream& server() { return static_cast<net::TlsStream&>(*b.stream); }
  bool shake() {
    a.work();
    b.work();
    return bench.until([&] { return (client().established() && server().established()) || a.failed || b.failed; }) &&
           client().established() && server().established();
  }
  bool until(const std::function<bool()>& so) { return bench.until(so); }

  Bench& bench;
  Holder a;
  Holder b;
};

struct TlsTest : testing::Test {
  Bench bench;
  net::CryptoContext crypto;
  std::unique_ptr<net::TlsProfile> server = profile(crypto, served({own_certificate()}));
  std::unique_ptr<net::TlsClient> peer = client(crypto, {.ca = own_certificate().certificate, .certificate = {}, .key = {}});
};

}  // namespace sluice::test
