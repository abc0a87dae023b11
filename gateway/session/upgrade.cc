#include "session/upgrade.h"

#include "http/forwarded.h"
#include "http/h1_writer.h"
#include "session/proxy_header.h"

namespace sluice::session {

namespace {

// Stands where each attempt's own key goes; the first field, so that nothing of the client's can come before it.
constexpr std::string_view kKeyPlace = "AAAAAAAAAAAAAAAAAAAAAA==";

std::string joined(const std::vector<std::string_view>& parts) {
  std::string text;
  for (const std::string_view part : parts) {
    if (!text.empty()) text += ", ";
    text += part;
  }
  return text;
}

// A body goes up as it came, by its length or in chunks.
void add_body_field(http::HeadWriter& out, const http::BodyLength& body) {
  using Kind = http::BodyLength::Kind;
  if (body.kind == Kind::length) out.field("Content-Length", body.length);
  if (body.kind == Kind::chunked) out.field("Transfer-Encoding", "chunked");
}

}  // namespace

std::string target_upstream(const Opening& opening) {
  http::Target target = opening.request.target;
  if (!opening.stripped_path.empty()) target.path = opening.stripped_path;
  if (opening.scrubbed.query_changed) {
    target.query = opening.scrubbed.query;
    target.has_query = !target.query.empty();
  }
  return target.text();
}

std::string host_upstream(const Opening& opening) {
  for (const auto& [name, value] : opening.request_fields) {
    if (http::same_name(name, "Host")) return value;
  }
  return opening.request.host.text();
}

Result<void> add_fields_upstream(http::HeadWriter& out, const config::CompiledRoute& route, const Opening& opening) {
  const http::Request& request = opening.request;
  const policy::HeaderRules& rules = route.settings->request_headers;
  const policy::Scrubbed& scrubbed = opening.scrubbed;
  std::vector<std::string> dropped = scrubbed.dropped_fields;
  if (scrubbed.cookie_changed) dropped.emplace_back("Cookie");
  // RFC 9110 §10.1.1: an HTTP/1.0 client cannot mean it.
  if (request.head->minor_version == 0) dropped.emplace_back("Expect");
  const auto add_theirs = [&](std::string_view name, std::string_view value) {
    if (!rules.drops(name)) out.field(name, value);
  };
  for (const http::Field& field :
       TRY(http::passing_fields(*request.head, {route.owned_fields, dropped, opening.trusted}))) {
    add_theirs(field.name, field.value);
  }
  if (scrubbed.cookie_changed && !scrubbed.cookie.empty()) add_theirs("Cookie", scrubbed.cookie);
  for (const auto& [name, value] : http::forwarded_fields(request, opening.trusted, opening.forwarded)) out.field(name, value);
  if (!route.settings->strip_prefix.empty()) out.field("X-Forwarded-Prefix", route.settings->strip_prefix);
  for (const auto& [name, value] : opening.identity_fields) out.field(name, value);
  for (const auto& [name, value] : opening.request_fields) {
    if (!http::same_name(name, "Host")) out.field(name, value);
  }
  return {};
}

Result<LegPlan> make_leg_plan(const RouteRuntime& route, const Opening& opening,
                              const std::vector<std::string_view>& subprotocols,
                              const std::vector<std::string_view>& extensions) {
  LegPlan plan;
  plan.backend = &route.compiled->cluster->settings();
  plan.tls = route.tls;
  plan.servers = route.servers;
  plan.subprotocols = subprotocols;
  plan.extensions = extensions;
  plan.preamble = TRY(proxy_header(plan.backend->proxy, opening));
  if (opening.target) {
    plan.addresses = opening.target->addresses();
    plan.name = opening.target->target().host;
  }
  if (route.compiled->plan.up == config::FramerKind::ws_to_tcp) return plan;

  http::HeadWriter head;
  if (opening.request.kind == http::Request::Kind::http) {
    plan.plain = true;
    head.request(opening.head.method, target_upstream(opening));
    head.field("Host", host_upstream(opening));
    add_body_field(head, opening.body);
    TRY_VOID(add_fields_upstream(head, *route.compiled, opening));
    plan.head_before_key = TRY(head.finish());
    return plan;
  }
  head.request("GET", target_upstream(opening));
  head.field("Sec-WebSocket-Key", kKeyPlace);
  head.field("Host", host_upstream(opening));
  head.field("Upgrade", "websocket");
  head.field("Connection", "Upgrade");
  head.field("Sec-WebSocket-Version", "13");
  if (!subprotocols.empty()) head.field("Sec-WebSocket-Protocol", joined(subprotocols));
  if (!extensions.empty()) head.field("Sec-WebSocket-Extensions", joined(extensions));

  TRY_VOID(add_fields_upstream(head, *route.compiled, opening));

  const std::string text = TRY(head.finish());
  const std::size_t key = text.find(kKeyPlace);
  plan.head_before_key = text.substr(0, key);
  plan.head_after_key = text.substr(key + kKeyPlace.size());
  return plan;
}

}  // namespace sluice::session
