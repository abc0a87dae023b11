#include "session/access_log.h"

#include "base/log.h"
#include "session/log_line.h"

namespace sluice::session {

namespace {

std::string_view field_value(const http::Head& head, std::string_view name) {
  const std::string_view* value = head.find(name);
  return value ? *value : std::string_view();
}

void add_server(LogLine& line, const RouteRuntime& route, const Leg* leg) {
  if (!route.compiled->cluster) return;
  line.add("backend", route.compiled->cluster->settings().name);
  if (leg) line.add("server", leg->server().settings().url);
}

// Where no route says what is a credential (endpoints, refusals before there is one), whatever is one anywhere is.
std::string shown_path(const Opening& opening, const RouteRuntime* route, const ListenerRuntime& listener) {
  const http::Target& target = opening.request.target;
  if (!target.has_query) return target.path;
  const auto& carriers = route ? route->compiled->carriers : *listener.carriers;
  return target.path + "?" + policy::redact_query(target.query, carriers);
}

}  // namespace

void log_opening(const Opened& opened, const Opening& opening, const Record& record, const ListenerRuntime& listener,
                 WallTime wall, Instant now) {
  if (!log::access_enabled()) return;
  const http::Request& request = opening.request;
  LogLine line(listener.access_fields);
  line.add("ts", log::timestamp(wall.time_since_epoch().count()));
  line.add("event", opened.status == 101 ? "ws_open" : "http");
  line.add("id", opening.words.id);
  // A head that could not be read has no trace.
  if (!request.traceparent.empty()) line.add("trace_id", std::string_view(request.traceparent).substr(3, 32));
  line.add("listener", listener.compiled->settings->name);
  line.add("client_ip", opening.words.client).add("client_port", std::uint64_t{request.peer.port()});
  if (!request.proxy.empty()) {
    line.add("peer_ip", request.proxy.ip());
  } else if (opening.trusted) {
    line.add("peer_ip", request.peer.ip());
  }
  if (request.tls.active) {
    line.add("tls_version", request.tls.version).add("tls_sni", request.tls.sni).add("alpn", request.tls.alpn);
    line.add("tls_client_subject", request.tls.client_subject).add("tls_client_san", request.tls.client_san);
  }
  line.add("method", opening.head.method).add("host", request.host.host);
  line.add("path", shown_path(opening, opened.route, listener));
  line.add("status", static_cast<std::uint64_t>(opened.status));
  if (opened.route) {
    line.add("route", opened.route->compiled->settings->name);
    add_server(line, *opened.route, opened.leg);
    if (opening.target) line.add("target", opening.target->target().text());
  }
  line.add("user_agent", field_value(opening.head, "User-Agent")).add("origin", field_value(opening.head, "Origin"));
  line.add("subprotocol", opening.words.subprotocol).add("extensions", opening.agreement.extensions);
  if (opening.has_identity) line.add("auth_method", opening.authenticated.identity.method);
  line.add("subject", opening.words.subject);
  line.add("duration_ms", milliseconds(now - opening.started));
  if (request.tls.active) line.add("tls_ms", milliseconds(request.tls.handshake));
  if (opening.authentication_took) line.add("auth_ms", milliseconds(*opening.authentication_took));
  if (opened.leg) line.add("connect_ms", milliseconds(opened.leg->connect_time()));
  if (opened.exchange) {
    line.add("bytes_in", opened.exchange->request_octets()).add("bytes_out", opened.exchange->answer_octets());
    line.add_flag("reused", opened.exchange->reused());
  }
  line.add_flag("rate_limited", record.rate_limited);
  if (opened.error) line.add_error(*opened.error);
  line.write();
}

void log_closing(const Record& record, const RouteRuntime& route, const ListenerRuntime& listener, const Leg* leg,
                 WallTime wall, Duration age) {
  if (!log::access_enabled()) return;
  LogLine line(listener.access_fields);
  line.add("ts", log::timestamp(wall.time_since_epoch().count()));
  line.add("event", route.compiled->plan.up == config::FramerKind::ws_to_tcp ? "tcp_close" : "ws_close");
  line.add("id", record.id());
  line.add("listener", listener.compiled->settings->name);
  line.add("client_ip", record.client()).add("path", record.path()).add("route", route.compiled->settings->name);
  add_server(line, route, leg);
  line.add("subprotocol", record.subprotocol()).add("subject", record.subject());
  line.add("duration_ms", milliseconds(age));
  line.add("bytes_in", record.bytes_in).add("bytes_out", record.bytes_out);
  line.add("messages_in", record.messages_in).add("messages_out", record.messages_out);
  line.add("close_code", std::uint64_t{record.close_code}).add("close_initiator", name(record.initiator));
  if (record.close_reason) line.add("close_reason", *record.close_reason);
  line.add_flag("rate_limited", record.rate_limited);
  if (record.error.code != Errc::none) line.add_error(record.error);
  line.write();
}

}  // namespace sluice::session
