// dump: the effective settings as readable text.
#include <fmt/format.h>

#include "config/check.h"
#include "config/routes.h"
#include "config/units.h"

namespace sluice::config {
namespace {

template <typename List>
std::string joined(const List& list, std::string_view empty) {
  return list.empty() ? std::string(empty) : fmt::format("{}", fmt::join(list, ", "));
}

std::string or_word(Duration duration, std::string_view word) {
  return duration == Duration::zero() ? std::string(word) : duration_text(duration);
}

std::string or_word(std::uint64_t octets, std::string_view word) {
  return octets == 0 ? std::string(word) : size_text(octets);
}

std::string count_or(std::uint64_t number, std::string_view word) {
  return number == 0 ? std::string(word) : std::to_string(number);
}

const char* mask(const Secret& secret) { return secret.empty() ? "none" : "********"; }

std::string text(const policy::OriginPattern& origin) {
  return fmt::format("{}://{}{}{}", origin.scheme, origin.wildcard ? "*" : "", origin.host,
                     origin.port == 0 ? "" : fmt::format(":{}", origin.port));
}

std::string_view text(policy::LimitSettings::Unit unit) {
  constexpr std::string_view kNames[] = {"handshakes", "requests", "connections", "messages", "bytes"};
  return kNames[static_cast<std::size_t>(unit)];
}

std::string_view text(policy::LimitSettings::Action action) {
  constexpr std::string_view kNames[] = {"delay", "drop", "close", "reject"};
  return kNames[static_cast<std::size_t>(action)];
}

std::string text(const policy::LimitSettings& limit) {
  constexpr std::string_view kKeys[] = {"connection", "ip", "claim", "route", "listener"};
  const bool bytes = limit.unit == policy::LimitSettings::Unit::bytes;
  const auto amount = [bytes](std::uint64_t n) { return bytes ? size_text(n) : std::to_string(n); };
  std::string out = fmt::format("{}{}{}: ", kKeys[static_cast<std::size_t>(limit.key)],
                                limit.claim.empty() ? "" : ":", limit.claim);
  if (limit.unit == policy::LimitSettings::Unit::connections) {
    out += fmt::format("{} connections", limit.limit);
  } else {
    out +=
        fmt::format("{} {} per {}, burst {}", amount(limit.rate), text(limit.unit), duration_text(limit.per),
                    limit.burst == 0 ? "one second of rate" : amount(limit.burst));
  }
  out += fmt::format(", on_limit {}", text(limit.on_limit));
  if (limit.on_limit == policy::LimitSettings::Action::close) out += fmt::format(" {}", limit.close_code);
  return out;
}

std::string text(const upstream::StickySettings& sticky) {
  return fmt::format("    sticky by cookie {}, ttl {}, secret {}\n", sticky.cookie, or_word(sticky.ttl, "session"),
                     mask(sticky.secret));
}

std::string text(const upstream::BackendSettings& backend) {
  constexpr std::string_view kPolicies[] = {"round_robin", "least_connections", "random_two",
                                            "consistent_hash"};
  constexpr std::string_view kKeys[] = {"ip", "header:", "cookie:", "query:", "path", "claim:"};
  std::string out = fmt::format("{} per {}", kPolicies[static_cast<std::size_t>(backend.policy)],
                                backend.unit == upstream::Unit::message ? "message" : "connection");
  if (backend.policy == upstream::Policy::consistent_hash) {
    out += fmt::format(" by {}{}", kKeys[static_cast<std::size_t>(backend.key.kind)], backend.key.name);
    if (backend.key.segment > 0) out += fmt::format(":{}", backend.key.segment);
    if (backend.max_load > 0) out += fmt::format(", max_load {}%", backend.max_load);
  }
  if (backend.unit == upstream::Unit::message)
    out += fmt::format(", max_legs {}", count_or(backend.max_legs, "auto"));
  out += fmt::format(", connect {}, handshake {}, both {}, retries {}", duration_text(backend.connect_timeout),
                     duration_text(backend.handshake_timeout), duration_text(backend.open_timeout), backend.retries);
  if (backend.proxy.version != upstream::ProxySettings::Version::off) {
    out += backend.proxy.version == upstream::ProxySettings::Version::v1 ? ", proxy_protocol v1" : ", proxy_protocol v2";
  }
  out += backend.health.active ? fmt::format(", tcp check every {}", duration_text(backend.health.interval))
                               : std::string(", no active check");
  out += "\n";
  for (const auto& server : backend.servers)
    out += fmt::format("    {} weight {}\n", server.url, server.weight);
  if (!backend.sticky.cookie.empty()) out += text(backend.sticky);
  return out;
}

std::string text(const policy::HeaderRules& rules) {
  std::vector<std::string> set;
  for (const auto& [name, value] : rules.set) set.push_back(fmt::format("{}: {}", name, value.source()));
  return fmt::format("set [{}], remove [{}]", joined(set, "none"), joined(rules.remove, "none"));
}

std::string text(const upstream::TargetSettings& target) {
  using From = upstream::TargetSettings::From;
  std::string out = target.from == From::claim   ? "claim:" + target.name
                    : target.from == From::query ? "query:" + target.name
                                                 : fmt::format("path:{}", target.segment);
  if (target.mapped) out += fmt::format(" by a map of {}", target.map.size());
  for (const upstream::TargetAllow& allow : target.allow) {
    out += fmt::format(", allow {}{}{}", allow.host, allow.cidr && !allow.host.empty() ? " in " : "",
                       allow.cidr ? allow.cidr->text() : "");
    for (const upstream::PortRange& range : allow.ports) {
      out += range.first == range.last ? fmt::format(" {}", range.first) : fmt::format(" {}-{}", range.first, range.last);
    }
  }
  return out;
}

std::string joined(const std::vector<policy::Scalar>& values) {
  std::vector<std::string> texts;
  for (const policy::Scalar& value : values) texts.push_back(value.text);
  return joined(texts, "nothing");
}

std::string text(const policy::ClaimRule& rule) {
  constexpr std::string_view kTests[] = {"present", "equals", "contains", "any of", "all of", "a number in bounds"};
  std::string out = fmt::format("claim {} {}", rule.claim.text(), kTests[static_cast<std::size_t>(rule.test)]);
  if (!rule.values.empty()) out += " " + joined(rule.values);
  return out;
}

std::string text(const policy::AccessRule& rule) {
  std::vector<std::string> parts;
  if (rule.claim) parts.push_back(text(*rule.claim));
  if (!rule.scopes.empty()) parts.push_back("scopes " + joined(rule.scopes, ""));
  for (const net::Cidr& block : rule.cidr) parts.push_back("from " + block.text());
  for (const auto& origin : rule.origins) parts.push_back("origin " + text(origin));
  if (!rule.subprotocols.empty()) parts.push_back("subprotocols " + joined(rule.subprotocols, ""));
  if (!rule.auths.empty()) parts.push_back("auth " + joined(rule.auths, ""));
  return joined(parts, "");
}

std::string text(const policy::MessageAccess& rule) {
  std::string out = rule.to_client ? "of the server" : "of the client";
  if (rule.opcode != 0) out += rule.opcode == 1 ? ", text" : ", binary";
  if (rule.max_size != 0) out += fmt::format(", max_size {}", rule.max_size);
  if (rule.pointer) {
    out += fmt::format(", {} is {}", rule.pointer->text(), rule.claim ? "claim " + rule.claim->text() : joined(rule.values));
  }
  return out + (rule.action == policy::MessageAccess::Action::drop ? ", else drop" : ", else close");
}

std::string text(const RouteSettings& route) {
  const WebSocketSettings& ws = route.websocket;
  std::string origins;
  for (const auto& origin : ws.origins) origins += (origins.empty() ? "" : ", ") + text(origin);
  std::string out =
      fmt::format("host {}, path {}, listeners {}, backend {}, auth {}, rate_limit {}, reject {}\n",
                  route.host.empty() ? "any" : route.host, route.path, joined(route.listeners, "all"),
                  route.backend, joined(route.auth, "none"), joined(route.rate_limit, "none"),
                  ws.reject_with_close ? "close" : "status");
  if (route.target) out += "    target from " + text(*route.target) + "\n";
  out += fmt::format("    max_message {} up, {} down, max_fragments {}, validate_utf8 {}, compression {}\n",
                     or_word(ws.max_message, "unlimited"), or_word(ws.max_message_to_client, "unlimited"),
                     count_or(ws.max_fragments, "unlimited"), ws.validate_utf8,
                     ws.pass_compression ? "pass" : "off");
  out +=
      fmt::format("    ping {} every {}, pong_timeout {}, idle_timeout {}, max_lifetime {}, write_stall {}\n",
                  ws.forward_pings ? "forward" : "answer", or_word(ws.ping_interval, "off"),
                  duration_text(ws.pong_timeout), or_word(ws.idle_timeout, "off"),
                  or_word(ws.max_lifetime, "off"), duration_text(ws.write_stall));
  out += fmt::format("    http: max_body {}, body_timeout {}, response_timeout {}, idle_timeout {}\n",
                     or_word(route.http.max_body, "unlimited"), duration_text(route.http.body_timeout),
                     or_word(route.http.response_timeout, "off"), or_word(route.http.idle_timeout, "off"));
  out += fmt::format("    subprotocols {}, origins {}\n", joined(ws.subprotocols, "any"),
                     origins.empty() ? "any" : origins);
  for (const policy::AccessRule& rule : route.access) out += "    access " + text(rule) + "\n";
  for (const policy::MessageAccess& rule : route.message_rules) out += "    messages " + text(rule) + "\n";
  if (!route.strip_prefix.empty()) out += fmt::format("    strip_prefix {}\n", route.strip_prefix);
  if (!route.request_headers.empty()) out += fmt::format("    request_headers {}\n", text(route.request_headers));
  if (!route.response_headers.empty()) out += fmt::format("    response_headers {}\n", text(route.response_headers));
  if (const auto& survive = route.survive) {
    constexpr std::string_view kPolicies[] = {"hold", "fail", "drop"};
    out += fmt::format("    survives {}: in_flight {}, timeout {}, retry {}, buffer {}, close_code {}\n",
                       joined(survive->codes, "nothing"), kPolicies[static_cast<std::size_t>(survive->in_flight)],
                       duration_text(survive->timeout), duration_text(survive->retry), size_text(survive->buffer),
                       survive->close_code);
  }
  return out;
}

std::string blocks(const std::vector<net::Cidr>& all) {
  std::vector<std::string> texts;
  for (const auto& block : all) texts.push_back(block.text());
  return joined(texts, "none");
}

std::string text(const ListenerSettings& listener) {
  std::string out = fmt::format("{}", listener.bind.text());
  if (listener.tls) {
    std::vector<std::string> names;
    for (const auto& certificate : listener.tls->certificates) names.push_back(certificate.name);
    out += fmt::format(", TLS {} and later, certificates {}, alpn {}", listener.tls->min_version,
                       listener.tls->self_signed ? "self-signed" : joined(names, "none"),
                       joined(listener.tls->alpn, "none"));
  } else {
    out += ", plain";
  }
  out += fmt::format(", max_connections {}, rate_limit {}", count_or(listener.max_connections, "unlimited"),
                     joined(listener.rate_limit, "none"));
  if (listener.redirect_port != 0) out += fmt::format(", redirect to https on {}", listener.redirect_port);
  if (!listener.acme_folder.empty()) out += fmt::format(", acme_folder {}", listener.acme_folder);
  if (!listener.backend.empty()) {
    out += fmt::format(", protocol tcp to {}, idle_timeout {}, on_server_down {}", listener.backend,
                       or_word(listener.idle_timeout, "off"), listener.close_on_server_down ? "close" : "keep");
  }
  if (listener.proxy_protocol) out += ", proxy_protocol from " + blocks(listener.proxy_protocol_from);
  constexpr std::string_view kStyles[] = {"x-forwarded", "rfc7239", "both"};
  return out + fmt::format(", trusted_proxies {}, forwarded {}\n", blocks(listener.trusted_proxies),
                           kStyles[static_cast<std::size_t>(listener.forwarded)]);
}

std::string text(const policy::ExternalSettings& external) {
  return fmt::format("external {}://{}{}, timeout {}, with {}, to the backend {}, to the client {}, subject {}, again {}",
                     external.tls ? "https" : "http", external.authority, external.target, duration_text(external.timeout),
                     joined(external.request_headers, "none"), joined(external.response_headers, "none"),
                     joined(external.refusal_headers, "none"),
                     external.subject_header.empty() ? "none" : external.subject_header, or_word(external.recheck, "never"));
}

// A query may hold what nobody else is to read.
std::string keys_of(const policy::JwtSettings& jwt) {
  const policy::KeySourceSettings& source = jwt.source;
  if (!source.remote()) return jwt.jwks.empty() ? "none" : "set";
  return fmt::format("{} (ca {}, allow {}, stale_max {})",
                     source.discovery ? "by discovery" : "from " + source.url.substr(0, source.url.find('?')),
                     source.ca.empty() ? "the system's" : "set", blocks(source.allow), duration_text(source.stale_max));
}

std::string text(const policy::JwtSettings& jwt) {
  std::vector<std::string> algorithms;
  for (const auto algorithm : jwt.algorithms) algorithms.emplace_back(net::name(algorithm));
  return fmt::format("jwt {}, secret {}, public key {}, jwks {}, issuer {}, audience {}", joined(algorithms, "none"),
                     mask(jwt.secret), jwt.public_key.empty() ? "none" : "set", keys_of(jwt),
                     jwt.issuer.empty() ? "any" : jwt.issuer, joined(jwt.audience, "any"));
}

std::string text(const policy::EndpointSettings& endpoints) {
  if (!endpoints.any()) return {};
  std::string out = "    endpoints";
  for (std::size_t i = 0; i < endpoints.paths.size(); ++i) {
    if (!endpoints.paths[i].empty()) out += fmt::format(" {} {},", policy::EndpointSettings::kKindNames[i], endpoints.paths[i]);
  }
  return out + fmt::format(" listener {}, host {}, origins {}, ticket_ttl {}, ticket_bind_ip {}, logout_ttl {}\n",
                           joined(endpoints.listeners, "all"), endpoints.host.empty() ? "any" : endpoints.host,
                           endpoints.origins.size(), duration_text(endpoints.ticket_ttl), endpoints.ticket_bind_ip,
                           duration_text(endpoints.logout_ttl));
}

// Of live connections, beside what happens at expiry.
std::string text(const policy::AuthSettings& auth, const policy::RefreshSettings& refresh) {
  std::string out = auth.warn_before == Duration::zero()
                        ? "no warning"
                        : fmt::format("warning {} before by {}", duration_text(auth.warn_before), auth.warn_message);
  out += refresh.in_band ? fmt::format(", refresh by {{\"type\":\"{}\"}} of at most {} octets, {} on failure", refresh.type, refresh.max,
                                       refresh.close_on_failure ? "close" : "keep")
                         : ", no refresh in band";
  return out + fmt::format(", first message within {}, of at most {} octets\n", duration_text(auth.first_message.deadline),
                           auth.first_message.max);
}

std::string text(const policy::ClientCertSettings& settings) {
  return fmt::format("client_cert, subject {}, trust_domains {}",
                     policy::ClientCertSettings::kSubjectNames[static_cast<std::size_t>(settings.subject)],
                     joined(settings.trust_domains, "any"));
}

std::string text(const policy::AuthSettings& auth) {
  std::vector<std::string> from;
  for (const auto& carrier : auth.from) {
    const std::string_view kind = policy::Carrier::kKindNames[static_cast<std::size_t>(carrier.kind)];
    from.push_back(carrier.name.empty() ? std::string(kind) : fmt::format("{}:{}", kind, carrier.name));
  }
  std::vector<std::string> forward;
  for (const auto& [claim, header] : auth.forward) forward.push_back(fmt::format("{} as {}", claim, header));
  return fmt::format(
      "{}\n    from {}, forward {}, failures {}, {}\n",
      auth.type == policy::AuthSettings::Type::external      ? text(auth.external)
      : auth.type == policy::AuthSettings::Type::client_cert ? text(auth.client_cert)
      : auth.keys                                       ? fmt::format("api_key, keys {}", auth.keys->size())
                                                        : text(auth.jwt),
      joined(from, "none"),
      joined(forward, "none"),
      auth.failures.count == 0 ? "off" : fmt::format("{} per {}", auth.failures.count, duration_text(auth.failures.per)),
      auth.close_on_expiry ? fmt::format("close {} on expiry", auth.expiry_close_code) : "keep on expiry") +
         "    " + text(auth, auth.refresh) + text(auth.endpoints);
}

}  // namespace

std::string dump(const Settings& settings) {
  std::string out = fmt::format("file: {}\n", joined(settings.files, settings.file));
  std::vector<std::string> resolvers;
  for (const net::Address& resolver : settings.server.resolvers) resolvers.push_back(resolver.text());
  out += fmt::format("server: workers {}, drain_timeout {}, max_connections {}, max_handshakes {}, resolvers {}\n",
                     count_or(settings.server.workers, "auto"), duration_text(settings.server.drain_timeout),
                     count_or(settings.server.max_connections, "auto"), settings.server.max_handshakes,
                     joined(resolvers, "the system's"));
  out += fmt::format("log: level {}, file {}, access {}, access_fields {}\n", name(settings.log.level),
                     settings.log.file, settings.log.access, joined(settings.access_fields, "all"));
  out += settings.admin.enabled
             ? fmt::format("admin: {}, token {}\n", settings.admin.bind.text(), mask(settings.admin.token))
             : std::string("admin: off\n");
  out += fmt::format("revocation: file {}, max {}\n", settings.revocation.file.empty() ? "none" : settings.revocation.file,
                     settings.revocation.max);
  if (settings.redis.enabled()) {
    out += fmt::format("redis: {}, password {}, prefix {}, timeout {}, on_store_failure {}\n", settings.redis.url,
                       mask(settings.redis.password), settings.redis.prefix, duration_text(settings.redis.timeout),
                       settings.redis.closed ? "closed after " + duration_text(settings.redis.stale_after) : "open");
  }
  for (const auto& listener : settings.listeners)
    out += fmt::format("listener {}: {}", listener.name, text(listener));
  out += "routes, the first that matches in this order:\n";
  int position = 0;
  const Routes routes(settings.routes);
  for (const std::uint32_t index : routes.order()) {
    const RouteSettings& route = settings.routes[index];
    out += fmt::format("  {}. {}: {}", ++position, route.name, text(route));
  }
  for (const auto& backend : settings.backends)
    out += fmt::format("backend {}: {}", backend.name, text(backend));
  for (const auto& auth : settings.auths) out += fmt::format("auth {}: {}", auth.name, text(auth));
  for (const auto& limit : settings.limits)
    out += fmt::format("rate_limit {}: {}\n", limit.name, text(limit));
  return out;
}

}  // namespace sluice::config
