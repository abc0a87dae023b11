#include "session/upgrade.h"

#include "http/forwarded.h"
#include "http/h1_writer.h"

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

std::string host_text(const http::Authority& host) {
  return host.port == 0 ? host.host : host.host + ":" + std::to_string(host.port);
}

}  // namespace

Result<LegPlan> make_leg_plan(const RouteRuntime& route, const Opening& opening,
                              const std::vector<std::string_view>& subprotocols,
                              const std::vector<std::string_view>& extensions) {
  LegPlan plan;
  plan.backend = &route.compiled->cluster->settings();
  plan.tls = route.tls;
  plan.servers = route.servers;
  plan.subprotocols = subprotocols;
  plan.extensions = extensions;
  if (route.compiled->plan.up == config::FramerKind::ws_to_tcp) return plan;

  const http::Request& request = opening.request;
  http::Target target = request.target;
  if (opening.scrubbed.query_changed) {
    target.query = opening.scrubbed.query;
    target.has_query = !target.query.empty();
  }
  http::HeadWriter head;
  head.request("GET", target.text());
  head.field("Sec-WebSocket-Key", kKeyPlace);
  head.field("Host", host_text(request.host));
  head.field("Upgrade", "websocket");
  head.field("Connection", "Upgrade");
  head.field("Sec-WebSocket-Version", "13");
  if (!subprotocols.empty()) head.field("Sec-WebSocket-Protocol", joined(subprotocols));
  if (!extensions.empty()) head.field("Sec-WebSocket-Extensions", joined(extensions));

  std::vector<std::string> dropped = opening.scrubbed.dropped_fields;
  if (opening.scrubbed.cookie_changed) dropped.emplace_back("Cookie");
  const http::FieldRules rules{route.compiled->owned_fields, dropped, opening.trusted};
  for (const http::Field& field : TRY(http::passing_fields(*request.head, rules))) head.field(field.name, field.value);
  if (opening.scrubbed.cookie_changed && !opening.scrubbed.cookie.empty()) head.field("Cookie", opening.scrubbed.cookie);
  for (const auto& [name, value] : http::forwarded_fields(request, opening.trusted, opening.forwarded)) head.field(name, value);
  for (const auto& [name, value] : opening.identity_fields) head.field(name, value);

  const std::string text = TRY(head.finish());
  const std::size_t key = text.find(kKeyPlace);
  plan.head_before_key = text.substr(0, key);
  plan.head_after_key = text.substr(key + kKeyPlace.size());
  return plan;
}

}  // namespace sluice::session
