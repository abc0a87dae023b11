// Checker: listeners and their TLS.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "config/check.h"

namespace sluice::config {

void Checker::listener(const Section& section) {
  ListenerSettings out;
  listener_places_.push_back(section.place("bind"));
  const std::string bind = section.text("bind");
  out.name = section.good("name") ? section.text("name") : bind;
  if (section.good("bind")) {
    const auto address = net::Address::parse_bind(bind);
    if (!address) {
      error(section.place("bind"), fmt::format("'bind' = \"{}\" is no address", shown(bind)),
            "write an address and a port, not a name: \"0.0.0.0:8443\", \"[::]:8443\", \":8443\"");
    } else if (address->is_unix()) {
      error(section.place("bind"), "a listener on a unix socket is not yet supported");
    } else {
      out.bind = *address;
    }
  }
  if (!out.name.empty() && !listeners_.emplace(out.name, section.place()).second) {
    error(section.has("name") ? section.place("name") : section.place("bind"),
          fmt::format("listener '{}' is defined twice", shown(out.name)),
          "give each a name and a bind of its own");
  }
  out.trusted_proxies = blocks(section, "trusted_proxies");
  proxy_protocol(section, out);
  const std::string forwarded = section.text("forwarded");
  out.forwarded = forwarded == "rfc7239" ? http::ForwardedStyle::forwarded
                  : forwarded == "both"  ? http::ForwardedStyle::both
                                         : http::ForwardedStyle::x_forwarded;
  out.max_connections = static_cast<std::uint64_t>(section.number("max_connections"));
  out.notsent_lowat = static_cast<std::uint32_t>(section.number("notsent_lowat"));
  out.send_buffer = static_cast<std::uint32_t>(section.number("send_buffer"));
  if (section.has("tls")) listener_tls(section.table("tls"), out);
  if (out.tls && section.good("alpn")) {
    out.tls->alpn.clear();
    for (const Text& text : section.texts("alpn")) out.tls->alpn.push_back(text.text);
  } else if (!out.tls && section.good("alpn") && !section.has("tls")) {
    reporter_.warning(section.place("alpn"), "'alpn' has no effect without TLS");
  }
  raw_listener(section, out);
  listener_limits(section.table("limits"), out);
  out.rate_limit =
      references(fmt::format("listener '{}'", shown(out.name)), "rate_limit", section, "rate_limit", limits_);
  for (const Text& text : section.texts("rate_limit")) {
    const policy::LimitSettings* limit = find_limit(text.text);
    if (limit == nullptr) continue;
    using LimitKey = policy::LimitSettings::Key;
    using Unit = policy::LimitSettings::Unit;
    if (limit->key != LimitKey::ip && limit->key != LimitKey::listener) {
      error(text.place,
            fmt::format("limit '{}' of a listener must have key = \"ip\" or \"listener\"", text.text),
            "other keys are known only on a route");
    } else if (limit->unit != Unit::handshakes && limit->unit != Unit::requests &&
               limit->unit != Unit::connections) {
      error(text.place,
            fmt::format("limit '{}' of a listener must count handshakes, requests or connections", text.text),
            "messages and bytes are counted on a route");
    }
  }
  plain_http(section, out);
  settings_.listeners.push_back(std::move(out));
}

std::vector<net::Cidr> Checker::blocks(const Section& section, std::string_view key) {
  std::vector<net::Cidr> out;
  for (const Text& text : section.texts(key)) {
    if (const auto block = net::Cidr::parse(text.text)) {
      out.push_back(*block);
    } else {
      error(text.place, fmt::format("'{}' is no block of addresses", shown(text.text)),
            "write \"10.0.0.0/8\" or a single address; bits behind the prefix must be zero");
    }
  }
  return out;
}

void Checker::proxy_protocol(const Section& section, ListenerSettings& out) {
  out.proxy_protocol = section.text("proxy_protocol") == "required";
  out.proxy_protocol_from = blocks(section, "proxy_protocol_from");
  if (out.proxy_protocol && section.texts("proxy_protocol_from").empty() && !section.refused("proxy_protocol_from")) {
    // A header from anywhere would let every client choose its own address.
    error(section.place("proxy_protocol"), "'proxy_protocol' needs 'proxy_protocol_from'",
          "name the proxies: proxy_protocol_from = [\"10.0.0.0/8\"]");
  } else if (!out.proxy_protocol && section.has("proxy_protocol_from") && !section.refused("proxy_protocol")) {
    error(section.place("proxy_protocol_from"), "'proxy_protocol_from' has no effect without proxy_protocol = \"required\"");
  }
}

// protocol = "tcp": octets to one backend, and nothing of HTTP.
void Checker::raw_listener(const Section& section, ListenerSettings& out) {
  const bool raw = section.text("protocol") == "tcp";
  if (section.refused("protocol")) return;
  if (!raw) {
    for (const char* key : {"backend", "idle_timeout", "on_server_down"}) {
      if (!section.has(key)) continue;
      error(section.place(key), fmt::format("'{}' is only for protocol = \"tcp\"", key),
            "requests are sent to backends by [[route]]");
    }
    return;
  }
  for (const char* key : {"redirect", "acme_folder"}) {
    if (section.good(key)) error(section.place(key), fmt::format("'{}' is not for protocol = \"tcp\"", key));
  }
  for (const char* key : {"trusted_proxies", "forwarded", "alpn"}) {
    if (section.good(key)) {
      reporter_.warning(section.place(key), fmt::format("'{}' has no effect with protocol = \"tcp\"", key));
    }
  }
  if (out.tls) out.tls->alpn.clear();
  out.idle_timeout = section.duration("idle_timeout");
  out.close_on_server_down = section.text("on_server_down") == "close";
  if (!section.has("backend")) {
    error(section.place("protocol"), "protocol = \"tcp\" needs 'backend'");
    return;
  }
  if (!section.good("backend")) return;
  const Text name{section.text("backend"), section.place("backend")};
  if (!refers(fmt::format("listener '{}'", shown(out.name)), "backend", name, backends_)) return;
  out.backend = name.text;
  raw_listeners_.insert(out.name);
  const upstream::BackendSettings* backend = find_backend(name.text);
  if (backend == nullptr || backend->servers.empty()) return;
  if (!upstream::bridged(backend->servers.front().scheme)) {
    error(name.place, fmt::format("backend '{}' of a listener with protocol = \"tcp\" must have tcp://, tls:// or unix:// servers",
                                  name.text));
  } else if (backend->servers.front().host == upstream::kNamedByClient) {
    error(name.place, fmt::format("backend '{}' has the server tcp://*, and plain TCP clients name none", name.text));
  } else if (backend->unit == upstream::Unit::message) {
    error(name.place, fmt::format("backend '{}' balances messages, and plain TCP has none", name.text));
  } else if (backend->policy == upstream::Policy::consistent_hash && backend->key.kind != upstream::HashKey::Kind::ip) {
    error(name.place, fmt::format("backend '{}' hashes what plain TCP does not have", name.text),
          "only key = \"ip\" is known without a request");
  } else if (!backend->sticky.cookie.empty()) {
    reporter_.warning(name.place, fmt::format("'sticky' of backend '{}' has no effect on plain TCP clients", name.text),
                      "balance = { policy = \"consistent_hash\", key = \"ip\" } leads the same address to the same server");
  }
}

void Checker::listener_limits(const Section& section, ListenerSettings& out) {
  out.head.head = static_cast<std::size_t>(section.number("header_bytes"));
  out.head.fields = static_cast<std::size_t>(section.number("header_fields"));
  // A head that is bounded more tightly bounds its parts, unless they are set themselves.
  out.head.line = static_cast<std::size_t>(section.number("line_bytes"));
  out.head.field = static_cast<std::size_t>(section.number("field_bytes"));
  if (!section.has("line_bytes")) out.head.line = std::min(out.head.line, out.head.head);
  if (!section.has("field_bytes")) out.head.field = std::min(out.head.field, out.head.head);
  for (const char* key : {"line_bytes", "field_bytes"}) {
    if (section.good(key) && static_cast<std::size_t>(section.number(key)) > out.head.head) {
      error(section.place(key), fmt::format("'{}' is larger than 'header_bytes'", key));
    }
  }
  out.tls_timeout = section.duration("tls_timeout");
  out.head_timeout = section.duration("head_timeout");
  out.keepalive_timeout = section.duration("keepalive_timeout");
  out.max_requests = static_cast<std::uint64_t>(section.number("max_requests"));
  if (!section.good("handshake_timeout")) return;
  if (section.has("tls_timeout") || section.has("head_timeout")) {
    error(section.place("handshake_timeout"),
          "'handshake_timeout' stands for 'tls_timeout' and 'head_timeout'",
          "set either the one or the other two");
    return;
  }
  const Duration both = section.duration("handshake_timeout");
  out.tls_timeout = both / 3;
  out.head_timeout = out.tls ? both - out.tls_timeout : both;
}

void Checker::certificate(const Section& section, net::TlsSettings& out) {
  net::CertificateSettings certificate;
  const std::string path = section.text("cert");
  certificate.name = path.substr(path.rfind('/') + 1);
  certificate.certificate = read(section, "cert", FileKind::certificate);
  certificate.key = Secret(read(section, "key", FileKind::private_key));
  const std::int64_t end = net::certificate_facts(certificate.certificate).not_after;
  if (end != 0 && end < std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())) {
    reporter_.warning(section.place("cert"), "the certificate has expired");
  }
  out.certificates.push_back(std::move(certificate));
}

void Checker::listener_tls(const Section& section, ListenerSettings& out) {
  net::TlsSettings tls;
  tls.self_signed = section.boolean("self_signed");
  tls.min_version = section.text("min_version");
  tls.strict_sni = section.boolean("strict_sni");
  if (section.has("cert") && section.has("key")) {
    certificate(section, tls);
  } else if (section.has("cert") || section.has("key")) {
    error(section.place(), section.has("cert") ? "'cert' needs 'key'" : "'key' needs 'cert'");
  }
  for (const Section& one : section.tables("certificate")) certificate(one, tls);
  const bool real = section.has("cert") || section.has("key") || section.has("certificate");
  if (tls.self_signed && real) {
    error(section.place("self_signed"), "'self_signed' stands beside a real certificate",
          "remove one of them");
  } else if (!tls.self_signed && !real && section && !section.refused("self_signed")) {
    error(section.place(), "TLS needs a certificate",
          "set cert and key, or self_signed = true for development");
  }
  const std::string auth = section.text("client_auth");
  using ClientAuth = net::TlsSettings::ClientAuth;
  tls.client_auth = auth == "required"   ? ClientAuth::required
                    : auth == "optional" ? ClientAuth::optional
                                         : ClientAuth::off;
  tls.client_ca = read(section, "client_ca", FileKind::certificate);
  if (tls.client_auth != ClientAuth::off && !section.has("client_ca")) {
    error(section.place("client_auth"), "'client_auth' needs 'client_ca'");
  } else if (tls.client_auth == ClientAuth::off && section.has("client_ca") &&
             !section.refused("client_auth")) {
    error(section.place("client_ca"), "'client_ca' has no effect without 'client_auth'",
          "set client_auth = \"required\" or \"optional\"");
  }
  tls.client_crl = read(section, "crl_file", FileKind::crl);
  if (tls.client_auth == ClientAuth::off && section.has("crl_file") && !section.refused("client_auth")) {
    error(section.place("crl_file"), "'crl_file' has no effect without 'client_auth'",
          "set client_auth = \"required\" or \"optional\", and client_ca");
  }
  out.tls = std::move(tls);
}

void Checker::listeners_together() {
  redirects();
  bool real = false;
  for (const auto& listener : settings_.listeners)
    real = real || (listener.tls && !listener.tls->certificates.empty());
  for (std::size_t i = 0; i < settings_.listeners.size(); ++i) {
    const ListenerSettings& one = settings_.listeners[i];
    if (one.tls && one.tls->self_signed && real) {
      error(listener_places_[i],
            fmt::format("listener '{}' is self-signed beside listeners with real certificates",
                        shown(one.name)));
    }
    if (one.bind.empty() || one.bind.port() == 0) continue;  // port 0: the kernel picks a free one
    for (std::size_t j = 0; j < i; ++j) {
      if (settings_.listeners[j].bind == one.bind && settings_.listeners[j].name != one.name) {
        error(listener_places_[i], fmt::format("listener '{}' has the bind of listener '{}'", shown(one.name),
                                               shown(settings_.listeners[j].name)));
      }
    }
    if (settings_.admin.enabled && settings_.admin.bind == one.bind) {
      error(listener_places_[i],
            fmt::format("listener '{}' has the bind of the admin listener", shown(one.name)),
            "set [admin] bind, or enabled = false");
    }
  }
}

}  // namespace sluice::config
