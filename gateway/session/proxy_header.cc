#include "session/proxy_header.h"

#include "net/proxy_protocol.h"

namespace sluice::session {

Result<std::string> proxy_header(const upstream::ProxySettings& wanted, const Opening& opening) {
  using Version = upstream::ProxySettings::Version;
  const http::Request& request = opening.request;
  switch (wanted.version) {
    case Version::off: return {};
    case Version::v1: return net::proxy_header_v1(request.client, request.local);
    case Version::v2: break;
  }
  const http::TlsFacts& tls = request.tls;
  net::ProxyFacts facts;
  facts.source = request.client;
  facts.destination = request.local;
  if (wanted.alpn) facts.alpn = tls.alpn;
  // The name that the client asked for: by TLS where there is one, as proxy-protocol.txt §2.2.2 has it.
  if (wanted.authority) facts.authority = tls.sni.empty() ? request.host.host : tls.sni;
  if (wanted.unique_id) facts.unique_id = request.id;
  if (wanted.identity) facts.identity = opening.words.subject;
  if (wanted.tls && tls.active) {
    facts.tls = true;
    facts.tls_version = tls.version;
    facts.certificate = tls.client_cert;
    facts.common_name = tls.client_name;
  }
  return net::proxy_header_v2(facts);
}

}  // namespace sluice::session
