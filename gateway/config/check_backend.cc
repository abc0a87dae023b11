// Checker: [backend.NAME].
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "config/check.h"
#include "http/head.h"
#include "http/path.h"

namespace sluice::config {
namespace {

using upstream::HashKey;
using upstream::Scheme;

upstream::Policy policy_of(std::string_view text) {
  if (text == "least_connections") return upstream::Policy::least_connections;
  if (text == "random_two") return upstream::Policy::random_two;
  return text == "consistent_hash" ? upstream::Policy::consistent_hash : upstream::Policy::round_robin;
}

upstream::Duty duty_of(std::string_view text) {
  if (text == "drain") return upstream::Duty::drain;
  return text == "down" ? upstream::Duty::down : upstream::Duty::ready;
}

std::optional<Scheme> scheme_of(std::string_view text) {
  if (text == "ws") return Scheme::ws;
  if (text == "wss") return Scheme::wss;
  if (text == "http") return Scheme::http;
  if (text == "https") return Scheme::https;
  if (text == "tcp") return Scheme::tcp;
  if (text == "tls") return Scheme::tls;
  return std::nullopt;
}

// Takes "dns+" or "srv+" off the scheme.
upstream::Discovery take_discovery(std::string_view& scheme) {
  const bool addresses = scheme.starts_with("dns+");
  if (!addresses && !scheme.starts_with("srv+")) return upstream::Discovery::none;
  scheme.remove_prefix(4);
  return addresses ? upstream::Discovery::addresses : upstream::Discovery::services;
}

// A name to be asked for as SRV (RFC 2782): service and protocol, then a domain.
bool is_service_name(std::string_view name) {
  for (int label = 0; label < 2; ++label) {
    const std::size_t dot = name.find('.');
    if (!name.starts_with('_') || dot == std::string_view::npos || dot < 2) return false;
    name.remove_prefix(dot + 1);
  }
  return !name.empty() && !name.starts_with('_') && !name.starts_with('.');
}

}  // namespace

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '.' || text.front() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

void Checker::backend(const std::string& name, const Section& section) {
  upstream::BackendSettings out;
  out.name = name;
  servers(section, out);
  balance(section, out);
  out.connect_timeout = section.duration("connect_timeout");
  out.handshake_timeout = section.duration("handshake_timeout");
  out.open_timeout = section.duration("open_timeout");
  out.retries = static_cast<std::uint32_t>(section.number("retries"));
  upstream_tls(section.table("tls"), section.place("servers"), out);
  pool(section.table("pool"), out);
  upstream_proxy(section, out);

  health(section.table("health"), out);

  const Section ejection = section.table("ejection");
  out.ejection.failures = static_cast<std::uint32_t>(ejection.number("failures"));
  out.ejection.base = ejection.duration("base");
  out.ejection.most = ejection.duration("max");
  out.ejection.max_percent = static_cast<std::uint32_t>(ejection.number("max_percent"));
  out.ejection.panic = static_cast<std::uint32_t>(ejection.number("panic"));
  // What one client names badly must not take the others' away.
  if (!out.servers.empty() && out.servers.front().host == upstream::kNamedByClient) out.ejection.failures = 0;
  if (ejection && out.ejection.most < out.ejection.base) {
    error(ejection.place(ejection.has("max") ? "max" : "base"), "'max' is shorter than 'base'");
  }

  sticky(section.table("sticky"), out);
  protection(section, out);
  upstream_socket(section.table("socket"), out);

  rebalance(section.table("rebalance"), out);

  const bool tcp = !out.servers.empty() && upstream::bridged(out.servers.front().scheme);
  const Section framing = section.table("framing");
  if (framing && !tcp && !out.servers.empty()) {
    error(framing.place(), "'framing' is only for tcp://, tls:// and unix:// servers");
  } else if (framing) {
    text_backends_[name] = framing.text("message") == "text";
    tcp_framing(framing, out.framing);
  }
  if (tcp && out.unit == upstream::Unit::message && !out.framing.framed() && !framing.refused("type")) {
    error(section.table("balance").place("unit"), "unit = \"message\" before TCP servers needs a framing",
          "octets without frames have no messages to balance: framing = { type = \"delimiter\" } or \"length\"");
  }
  if (tcp && section.has("handshake_timeout")) {
    reporter_.warning(section.place("handshake_timeout"),
                      "'handshake_timeout' has no effect for tcp:// servers");
  }
  any_server(section, out);
  settings_.backends.push_back(std::move(out));
}

void Checker::health(const Section& section, upstream::BackendSettings& out) {
  using Type = upstream::HealthSettings::Type;
  upstream::HealthSettings& health = out.health;
  health.active = static_cast<bool>(section);
  const std::string type = section.text("type");
  health.type = type == "http" ? Type::http : type == "websocket" ? Type::websocket : Type::tcp;
  health.interval = section.duration("interval");
  health.timeout = section.duration("timeout");
  health.fall = static_cast<std::uint32_t>(section.number("fall"));
  health.rise = static_cast<std::uint32_t>(section.number("rise"));
  health.jitter = static_cast<std::uint32_t>(section.number("jitter"));
  if (!section || section.refused("type")) return;
  for (const char* key : {"path", "host", "headers"}) {
    if (section.has(key) && health.type == Type::tcp) {
      error(section.place(key), fmt::format("'{}' needs type = \"http\" or \"websocket\"", key));
    }
  }
  if (section.has("status") && health.type != Type::http) error(section.place("status"), "'status' needs type = \"http\"");
  if (health.type == Type::websocket && !out.servers.empty() && upstream::bridged(out.servers.front().scheme)) {
    error(section.place("type"), fmt::format("backend '{}' has servers that speak no WebSocket", shown(out.name)),
          "type = \"tcp\" or \"http\"");
  }
  health.path = section.text("path");
  const auto target = http::canonical_target(health.path);
  if (!target || !health.path.starts_with('/')) {
    error(section.place("path"), fmt::format("'path' = \"{}\" is no path", shown(health.path)), "write \"/healthz\"");
  }
  health.host = section.text("host");
  if (!health.host.empty() && !http::parse_authority(health.host)) {
    error(section.place("host"), fmt::format("'host' = \"{}\" is no host", shown(health.host)));
  }
  health_status(section, out);
  health_headers(section, out);
}

void Checker::health_status(const Section& section, upstream::BackendSettings& out) {
  out.health.status.clear();
  for (const Text& text : section.texts("status")) {
    const std::size_t dash = text.text.find('-');
    const auto number = [](std::string_view digits) {
      int value = 0;
      const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      const bool good = wrong == std::errc() && end == digits.data() + digits.size() && digits.size() == 3;
      return good && value >= 100 && value <= 599 ? value : 0;
    };
    const std::string_view whole = text.text;
    const int from = number(whole.substr(0, dash));
    const int to = dash == std::string::npos ? from : number(whole.substr(dash + 1));
    if (from == 0 || to < from) {
      error(text.place, fmt::format("\"{}\" is no status", shown(text.text)), "write \"200\" or \"200-299\"");
    } else {
      out.health.status.push_back({from, to});
    }
  }
  if (section.has("status") && section.texts("status").empty()) error(section.place("status"), "'status' is empty");
}

void Checker::health_headers(const Section& section, upstream::BackendSettings& out) {
  const Node* headers = section.node("headers");
  if (headers == nullptr) return;
  constexpr std::array kOurs{"Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Expect"};
  for (const Member& one : headers->members) {
    if (one.value.bad) continue;
    const bool ours = std::ranges::any_of(kOurs, [&](const char* name) { return http::same_name(one.name, name); }) ||
                      (one.name.size() >= 14 && http::same_name(std::string_view(one.name).substr(0, 14), "Sec-WebSocket-"));
    const bool visible = std::ranges::all_of(one.value.text, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (!is_token(one.name) || ours) {
      error(one.value.place, fmt::format("header {} cannot be set by a check", shown(one.name)));
    } else if (one.value.kind != Node::Kind::text || !visible) {
      error(one.value.place, fmt::format("the value of header {} must be a string without control octets", shown(one.name)));
    } else {
      out.health.headers.emplace_back(one.name, one.value.text);
    }
  }
}

void Checker::protection(const Section& section, upstream::BackendSettings& out) {
  const auto count = [](const Section& from, std::string_view key) { return static_cast<std::uint32_t>(from.number(key)); };
  out.slow_start = section.duration("slow_start");
  out.max_connections = count(section, "max_connections");
  if (const Section pending = section.table("pending")) {
    out.pending.max = count(pending, "max");
    out.pending.timeout = pending.duration("timeout");
  }
  const Section breaker = section.table("circuit_breaker");
  out.breaker.enabled = static_cast<bool>(breaker);
  out.breaker.failures = count(breaker, "failures");
  out.breaker.percent = count(breaker, "percent");
  out.breaker.attempts = count(breaker, "attempts");
  out.breaker.window = breaker.duration("window");
  out.breaker.open = breaker.duration("open");
  out.breaker.probes = count(breaker, "probes");
  if (breaker && out.breaker.failures == 0 && out.breaker.percent == 0) {
    error(breaker.place(), "'circuit_breaker' with failures and percent off never opens", "leave the table out");
  }
  if (!out.servers.empty() && std::ranges::all_of(out.servers, [](const auto& server) { return server.backup; })) {
    error(section.place("servers"), "every server is a backup", "a backup stands in for servers without backup = true");
  }
}
void Checker::upstream_proxy(const Section& section, upstream::BackendSettings& out) {
  using Version = upstream::ProxySettings::Version;
  const std::string version = section.text("proxy_protocol");
  out.proxy.version = version == "v1" ? Version::v1 : version == "v2" ? Version::v2 : Version::off;
  if (out.proxy.version != Version::off && !out.servers.empty() && serves_http(out.servers.front().scheme)) {
    error(section.place("proxy_protocol"), "'proxy_protocol' is not for http:// servers",
          "their connections serve many clients; X-Forwarded-For says who each is");
  }
  for (const Text& text : section.texts("proxy_tlvs")) {
    out.proxy.alpn |= text.text == "alpn";
    out.proxy.authority |= text.text == "authority";
    out.proxy.unique_id |= text.text == "unique_id";
    out.proxy.tls |= text.text == "tls";
    out.proxy.identity |= text.text == "identity";
  }
  if (section.has("proxy_tlvs") && out.proxy.version != Version::v2 && !section.refused("proxy_protocol")) {
    error(section.place("proxy_tlvs"), "'proxy_tlvs' needs proxy_protocol = \"v2\"");
  }
}

// tcp://*: what is connected to is known for each client only.
void Checker::any_server(const Section& section, const upstream::BackendSettings& out) {
  const auto named_by_client = [](const auto& server) { return server.host == upstream::kNamedByClient; };
  if (std::ranges::none_of(out.servers, named_by_client)) return;
  if (out.servers.size() > 1) {
    error(section.place("servers"), fmt::format("\"{}\" stands for every server that clients name: no other can stand beside it",
                                                out.servers.front().url));
  }
  for (const char* key : {"health", "ejection"}) {
    if (section.has(key)) error(section.place(key), fmt::format("'{}' has no meaning for servers that clients name", key));
  }
}

void Checker::servers(const Section& section, upstream::BackendSettings& out) {
  const Node* list = section.node("servers");
  if (list == nullptr) return;
  if (list->items.empty()) error(list->place, "'servers' is empty");
  const Key* key = root().find("backend")->table->find("servers");
  for (const Node& item : list->items) {
    if (item.bad) continue;
    Text url{item.text, item.place};
    upstream::ServerSettings server;
    if (item.kind == Node::Kind::table) {
      const Section entry(*key->table, &item, item.place);
      if (!entry.good("url")) continue;
      url = {entry.text("url"), entry.place("url")};
      server.weight = static_cast<std::uint32_t>(entry.number("weight"));
      server.duty = duty_of(entry.text("state"));
      server.backup = entry.boolean("backup");
      server.max_connections = static_cast<std::uint32_t>(entry.number("max_connections"));
    }
    if (!server_url(url, server)) continue;
    const bool twice = std::any_of(out.servers.begin(), out.servers.end(), [&](const auto& other) {
      return other.scheme == server.scheme && other.host == server.host && other.port == server.port &&
             other.unix_path == server.unix_path && other.discovery == server.discovery;
    });
    if (twice) {
      error(url.place, fmt::format("server {} is listed twice", shown(url.text)),
            "use { url, weight } for a larger share");
      continue;
    }
    if (!out.servers.empty() &&
        upstream::bridged(out.servers.front().scheme) != upstream::bridged(server.scheme)) {
      error(url.place, "tcp:// and ws:// servers must not stand in one backend", "make two backends");
      continue;
    }
    if (!out.servers.empty() && serves_http(out.servers.front().scheme) != serves_http(server.scheme)) {
      error(url.place, "http:// and ws:// servers must not stand in one backend",
            "http:// servers get WebSocket handshakes, too");
      continue;
    }
    out.servers.push_back(std::move(server));
  }
}

bool Checker::server_url(const Text& url, upstream::ServerSettings& out) {
  const auto refuse = [&](const std::string& why, std::string help = {}) {
    error(url.place, fmt::format("server \"{}\" {}", shown(url.text), why), std::move(help));
    return false;
  };
  const std::string_view text = url.text;
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos)
    return refuse("is no URL", "write \"ws://HOST:PORT\", \"wss://...\", \"http://...\" or \"tcp://...\"");
  std::string_view scheme = text.substr(0, colon);
  out.discovery = take_discovery(scheme);
  std::string_view rest = text.substr(colon + 3);
  if (rest == upstream::kNamedByClient && scheme == "tcp" && out.discovery == upstream::Discovery::none) {
    out.scheme = Scheme::tcp;
    out.url = url.text;
    out.host = rest;
    return true;
  }
  // "unix:///run/app.sock" is TCP's, "ws+unix:///run/app.sock" a WebSocket server's.
  const bool unix = scheme == "unix" || scheme.ends_with("+unix");
  const std::string_view spoken =
      scheme == "unix" ? std::string_view("tcp") : unix ? scheme.substr(0, scheme.size() - 5) : scheme;
  const auto known = scheme_of(spoken);
  if (!known) {
    return refuse(fmt::format("has the unknown scheme {}", shown(scheme)),
                  "allowed: ws, wss, http, https, tcp, tls, each also behind dns+ or srv+; unix, and each with +unix");
  }
  if (unix && out.discovery != upstream::Discovery::none) {
    return refuse("is a unix socket, which has no name to ask for", fmt::format("leave out \"{}\"", text.substr(0, 4)));
  }
  out.scheme = *known;
  out.url = url.text;
  if (unix) {
    if (const std::string why = bad_socket_path(rest); !why.empty()) return refuse(why, "write unix:///run/app.sock");
    out.unix_path = rest;
    return true;
  }
  if (rest.find('@') != std::string_view::npos)
    return refuse("holds a user name", "leave out what stands before '@'");
  if (const std::size_t end = rest.find_first_of("/?#"); end != std::string_view::npos) {
    return refuse(rest[end] == '/'   ? "has a path"
                  : rest[end] == '?' ? "has a query"
                                     : "has a fragment",
                  "a server is a scheme, a host and a port; the client's path goes to it as it is");
  }
  std::string_view port;
  const std::size_t last = rest.rfind(':');
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return refuse("has no ']'");
    out.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
    if (!port.empty() && port[0] != ':') return refuse("has something behind ']'");
    if (!net::Address::parse(out.host, 1) || out.host.find(':') == std::string::npos)
      return refuse("is no IPv6 address");
  } else {
    out.host = rest.substr(0, last);
    port = last == std::string_view::npos ? std::string_view() : rest.substr(last);
    if (out.host.find(':') != std::string::npos)
      return refuse("has an IPv6 address without brackets", "write [ADDRESS]:PORT");
    if (!is_host_name(out.host)) return refuse("has no valid host");
  }
  if (out.discovery != upstream::Discovery::none && net::Address::parse(out.host, 1)) {
    return refuse("has an address where a name is asked for", fmt::format("leave out \"{}\"", text.substr(0, 4)));
  }
  if (out.discovery == upstream::Discovery::services) {
    if (!port.empty()) return refuse("has a port", "SRV records say the port");
    if (!is_service_name(out.host)) return refuse("names no service", "write srv+ws://_SERVICE._PROTOCOL.DOMAIN");
    return true;
  }
  if (port.empty()) {
    if (upstream::bridged(out.scheme)) return refuse("has no port", fmt::format("{}:// has no default port", scheme));
    out.port = upstream::encrypted(out.scheme) ? 443 : 80;
    return true;
  }
  port.remove_prefix(1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || out.port == 0) {
    return refuse("has no valid port", "a port is from 1 to 65535");
  }
  return true;
}

void Checker::balance(const Section& section, upstream::BackendSettings& out) {
  if (!section.good("balance")) return;
  const Node* node = section.node("balance");
  if (node->kind == Node::Kind::text) {
    out.policy = policy_of(node->text);
    return;
  }
  const Section table = section.table("balance");
  out.policy = policy_of(table.text("policy"));
  out.unit = table.text("unit") == "message" ? upstream::Unit::message : upstream::Unit::connection;
  out.max_legs = static_cast<std::uint32_t>(table.number("max_legs"));
  if (table.has("max_legs") && out.unit != upstream::Unit::message && !table.refused("unit")) {
    error(table.place("max_legs"), "'max_legs' needs unit = \"message\"");
  }
  out.max_load = static_cast<std::uint32_t>(table.number("max_load"));
  if (out.max_load > 0 && out.policy != upstream::Policy::consistent_hash && !table.refused("policy")) {
    error(table.place("max_load"), "'max_load' needs policy = \"consistent_hash\"");
  }
  if (!table.good("key")) return;
  if (out.policy != upstream::Policy::consistent_hash && !table.refused("policy")) {
    error(table.place("key"), "'key' needs policy = \"consistent_hash\"");
  } else if (!table.refused("policy")) {
    hash_key({table.text("key"), table.place("key")}, out);
  }
}

void Checker::hash_key(const Text& text, upstream::BackendSettings& out) {
  const std::size_t colon = text.text.find(':');
  const std::string kind = text.text.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : text.text.substr(colon + 1);
  HashKey key;
  bool fine = true;
  if (kind == "json") {
    key.kind = HashKey::Kind::json;
    key.pointer = JsonPointer::parse(name);
    if (key.pointer && out.unit != upstream::Unit::message) {
      error(text.place, "a key in messages needs unit = \"message\"");
      return;
    }
    fine = key.pointer && !name.empty();
  } else if (kind == "ip") {
    key.kind = HashKey::Kind::ip;
    fine = colon == std::string::npos;
  } else if (kind == "path") {
    key.kind = HashKey::Kind::path;
    if (colon != std::string::npos) {
      const auto parsed = std::from_chars(name.data(), name.data() + name.size(), key.segment);
      fine = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() && key.segment > 0;
    }
  } else {
    key.name = name;
    fine = kind == "claim" ? !name.empty() : is_token(name);
    if (kind == "header") {
      key.kind = HashKey::Kind::header;
    } else if (kind == "cookie") {
      key.kind = HashKey::Kind::cookie;
    } else if (kind == "query") {
      key.kind = HashKey::Kind::query;
    } else if (kind == "claim") {
      key.kind = HashKey::Kind::claim;
    } else {
      fine = false;
    }
  }
  if (!fine) {
    error(text.place, fmt::format("'key' has the unknown value \"{}\"", shown(text.text)),
          "allowed: ip, header:NAME, cookie:NAME, query:NAME, claim:NAME, path, path:N with N from 1, json:/POINTER");
    return;
  }
  out.key = std::move(key);
}

void Checker::pool(const Section& section, upstream::BackendSettings& out) {
  out.pool.max_idle = static_cast<std::uint32_t>(section.number("max_idle"));
  out.pool.idle_timeout = section.duration("idle_timeout");
  out.pool.max_age = section.duration("max_age");
  if (section && !out.servers.empty() && !serves_http(out.servers.front().scheme)) {
    error(section.place(), "'pool' is only for http:// and https:// servers");
  }
}

void Checker::rebalance(const Section& section, upstream::BackendSettings& out) {
  if (!section) return;
  if (out.unit == upstream::Unit::message) {
    error(section.place(), "'rebalance' has no meaning with unit = \"message\"", "each message is balanced as it comes");
  }
  const std::string threshold = section.text("threshold");
  std::uint32_t percent = 0;
  const char* const end = threshold.data() + threshold.size();
  const auto parsed = std::from_chars(threshold.data(), end, percent);
  if (parsed.ec != std::errc() || std::string_view(parsed.ptr, end) != "%" || percent < 1 || percent > 1000) {
    error(section.place("threshold"), fmt::format("'threshold' = \"{}\" is no percentage", shown(threshold)),
          "write \"10%\"; from 1% to 1000%");
  }
  out.rebalance.threshold = percent / 100.0;
  const Node* rate = section.node("rate");
  if (rate != nullptr && rate->octets) error(section.place("rate"), "'rate' counts sessions", "write \"50/s\"");
  const Duration per = rate != nullptr ? rate->per : Duration(std::chrono::seconds(1));
  out.rebalance.rate = static_cast<double>(section.number("rate")) / std::chrono::duration<double>(per).count();
}

void Checker::upstream_tls(const Section& section, Place servers, upstream::BackendSettings& out) {
  for (const upstream::ServerSettings& server : out.servers) {
    if (server.unix_path.empty() || !upstream::encrypted(server.scheme) || section.has("server_name")) continue;
    error(section ? section.place() : servers, fmt::format("server \"{}\" needs tls.server_name", shown(server.url)),
          "a path is no name that a certificate could be for");
    break;
  }
  if (section) client_tls(section, out.encrypted() || out.servers.empty(), out.tls);
}

void Checker::client_tls(const Section& section, bool spoken, upstream::UpstreamTls& out, std::string_view whom) {
  if (!spoken) error(section.place(), fmt::format("'tls' is only for {}", whom));
  out.ca = read(section, "ca", FileKind::certificate);
  out.certificate = read(section, "cert", FileKind::certificate);
  out.key = Secret(read(section, "key", FileKind::private_key));
  if (section.has("cert") != section.has("key")) {
    error(section.place(), section.has("cert") ? "'cert' needs 'key'" : "'key' needs 'cert'");
  }
  out.server_name = section.text("server_name");
  if (section.good("server_name") && !is_host_name(out.server_name) && !net::Address::parse(out.server_name, 1)) {
    error(section.place("server_name"), fmt::format("\"{}\" is no host name", shown(out.server_name)));
  }
}

}  // namespace sluice::config
