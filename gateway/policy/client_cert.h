// ClientCert: an identity made of the certificate that a client has shown in its TLS handshake, whose chain and revocation
// the handshake has verified.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/tls_certificate.h"
#include "policy/identity.h"

namespace sluice::policy {

struct ClientCertSettings {
  // What becomes the subject.
  enum class Subject : std::uint8_t { cn, dn, san_dns, san_uri, san_email, spiffe };
  static constexpr std::array<std::string_view, 6> kSubjectNames{"cn", "dn", "san_dns", "san_uri", "san_email", "spiffe"};
  Subject subject = Subject::cn;
  std::vector<std::string> trust_domains;  // of spiffe: one of these; empty: any
};

// Claims: `sub`, `dn`, `issuer_dn`, `serial` and `fingerprint_sha256` (hex); `cn` where there is one; `san_dns`, `san_uri`,
// `san_email`, lists where there are any; `spiffe_id` where its only URI is one. Expires with the certificate.
// Errors: token_expired (a resumed handshake may outlive the certificate); bad_certificate: a control octet in a name, names
// without end, no name of the kind that is the subject or several of them (none is the first), no SPIFFE id
// (exactly one URI, X509-SVID §2) or one of another trust domain.
Result<Identity> identify(const net::ClientCertificate& certificate, const ClientCertSettings& settings, WallTime now);

}  // namespace sluice::policy
