// TlsClient: outbound TLS for one backend, built for one worker: verified against a CA, SNI, optional own certificate.
#pragma once

#include <memory>
#include <string>

#include "base/secret.h"
#include "net/crypto.h"

struct ssl_st;

namespace sluice::net {

struct TlsClientSettings {
  std::string ca;           // PEM text; empty: the system's store
  std::string certificate;  // PEM text; empty: none
  Secret key;               // PEM text
  bool http = true;         // what is spoken inside: offered by ALPN. Without, the server may also speak first
};

class TlsClient {
 public:
  ~TlsClient();
  static std::unique_ptr<TlsClient> make(CryptoContext& context, const TlsClientSettings& settings, std::string& why);
  // A fresh SSL in connect state that will verify `name` (a DNS name, sent as SNI, or an IP literal); owned by the caller.
  ssl_st* connect(const std::string& name) const;
  bool http() const { return http_; }

 private:
  struct Impl;
  TlsClient(std::unique_ptr<Impl> impl, bool http);
  std::unique_ptr<Impl> impl_;
  bool http_;
};

}  // namespace sluice::net
