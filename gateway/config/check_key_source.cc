// Checker: keys of an [auth] that are fetched.
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"
#include "http/url.h"

namespace sluice::config {

void Checker::key_source(const Section& section, bool hmac, policy::KeySourceSettings& out) {
  const bool by_url = section.has("jwks_url");
  const bool by_discovery = section.boolean("discovery");
  if (!by_url && !by_discovery) {
    for (const char* key : {"jwks_ca", "jwks_allow", "jwks_stale_max"}) {
      if (section.has(key)) error(section.place(key), fmt::format("'{}' has no effect without jwks_url or discovery", key));
    }
    return;
  }
  const std::string_view key = by_url ? "jwks_url" : "discovery";
  if (by_url && by_discovery) {
    error(section.place("discovery"), "'discovery' and 'jwks_url' both say where the keys are", "leave one of them out");
  }
  for (const char* file : {"secret_file", "public_key_file", "jwks_file"}) {
    if (section.has(file)) error(section.place(file), fmt::format("'{}' cannot stand beside '{}'", file, key));
  }
  if (hmac) {
    // Whoever could answer in the key server's place would know how to sign.
    error(section.place(key), "secrets for HS* are not fetched", "HS* needs secret_file or jwks_file");
  }
  out.discovery = by_discovery && !by_url;
  out.ca = read(section, "jwks_ca", FileKind::certificate);
  out.stale_max = section.duration("jwks_stale_max");
  out.allow = blocks(section, "jwks_allow");
  if (by_url) {
    if (!section.good("jwks_url")) return;
    out.url = section.text("jwks_url");
    key_url({out.url, section.place("jwks_url")}, out, "jwks_url");
  } else if (!section.has("issuer")) {
    error(section.place("discovery"), "'discovery' needs 'issuer'", "issuer = \"https://id.example.com/\"");
  } else if (section.good("issuer")) {
    out.issuer = section.text("issuer");
    const Text issuer{out.issuer, section.place("issuer")};
    key_url(issuer, out, "issuer");
    // OpenID Connect Discovery 1.0 §3: a URL without query.
    if (out.issuer.find('?') != std::string::npos) error(issuer.place, "with 'discovery' the 'issuer' must be a URL without query");
  }
}

void Checker::key_url(const Text& text, const policy::KeySourceSettings& source, std::string_view key) {
  std::string why;
  const auto url = http::Url::parse(text.text, why);
  if (!url) return error(text.place, fmt::format("'{}' {}", key, why));
  if (!url->secure && source.allow.empty()) {
    // Whoever stands between could put keys of its own in place of these.
    return error(text.place, fmt::format("'{}' must begin with https://", key),
                 "http:// is only for addresses that jwks_allow names");
  }
  const auto denied = upstream::denied_blocks();
  for (const net::Cidr& allowed : source.allow) {
    const bool within = std::ranges::any_of(denied, [&](const net::Cidr& one) { return allowed.within(one); });
    if (url->secure && !within) {
      reporter_.warning(text.place, fmt::format("jwks_allow: {} lies in no network that is refused otherwise", allowed.text()),
                        "private networks and loopback are allowed by their own blocks, such as \"10.1.0.0/16\"");
    }
  }
}

}  // namespace sluice::config
