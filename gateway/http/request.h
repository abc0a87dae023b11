// Request: what every policy, balancer and log line sees, the same for HTTP/1.1 Upgrade, HTTP/2 extended CONNECT and
// plain HTTP. Built by the Front, owned by the Session until the upstream has answered.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/head.h"
#include "http/path.h"
#include "net/address.h"
#include "net/tls_certificate.h"

namespace sluice::http {

struct TlsFacts {
  bool active = false;
  std::string_view version;  // "TLSv1.3"; a literal
  std::string sni;           // as sent, lower case; empty when none
  std::string alpn;
  bool client_cert = false;  // verified
  std::shared_ptr<const net::ClientCertificate> certificate;  // the same in full, when client_cert
  std::string client_subject;  // RFC 2253 text, when client_cert
  std::string client_name;     // its CN, when client_cert
  std::string client_san;      // first URI or DNS subjectAltName, when client_cert
  Duration handshake{};        // from accept to the end of the TLS handshake
};

struct Request {
  enum class Kind : std::uint8_t { http, websocket };
  Kind kind = Kind::http;
  const Head* head = nullptr;  // dies with the channel's received bytes
  Target target;
  Authority host;
  net::Address peer;     // the socket's other end, or whom a PROXY header names in its place
  net::Address local;    // what it connected to
  net::Address proxy;    // the socket's other end, when `peer` came by a PROXY header; else empty
  net::Address client;   // after the trusted_proxies rules (http/forwarded.h)
  std::uint16_t listener_port = 0;
  TlsFacts tls;
  std::string id;  // X-Request-Id: taken over from a trusted proxy or made here
  std::string traceparent;  // likewise
};

}  // namespace sluice::http
