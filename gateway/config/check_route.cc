// Checker: [[route]].
#include <fmt/format.h>

#include <algorithm>

#include "base/result.h"
#include "config/check.h"
#include "http/path.h"

namespace sluice::config {
namespace {

using LimitKey = policy::LimitSettings::Key;

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

bool has_carrier(const policy::AuthSettings& auth, policy::Carrier::Kind kind) {
  return std::any_of(auth.from.begin(), auth.from.end(),
                     [kind](const auto& one) { return one.kind == kind; });
}

bool overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return true;
  return std::any_of(a.begin(), a.end(),
                     [&](const auto& one) { return std::find(b.begin(), b.end(), one) != b.end(); });
}

}  // namespace

void Checker::route(const Section& section) {
  RouteSettings out;
  if (section.good("host")) route_host(section, out);
  if (section.good("path")) route_path(section, out);
  out.name = section.good("name") ? section.text("name") : out.host + out.path;
  const std::string who = out.name.empty() ? "route" : fmt::format("route '{}'", shown(out.name));
  out.listeners = references(who, "listener", section, "listener", listeners_);
  for (const Text& text : section.texts("listener")) {
    if (raw_listeners_.contains(text.text)) {
      error(text.place, fmt::format("{} is on listener '{}', which has protocol = \"tcp\"", who, shown(text.text)),
            "a route serves requests, and plain TCP has none");
    }
  }
  if (section.good("backend")) {
    const Text backend{section.text("backend"), section.place("backend")};
    if (refers(who, "backend", backend, backends_)) out.backend = backend.text;
  }
  if (section.good("auth")) {
    out.auth = references(who, "auth", section, "auth", auths_);
    if (section.texts("auth").empty()) {
      error(section.place("auth"), "'auth' is empty", "leave it out to let everyone in");
    }
  }
  out.rate_limit = references(who, "rate_limit", section, "rate_limit", limits_);
  out.websocket.reject_with_close = section.text("reject") == "close";
  out.close_on_server_down = section.text("on_server_down") == "close";
  access(section, out);
  strip_prefix(section, out);
  header_rules(section.table("request_headers"), true, out, out.request_headers);
  header_rules(section.table("response_headers"), false, out, out.response_headers);
  target(section, out);
  websocket(section.table("websocket"), out.websocket);
  route_http(section.table("http"), out);
  messages(section, out);
  message_rules(section, out);
  route_limits(section, out);
  if (section.has("survive")) survive(section, out);
  route_effects(section, out);
  route_duplicates(section, out);
  settings_.routes.push_back(std::move(out));
}

void Checker::route_host(const Section& section, RouteSettings& out) {
  const std::string host = lower(section.text("host"));
  const bool wildcard = host.starts_with("*.");
  const auto parsed = http::parse_authority(wildcard ? host.substr(2) : host);
  if (parsed && parsed->port != 0) {
    error(section.place("host"), fmt::format("'host' = \"{}\" has a port", shown(host)),
          "leave the port out; 'listener' restricts a route to listeners");
  } else if (!parsed || parsed->host.find('*') != std::string::npos ||
             (wildcard && parsed->host.find('[') == 0)) {
    error(section.place("host"), fmt::format("'host' = \"{}\" is no host name", shown(host)),
          "write \"chat.example.com\", or \"*.example.com\" for all names below");
  } else {
    out.host = (wildcard ? "*." : "") + parsed->host;
  }
}

void Checker::route_path(const Section& section, RouteSettings& out) {
  const std::string written = section.text("path");
  std::string why;
  auto bound = policy::BoundPath::parse(written, why);
  if (!bound) {
    return error(section.place("path"), fmt::format("'path' = \"{}\" {}", shown(written), why),
                 "write \"/rooms/{claim:room}\", or \"/rooms/{claim:room}/*\" for all below it");
  }
  std::string path = written;
  // The rest is judged with a plain segment in place of each bound one.
  for (std::size_t open = path.find('{'); open != std::string::npos; open = path.find('{')) {
    path.replace(open, path.find('}', open) - open + 1, "claim");
  }
  const bool prefix = path.ends_with("/*");
  const std::string base = prefix ? path.substr(0, path.size() - 1) : path;
  const auto canonical = http::canonical_path(base);
  if (!path.starts_with('/') || base.find('*') != std::string::npos) {
    error(section.place("path"), fmt::format("'path' = \"{}\" is no path", shown(written)),
          "write \"/chat\" for exactly that, \"/chat/*\" for all below it, \"/*\" for everything");
  } else if (!canonical) {
    error(section.place("path"), fmt::format("'path' = \"{}\" can match no request", shown(written)),
          "requests whose path holds such octets are refused");
  } else if (*canonical != base) {
    error(section.place("path"), fmt::format("'path' = \"{}\" is not in canonical form", shown(written)),
          bound->bindings.empty() ? fmt::format("write \"{}{}\"", *canonical, prefix ? "*" : "") : "");
  } else {
    out.path = written;
    out.bindings = std::move(bound->bindings);
  }
}

void Checker::websocket(const Section& section, WebSocketSettings& out) {
  const auto octets = [&](std::string_view key) { return static_cast<std::uint64_t>(section.number(key)); };
  const auto count = [&](std::string_view key) { return static_cast<std::uint32_t>(section.number(key)); };
  out.max_message = octets("max_message");
  out.max_message_to_client = octets("max_message_to_client");
  out.max_fragments = count("max_fragments");
  out.validate_utf8 = section.boolean("validate_utf8");
  out.ping_interval = section.duration("ping_interval");
  out.pong_timeout = section.duration("pong_timeout");
  out.idle_timeout = section.duration("idle_timeout");
  out.max_lifetime = section.duration("max_lifetime");
  out.fragment_timeout = section.duration("fragment_timeout");
  out.write_stall = section.duration("write_stall");
  out.close_timeout = section.duration("close_timeout");
  out.forward_pings = section.text("ping") == "forward";
  out.pass_compression = section.text("compression") == "pass";
  out.text_frames = section.text("frame") == "text";
  out.control_rate = count("control_rate");
  out.control_burst = count("control_burst");
  if (const Node* rate = section.node("control_rate")) {
    if (rate->octets || rate->per != std::chrono::seconds(1)) {
      error(rate->place, "'control_rate' must be a number per second", "write \"20/s\"");
    }
  }
  for (const Text& text : section.texts("subprotocols")) {
    if (!is_token(text.text)) {
      error(text.place, fmt::format("\"{}\" is no subprotocol", shown(text.text)),
            "a token, without spaces and commas");
    } else if (std::find(out.subprotocols.begin(), out.subprotocols.end(), text.text) !=
               out.subprotocols.end()) {
      error(text.place, fmt::format("subprotocol \"{}\" is listed twice", text.text));
    } else {
      out.subprotocols.push_back(text.text);
    }
  }
  for (const Text& text : section.texts("origins")) {
    if (auto pattern = policy::OriginPattern::parse(text.text)) {
      out.origins.push_back(std::move(*pattern));
    } else {
      error(text.place, fmt::format("\"{}\" is no origin", shown(text.text)),
            text.text == "*"
                ? "to let every origin in, leave 'origins' out"
                : "write \"https://chat.example.com\" or \"https://*.example.com\", without a path");
    }
  }
}

void Checker::route_http(const Section& section, RouteSettings& out) {
  out.http.max_body = static_cast<std::uint64_t>(section.number("max_body"));
  out.http.body_timeout = section.duration("body_timeout");
  out.http.response_timeout = section.duration("response_timeout");
  out.http.idle_timeout = section.duration("idle_timeout");
  const upstream::BackendSettings* backend = find_backend(out.backend);
  if (section && backend && !backend->servers.empty() && !upstream::serves_http(backend->servers.front().scheme)) {
    error(section.place(), fmt::format("'http' is only for routes to http:// and https:// servers, not to those of '{}'",
                                       shown(backend->name)),
          "write its servers as http://...; they get WebSocket handshakes, too");
  }
}

void Checker::route_limits(const Section& section, const RouteSettings& route) {
  const bool identified = !route.auth.empty() || section.refused("auth") || section.has("auth");
  for (const Text& text : section.texts("rate_limit")) {
    const policy::LimitSettings* limit = find_limit(text.text);
    if (limit != nullptr && limit->key == LimitKey::claim && !identified) {
      error(text.place,
            fmt::format("limit '{}' counts by claim '{}', but the route has no auth", limit->name,
                        limit->claim),
            "set auth, or a limit with another key");
    }
  }
  const upstream::BackendSettings* backend = find_backend(route.backend);
  if (backend != nullptr && backend->policy == upstream::Policy::consistent_hash &&
      backend->key.kind == upstream::HashKey::Kind::claim && !identified) {
    reporter_.warning(section.place("backend"),
                      fmt::format("backend '{}' hashes claim '{}', but the route has no auth", backend->name,
                                  backend->key.name),
                      "all its clients go to one server");
  }
}

// Of several [auth] tables exactly one must be to check a credential.
void Checker::auths_beside(const Section& section, const RouteSettings& route) {
  for (std::size_t i = 0; i < route.auth.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const policy::AuthSettings* const one = find_auth(route.auth[j]);
      const policy::AuthSettings* const other = find_auth(route.auth[i]);
      if (!one || !other) continue;
      const bool shared = std::ranges::any_of(one->from, [&](const policy::Carrier& carrier) {
        return carrier.kind != policy::Carrier::Kind::ticket &&  // a ticket says whose it is
               std::ranges::find(other->from, carrier) != other->from.end();
      });
      if (!shared || (!one->jwt.issuer.empty() && !other->jwt.issuer.empty() && one->jwt.issuer != other->jwt.issuer)) {
        continue;
      }
      error(section.place("auth"), fmt::format("auth '{}' and '{}' take tokens from the same place", one->name, other->name),
            "give each its own 'issuer', which says whose token it is, or its own place in 'from'");
    }
  }
}

// What other tables mean for this route: combinations that are dangerous, and settings that something else
// overrules.
void Checker::route_effects(const Section& section, RouteSettings& out) {
  const Section ws = section.table("websocket");
  auths_beside(section, out);
  first_message_beside(section, out);
  certificates_asked_for(section, out);
  for (const std::string& name : out.auth) {
    const policy::AuthSettings* const auth = find_auth(name);
    if (!auth) continue;
    for (const Text& text : ws.texts("origins")) {
      if (text.text.find("://*") == std::string::npos || !has_carrier(*auth, policy::Carrier::Kind::cookie))
        continue;
      // Any page of any name below could use the visitor's cookie.
      error(text.place, fmt::format("a wildcard origin beside the cookie carrier of auth '{}'", auth->name),
            "name the origins, or carry the token otherwise");
    }
    sticky_beside(*auth, section, out);
    if (has_carrier(*auth, policy::Carrier::Kind::query)) {
      for (const ListenerSettings& listener : settings_.listeners) {
        if (listener.tls || !overlap(out.listeners, {listener.name})) continue;
        reporter_.warning(section.place("auth"),
                          fmt::format("tokens in the query of '{}' can be read on plain listener '{}'",
                                      shown(out.name), shown(listener.name)),
                          "restrict the route with listener = [...], or remove query: from the carriers");
      }
    }
  }
  const bool drops = std::any_of(out.rate_limit.begin(), out.rate_limit.end(), [this](const auto& name) {
    const auto* limit = find_limit(name);
    return limit != nullptr && limit->on_limit == policy::LimitSettings::Action::drop;
  });
  const upstream::BackendSettings* backend = find_backend(out.backend);
  const bool tcp = backend != nullptr && !backend->servers.empty() &&
                   upstream::bridged(backend->servers.front().scheme);
  const bool per_message = backend != nullptr && backend->unit == upstream::Unit::message;
  const bool guarded = !out.message_rules.empty();
  if (tcp || per_message || guarded) {
    out.websocket.forward_pings = false;
    if (ws.good("ping") && ws.text("ping") == "forward") {
      reporter_.warning(ws.place("ping"), fmt::format("pings are answered by the gateway {}",
                                                      tcp           ? "before tcp backends"
                                                      : per_message ? "before unit = \"message\""
                                                                    : "on routes with message_rule"));
    }
  }
  if (tcp || per_message || drops || guarded || out.websocket.validate_utf8) {
    out.websocket.pass_compression = false;
    if (ws.good("compression") && ws.text("compression") == "pass") {
      reporter_.warning(ws.place("compression"),
                        fmt::format("compression is off because of {}", tcp           ? "the tcp backend"
                                                                        : per_message ? "unit = \"message\""
                                                                        : drops       ? "a limit that drops"
                                                                        : guarded     ? "message_rule"
                                                                                      : "validate_utf8"));
    }
  }
  if (tcp && !ws.has("frame")) {
    const auto found = text_backends_.find(out.backend);
    out.websocket.text_frames = found != text_backends_.end() && found->second;
  } else if (ws.good("frame") && backend != nullptr && !backend->servers.empty() && !tcp) {
    reporter_.warning(ws.place("frame"), "'frame' has no effect: messages of ws backends keep their kind");
  }
}

void Checker::route_duplicates(const Section& section, const RouteSettings& route) {
  if (!route.name.empty() && !route_names_.emplace(route.name, section.place()).second) {
    error(section.has("name") ? section.place("name") : section.place("path"),
          fmt::format("route '{}' is defined twice", shown(route.name)),
          section.has("name") ? "" : "the name is host and path where none is set");
    return;
  }
  if (route.path.empty()) return;
  path_beside(section, route);
  const auto range = route_paths_.equal_range(route.host + route.path);
  for (auto it = range.first; it != range.second; ++it) {
    const RouteSettings& other = settings_.routes[it->second];
    if (overlap(other.listeners, route.listeners)) {
      error(section.place("path"), fmt::format("route '{}' can never match: route '{}' has its host and path",
                                               shown(route.name), shown(other.name)));
      return;
    }
  }
  route_paths_.emplace(route.host + route.path, settings_.routes.size());
}

}  // namespace sluice::config
