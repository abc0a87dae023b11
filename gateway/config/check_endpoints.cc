// Checker: [auth.NAME.endpoints].
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"
#include "http/path.h"

namespace sluice::config {
namespace {

using Kind = policy::EndpointSettings::Kind;

bool is_ticket(const policy::Carrier& carrier) { return carrier.kind == policy::Carrier::Kind::ticket; }

// Whether a request can be for both.
bool meet(const policy::EndpointSettings& one, const policy::EndpointSettings& other) {
  const bool hosts = one.host.empty() || other.host.empty() || one.host == other.host;
  return hosts && (one.listeners.empty() || other.listeners.empty() ||
                   std::ranges::any_of(one.listeners, [&](const std::string& name) {
                     return std::ranges::find(other.listeners, name) != other.listeners.end();
                   }));
}

}  // namespace

// Once all listeners are known.
void Checker::endpoints(const std::string& name, const Section& section) {
  const auto auth = std::ranges::find(settings_.auths, name, &policy::AuthSettings::name);
  if (!section || auth == settings_.auths.end()) return;
  policy::EndpointSettings& out = auth->endpoints;
  const std::string who = fmt::format("[auth.{}.endpoints]", shown(name));
  out.listeners = references(who, "listener", section, "listener", listeners_);
  for (const Text& text : section.texts("listener")) {
    if (raw_listeners_.contains(text.text)) {
      error(text.place, fmt::format("{} is on listener '{}', which has protocol = \"tcp\"", who, shown(text.text)),
            "it serves requests, and plain TCP has none");
    }
  }
  if (section.good("host")) {
    const auto host = http::parse_authority(section.text("host"));
    if (!host || host->port != 0 || host->host.find('*') != std::string::npos) {
      error(section.place("host"), fmt::format("'host' = \"{}\" is no host name", shown(section.text("host"))),
            "write \"chat.example.com\"");
    } else {
      out.host = host->host;
    }
  }
  for (const Text& text : section.texts("origins")) {
    auto origin = policy::OriginPattern::parse(text.text);
    if (origin && !origin->wildcard) {
      out.origins.push_back(std::move(*origin));
    } else {
      error(text.place, fmt::format("\"{}\" is no origin of one page", shown(text.text)),
            "write \"https://chat.example.com\": what is issued there is for that page alone");
    }
  }
  out.ticket_ttl = section.duration("ticket_ttl");
  out.ticket_bind_ip = section.boolean("ticket_bind_ip");
  if (section.good("logout_ttl")) {
    out.logout_ttl = section.duration("logout_ttl");
  } else if (auth->jwt.max_lifetime_seconds > 0) {
    out.logout_ttl = std::chrono::seconds(auth->jwt.max_lifetime_seconds);
  }
  for (const Kind kind : {Kind::ticket, Kind::refresh, Kind::logout}) {
    if (section.good(policy::EndpointSettings::kKindNames[static_cast<std::size_t>(kind)])) endpoint(section, kind, *auth);
  }
  if (!out.any()) {
    if (!section.refused("ticket") && !section.refused("refresh") && !section.refused("logout")) {
      error(section.place(), fmt::format("{} offers nothing", who), "ticket = \"/tickets\"");
    }
    return;
  }
  used_[fmt::format("auth {}", name)] = true;
}

void Checker::endpoint(const Section& section, Kind kind, policy::AuthSettings& auth) {
  const std::string_view key = policy::EndpointSettings::kKindNames[static_cast<std::size_t>(kind)];
  const Place place = section.place(key);
  const std::string path = section.text(key);
  const auto canonical = http::canonical_path(path);
  if (!canonical || *canonical != path || path == "/" || path.find('*') != std::string::npos) {
    error(place, fmt::format("'{}' = \"{}\" is no path of its own", key, shown(path)), fmt::format("{} = \"/auth/{}\"", key, key));
    return;
  }
  for (const policy::AuthSettings& other : settings_.auths) {
    if (!meet(other.endpoints, auth.endpoints) || std::ranges::find(other.endpoints.paths, path) == other.endpoints.paths.end()) continue;
    error(place, fmt::format("\"{}\" is an endpoint already", shown(path)), "give each a path, a host or a listener of its own");
    return;
  }
  endpoint_of_type(section, kind, auth);
  auth.endpoints.paths[static_cast<std::size_t>(kind)] = path;
  if (kind == Kind::logout) return;
  for (const ListenerSettings& listener : settings_.listeners) {
    if (listener.tls || raw_listeners_.contains(listener.name)) continue;
    if (!auth.endpoints.listeners.empty() && std::ranges::find(auth.endpoints.listeners, listener.name) == auth.endpoints.listeners.end()) {
      continue;
    }
    reporter_.warning(place, fmt::format("what is sent to {} can be read on plain listener '{}'", shown(path), shown(listener.name)),
                      "restrict the endpoints with listener = [...]");
  }
}

// What a kind needs of the [auth].
void Checker::endpoint_of_type(const Section& section, Kind kind, const policy::AuthSettings& auth) {
  using Type = policy::AuthSettings::Type;
  const std::string_view key = policy::EndpointSettings::kKindNames[static_cast<std::size_t>(kind)];
  if (kind == Kind::logout) {
    if (auth.type != Type::jwt) {
      error(section.place(key), "'logout' is for type = \"jwt\"", "an issuer of tokens says who has logged out");
    } else if (auth.jwt.issuer.empty() || auth.jwt.audience.empty()) {
      error(section.place(key), "'logout' needs 'issuer' and 'audience': without them a logout token of anybody would do",
            "set both in the [auth]; the audience is the client's id");
    }
    return;
  }
  if (auth.type == Type::external) {
    error(section.place(key), fmt::format("'{}' is not for type = \"external\"", key), "its service is asked about every connection anew");
    return;
  }
  if (auth.from.empty()) return;  // said already
  if (std::ranges::all_of(auth.from, is_ticket)) {
    error(section.place(key), fmt::format("'{}' takes a credential, and 'from' has only tickets", key),
          "from = [\"header:Authorization\", \"ticket:ticket\"]");
  } else if (kind == Kind::ticket && std::ranges::none_of(auth.from, is_ticket)) {
    error(section.place(key), "tickets are issued, and 'from' has no place for them", "add \"ticket:ticket\" to 'from'");
  }
}

}  // namespace sluice::config
