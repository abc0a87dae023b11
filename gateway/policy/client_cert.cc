#include "policy/client_cert.h"

#include <algorithm>

#include "policy/spiffe_id.h"

namespace sluice::policy {
namespace {

using Subject = ClientCertSettings::Subject;

std::unexpected<Error> bad(const char* why) { return fail(Errc::bad_certificate, Side::client, why); }

Result<std::string> only(const std::vector<std::string>& names) {
  if (names.empty()) return bad("the certificate has no name of the kind that is the subject");
  if (names.size() > 1) return bad("the certificate has several names of the kind that is the subject");
  return names.front();
}

Result<std::string> spiffe(const net::ClientCertificate& certificate, const ClientCertSettings& settings) {
  if (certificate.uris.size() != 1) return bad("a SPIFFE certificate has exactly one URI");
  const auto id = SpiffeId::parse(certificate.uris.front());
  if (!id) return bad("the certificate's URI is no SPIFFE id");
  const auto& domains = settings.trust_domains;
  if (!domains.empty() && std::ranges::find(domains, id->trust_domain) == domains.end()) {
    return bad("a SPIFFE id of another trust domain");
  }
  return certificate.uris.front();
}

Result<std::string> subject_of(const net::ClientCertificate& certificate, const ClientCertSettings& settings) {
  switch (settings.subject) {
    case Subject::cn: return only(certificate.common_names);
    case Subject::dn: return certificate.subject.empty() ? bad("the certificate has no subject") : Result<std::string>(certificate.subject);
    case Subject::san_dns: return only(certificate.dns);
    case Subject::san_uri: return only(certificate.uris);
    case Subject::san_email: return only(certificate.emails);
    case Subject::spiffe: return spiffe(certificate, settings);
  }
  return bad("");
}

void list(JsonWriter& out, std::string_view name, const std::vector<std::string>& values) {
  if (values.empty()) return;
  out.name(name).begin_array();
  for (const std::string& value : values) out.value(value);
  out.end_array();
}

}  // namespace

Result<Identity> identify(const net::ClientCertificate& certificate, const ClientCertSettings& settings, WallTime now) {
  if (!certificate.good) return bad("the certificate's names cannot be trusted");
  Identity identity;
  identity.method = "client_cert";
  identity.subject = TRY(subject_of(certificate, settings));
  identity.expires = true;
  identity.expiry = WallTime(std::chrono::seconds(certificate.not_after));
  if (now >= identity.expiry) return fail(Errc::token_expired, Side::client, "the certificate has expired");
  JsonWriter claims;
  claims.begin_object().field("sub", identity.subject);
  claims.field("dn", certificate.subject).field("issuer_dn", certificate.issuer);
  claims.field("serial", certificate.serial).field("fingerprint_sha256", certificate.sha256);
  if (certificate.common_names.size() == 1) claims.field("cn", certificate.common_names.front());
  list(claims, "san_dns", certificate.dns);
  list(claims, "san_uri", certificate.uris);
  list(claims, "san_email", certificate.emails);
  if (certificate.uris.size() == 1 && SpiffeId::parse(certificate.uris.front())) claims.field("spiffe_id", certificate.uris.front());
  auto parsed = Json::parse(claims.end_object().text());
  if (!parsed) return bad("the certificate's names are no text");
  identity.claims = std::move(*parsed);
  return identity;
}

}  // namespace sluice::policy
