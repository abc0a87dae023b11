// Checker: [backend.NAME.sticky].
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"

namespace sluice::config {

void Checker::sticky(const Section& section, upstream::BackendSettings& out) {
  if (!section) return;
  upstream::StickySettings sticky;
  sticky.cookie = section.text("cookie");
  sticky.ttl = section.duration("ttl");
  sticky.secret = Secret(read(section, "secret_file", FileKind::secret));
  sticky.path = section.text("path");
  sticky.domain = section.text("domain");
  using SameSite = upstream::StickySettings::SameSite;
  using Secure = upstream::StickySettings::Secure;
  const std::string same_site = section.text("same_site");
  sticky.same_site = same_site == "none" ? SameSite::none : same_site == "strict" ? SameSite::strict : SameSite::lax;
  const std::string secure = section.text("secure");
  sticky.secure = secure == "on" ? Secure::on : secure == "off" ? Secure::off : Secure::automatic;

  if (!is_token(sticky.cookie)) {
    error(section.place("cookie"), fmt::format("'cookie' = \"{}\" is no name of a cookie", shown(sticky.cookie)),
          "a token, without spaces, ';' and '='");
  }
  const bool good_path = sticky.path.starts_with('/') && std::ranges::all_of(sticky.path, [](char c) {
    return c > 0x20 && c < 0x7F && c != ';';
  });
  if (!good_path) {
    error(section.place("path"), fmt::format("'path' = \"{}\" is no path of a cookie", shown(sticky.path)),
          "it starts with '/' and holds visible ASCII without ';'");
  }
  if (section.good("domain") && !is_host_name(sticky.domain)) {
    error(section.place("domain"), fmt::format("'domain' = \"{}\" is no host name", shown(sticky.domain)));
  }
  if (sticky.same_site == SameSite::none && sticky.secure == Secure::off) {
    error(section.place("secure"), "browsers refuse same_site = \"none\" with secure = \"off\"");
  }
  // RFC 6265bis §4.1.3: what these names promise, browsers hold the cookie to.
  const bool host_only = sticky.cookie.starts_with("__Host-");
  if (host_only && (!sticky.domain.empty() || sticky.path != "/")) {
    error(section.place("cookie"), "a cookie __Host-... has path \"/\" and no domain");
  }
  if ((host_only || sticky.cookie.starts_with("__Secure-")) && sticky.secure != Secure::on &&
      sticky.same_site != SameSite::none) {
    error(section.place("cookie"), fmt::format("a cookie {} needs secure = \"on\"", shown(sticky.cookie)));
  }
  if (out.unit == upstream::Unit::message) {
    error(section.place(), "'sticky' needs unit = \"connection\"", "with unit = \"message\" a client has many servers");
  }
  out.sticky = std::move(sticky);
}

void Checker::sticky_beside(const policy::AuthSettings& auth, const Section& section, const RouteSettings& route) {
  const upstream::BackendSettings* backend = find_backend(route.backend);
  if (backend == nullptr || backend->sticky.cookie.empty()) return;
  const bool clash = std::ranges::any_of(auth.from, [&](const policy::Carrier& carrier) {
    return carrier.kind == policy::Carrier::Kind::cookie && carrier.name == backend->sticky.cookie;
  });
  if (!clash) return;
  error(section.place("auth"), fmt::format("cookie '{}' is the carrier of auth '{}' and makes backend '{}' sticky",
                                           shown(backend->sticky.cookie), auth.name, backend->name),
        "give one of them another name");
}

}  // namespace sluice::config
