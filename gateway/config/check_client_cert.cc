// Checker: [auth.NAME] of type client_cert, and whether listeners ask for the certificates that routes want.
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"
#include "policy/spiffe_id.h"

namespace sluice::config {

using policy::AuthSettings;
using policy::ClientCertSettings;

void Checker::client_cert(const Section& section, AuthSettings& out) {
  out.type = AuthSettings::Type::client_cert;
  only_for(section, "jwt", kJwtKeys);
  only_for(section, "api_key", kApiKeyKeys);
  for (const std::string_view key : {"from", "failures"}) {
    if (section.has(key)) {
      error(section.place(key), fmt::format("'{}' is not for type = \"client_cert\"", key), "the certificate comes with the TLS handshake");
    }
  }
  if (section.good("subject")) {
    const auto& names = ClientCertSettings::kSubjectNames;
    out.client_cert.subject = static_cast<ClientCertSettings::Subject>(std::ranges::find(names, section.text("subject")) - names.begin());
  }
  for (const Text& text : section.texts("trust_domains")) {
    if (!policy::SpiffeId::is_trust_domain(text.text)) {
      error(text.place, fmt::format("\"{}\" is no trust domain", shown(text.text)), "\"example.org\": lower case, without spiffe://");
    }
    out.client_cert.trust_domains.push_back(text.text);
  }
  if (section.has("trust_domains") && out.client_cert.subject != ClientCertSettings::Subject::spiffe) {
    error(section.place("trust_domains"), "'trust_domains' is for subject = \"spiffe\"");
  }
  out.close_on_expiry = section.text("on_expiry") == "close";
  out.expiry_close_code = close_code(section, "expiry_close_code");
  if (!out.close_on_expiry && section.has("expiry_close_code")) {
    error(section.place("expiry_close_code"), "'expiry_close_code' has no effect with on_expiry = \"keep\"");
  }
}

// A listener that asks for none will never be shown one.
void Checker::certificates_asked_for(const Section& section, const RouteSettings& route) {
  const auto wants = [this](const std::string& name) {
    const AuthSettings* const auth = find_auth(name);
    return auth != nullptr && auth->type == AuthSettings::Type::client_cert;
  };
  const auto wanted = std::ranges::find_if(route.auth, wants);
  if (wanted == route.auth.end()) return;
  if (const auto second = std::find_if(wanted + 1, route.auth.end(), wants); second != route.auth.end()) {
    error(section.place("auth"), fmt::format("auth '{}' is never asked: every certificate is for '{}'", *second, *wanted),
          "one [auth] of type client_cert on a route");
  }
  const bool alone = std::ranges::all_of(route.auth, wants);
  std::size_t serving = 0;
  std::string deaf;
  for (const ListenerSettings& listener : settings_.listeners) {
    if (!listener.backend.empty()) continue;
    if (!route.listeners.empty() && std::ranges::find(route.listeners, listener.name) == route.listeners.end()) continue;
    ++serving;
    if (!listener.tls || listener.tls->client_auth == net::TlsSettings::ClientAuth::off) {
      deaf += (deaf.empty() ? "'" : ", '") + shown(listener.name) + "'";
      --serving;
    }
  }
  if (deaf.empty()) return;
  if (serving == 0) {
    error(section.place("auth"),
          fmt::format("auth '{}' can never hold: no listener of route '{}' asks for certificates", *wanted, shown(route.name)),
          "set client_auth and client_ca in [listener.tls]");
  } else if (alone) {
    reporter_.warning(section.place("auth"), fmt::format("nobody gets into route '{}' by listener {}, which asks for no certificate",
                                                         shown(route.name), deaf),
                      "restrict the route with listener = [...], or set client_auth there");
  }
}

}  // namespace sluice::config
