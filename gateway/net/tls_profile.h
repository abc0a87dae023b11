// TlsProfile: everything that a TLS listener's handshakes need, built from settings for one worker (its own SSL_CTX set
// in its own OSSL_LIB_CTX). Ticket keys come by value from the main thread, so that a ticket of one worker resumes on
// every other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "net/crypto.h"

struct ssl_st;
struct ssl_ctx_st;

namespace sluice::net {

struct CertificateSettings {
  std::string name;         // for logs and metrics: the certificate's file name, or "self-signed"
  std::string certificate;  // PEM text, leaf first
  Secret key;               // PEM text
};

struct TlsSettings {
  enum class ClientAuth : std::uint8_t { off, optional, required };
  std::vector<CertificateSettings> certificates;  // the first one serves names that none matches
  bool self_signed = false;                       // one is made at start; `certificates` then holds it
  std::string min_version = "1.2";                // "1.2" or "1.3"
  std::vector<std::string> alpn{"http/1.1"};
  ClientAuth client_auth = ClientAuth::off;
  std::string client_ca;  // PEM text
  // PEM text: lists of the revoked certificates of every authority in client_ca and below; empty: nothing is asked. Where
  // one is missing or has expired, nobody with a certificate gets in. Sessions are not resumed then, so that each handshake is
  // held against the list.
  std::string client_crl;
  bool strict_sni = false;  // refuse names that no certificate covers
};

// Current first; a ticket under any of the three is accepted, new tickets use the first.
struct TicketKey {
  std::array<std::uint8_t, 16> name;
  std::array<std::uint8_t, 32> aes;
  std::array<std::uint8_t, 32> hmac;
};
using TicketKeys = std::array<TicketKey, 3>;
TicketKeys fresh_ticket_keys();
// The ring one step on: a new current key; the oldest falls out.
TicketKeys rotate(const TicketKeys& keys);

class TlsProfile {
 public:
  ~TlsProfile();
  // nullptr and `why` on any fault: key and certificate that do not match, no usable name, a bad CA.
  static std::unique_ptr<TlsProfile> make(CryptoContext& context, const TlsSettings& settings, const TicketKeys& keys,
                                          std::string& why);
  void set_ticket_keys(const TicketKeys& keys);
  // A fresh SSL in accept state; owned by the caller.
  ssl_st* accept() const;

 private:
  struct Impl;
  explicit TlsProfile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Of OpenSSL, as compiled and as loaded.
std::pair<const char*, const char*> openssl_version();

struct CertificateFacts {
  std::string subject;
  std::vector<std::string> names;   // subjectAltName DNS entries
  std::int64_t not_after = 0;       // seconds since 1970
  std::string sha256;               // fingerprint, hex
};
// nullptr-like empty `subject` and `names` when the text is no certificate.
CertificateFacts certificate_facts(const std::string& pem);

// A P-256 self-signed certificate for the names (DNS names or IP literals), valid for 90 days.
CertificateSettings self_signed_certificate(const std::vector<std::string>& names);

}  // namespace sluice::net
