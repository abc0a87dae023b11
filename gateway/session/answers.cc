#include "session/answers.h"

#include <algorithm>

#include "base/random.h"
#include "http/h1_writer.h"

namespace sluice::session {

namespace {

// RFC 6750 §3: no error code when no credential was sent.
std::string challenge(const Error& error) {
  switch (error.code) {
    case Errc::no_token: return R"(Bearer realm="sluice")";
    case Errc::scope: return R"(Bearer realm="sluice", error="insufficient_scope")";
    case Errc::dup_token: return R"(Bearer realm="sluice", error="invalid_request")";
    case Errc::token_expired:
      return R"(Bearer realm="sluice", error="invalid_token", error_description="expired")";
    default: return R"(Bearer realm="sluice", error="invalid_token")";
  }
}

std::uint64_t retry_seconds(const Error& error, Duration wait) {
  const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(
      1, std::chrono::ceil<std::chrono::seconds>(wait).count()));
  // Spread, so that those who were refused together do not come back together.
  return row(error.code).stage == Stage::ratelimit ? seconds : seconds + random_below(5);
}

std::string refusal(const Error& error, const Opening& opening) {
  const int status = row(error.code).status == 0 ? 400 : row(error.code).status;
  // The reason's name is ours, the id was made or checked by us: nothing of the request is repeated.
  const std::string body =
      std::string(reason_phrase(status)) + " (" + std::string(row(error.code).name) + ")" + "\n";
  http::HeadWriter head;
  head.response(status);
  head.field("Content-Type", "text/plain; charset=utf-8");
  head.field("Content-Length", static_cast<std::uint64_t>(body.size()));
  head.field("Cache-Control", "no-store");
  head.field("Connection", status == 426 ? "Upgrade, close" : "close");
  if (const std::string& id = opening.request.id; !id.empty()) head.field("X-Request-Id", id);
  if (status == 405) head.field("Allow", opening.allow);
  if (status == 426) {
    head.field("Upgrade", "websocket");
    head.field("Sec-WebSocket-Version", "13");
  }
  const Stage stage = row(error.code).stage;
  if (stage == Stage::auth && (status == 401 || error.code == Errc::scope || error.code == Errc::dup_token)) {
    head.field("WWW-Authenticate", challenge(error));
  }
  if (status == 429 || status == 503) head.field("Retry-After", retry_seconds(error, opening.retry_after));
  for (const auto& [name, value] : opening.own_fields) head.field(name, value);
  auto text = head.finish();
  check(text.has_value(), "an answer of our own holds a forbidden octet");
  return *text + body;
}

}  // namespace

Result<std::string> switching_head(const Opening& opening) {
  http::HeadWriter head;
  head.response(101);
  head.field("Upgrade", "websocket");
  head.field("Connection", "Upgrade");
  head.field("Sec-WebSocket-Accept", ws::accept_value(opening.offer.key));
  if (!opening.agreement.subprotocol.empty()) head.field("Sec-WebSocket-Protocol", opening.agreement.subprotocol);
  if (!opening.agreement.extensions.empty()) head.field("Sec-WebSocket-Extensions", opening.agreement.extensions);
  // Whoever may refresh a connection by its id is told what that is.
  const policy::AuthSettings* const auth = opening.authenticated.auth;
  const bool named = auth && !auth->endpoints.path(policy::EndpointSettings::Kind::refresh).empty();
  if (named) head.field("X-Request-Id", opening.request.id);
  for (const auto& [name, value] : opening.answer_fields) {
    if (!named || !http::same_name(name, "X-Request-Id")) head.field(name, value);
  }
  return head.finish();
}

std::string refusal_head_and_body(const Error& error, const Opening& opening) {
  std::string answer;
  if (opening.refusal) {
    if (auto relayed = relayed_answer(*opening.refusal, opening.request)) answer = std::move(*relayed);
  }
  if (answer.empty()) answer = refusal(error, opening);
  if (opening.head.method == "HEAD") answer.resize(answer.find("\r\n\r\n") + 4);
  return answer;
}

Result<std::string> forwarded_answer(const http::Head& head, const policy::HeaderRules& rules, const Opening& opening,
                                     const AnswerTerms& terms) {
  using Kind = http::BodyLength::Kind;
  http::HeadWriter out;
  out.response(head.status, head.reason);
  bool named = false;
  const auto add = [&](std::string_view name, std::string_view value) {
    named = named || http::same_name(name, "X-Request-Id");
    out.field(name, value);
  };
  for (const http::Field& field : TRY(http::passing_response_fields(head))) {
    if (!rules.drops(field.name)) add(field.name, field.value);
  }
  for (const auto& [name, value] : opening.response_fields) add(name, value);
  for (const auto& [name, value] : opening.answer_fields) out.field(name, value);
  if (terms.chunked) {
    out.field("Transfer-Encoding", "chunked");
  } else if (terms.body.kind == Kind::length) {
    out.field("Content-Length", terms.body.length);
  } else if (terms.body.kind == Kind::none && head.status != 204) {
    // RFC 9110 §8.6: of the body that a GET would have had.
    if (const std::string_view* length = head.find("Content-Length")) out.field("Content-Length", *length);
  }
  out.field("Via", "1.1 sluice");
  if (!named) out.field("X-Request-Id", opening.request.id);
  if (!terms.keep) {
    out.field("Connection", "close");
  } else if (terms.old_client) {
    out.field("Connection", "keep-alive");
  }
  return out.finish();
}

Result<std::string> interim_answer(const http::Head& head) {
  http::HeadWriter out;
  out.response(head.status, head.reason);
  for (const http::Field& field : TRY(http::passing_response_fields(head))) out.field(field.name, field.value);
  return out.finish();
}

std::string endpoint_answer(int status, std::string_view body, bool keep, const Opening& opening) {
  http::HeadWriter head;
  head.response(status);
  if (!body.empty()) head.field("Content-Type", "application/json");
  if (status != 204) head.field("Content-Length", static_cast<std::uint64_t>(body.size()));
  head.field("Cache-Control", "no-store");
  head.field("X-Content-Type-Options", "nosniff");
  head.field("X-Request-Id", opening.request.id);
  for (const auto& [name, value] : opening.own_fields) head.field(name, value);
  if (!keep) {
    head.field("Connection", "close");
  } else if (opening.head.minor_version == 0) {
    head.field("Connection", "keep-alive");
  }
  auto text = head.finish();
  check(text.has_value(), "an answer of our own holds a forbidden octet");
  return *text + std::string(body);
}

Result<std::string> relayed_answer(const Refusal& refusal, const http::Request& request) {
  http::HeadWriter head;
  head.response(refusal.status);
  for (const auto& [name, value] : refusal.fields) head.field(name, value);
  const bool bodiless = refusal.status == 204 || refusal.status == 304;
  if (!bodiless) head.field("Content-Length", static_cast<std::uint64_t>(refusal.body.size()));
  head.field("Connection", "close");
  head.field("X-Request-Id", request.id);
  return TRY(head.finish()) + (bodiless ? std::string() : refusal.body);
}

std::string fixed_answer(const config::FixedAnswer& answer, const http::Request& request) {
  http::HeadWriter head;
  head.response(200);
  head.field("Content-Type", answer.type);
  head.field("Content-Length", static_cast<std::uint64_t>(answer.body.size()));
  head.field("Cache-Control", "no-store");
  head.field("X-Content-Type-Options", "nosniff");
  head.field("Referrer-Policy", "no-referrer");
  head.field("Content-Security-Policy",
             "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' wss:; img-src data:; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  head.field("Connection", "close");
  auto text = head.finish();
  check(text.has_value(), "a fixed answer holds a forbidden octet");
  return request.head->method == "HEAD" ? *text : *text + answer.body;
}

std::string early_subprotocol(const Opening& opening, const config::WebSocketSettings& rules) {
  for (const std::string_view offered : opening.scrubbed.subprotocols) {
    if (rules.subprotocols.empty() || std::ranges::find(rules.subprotocols, offered) != rules.subprotocols.end()) {
      return std::string(offered);
    }
  }
  // Only the marker and the token were offered, or nothing: the marker may be answered, the token never.
  if (!opening.scrubbed.subprotocols.empty() || opening.offer.subprotocols.empty()) return {};
  const std::string_view marker = opening.offer.subprotocols.front();
  return marker.starts_with(policy::kKubernetesToken) ? std::string() : std::string(marker);
}

Outcome outcome_of(const Error& error) {
  switch (row(error.code).stage) {
    case Stage::head: return error.code == Errc::head_timeout ? Outcome::timeout : Outcome::bad_request;
    case Stage::route: return Outcome::bad_request;
    case Stage::origin: return Outcome::origin;
    case Stage::auth:
      if (row(error.code).status == 503) return Outcome::other;
      return row(error.code).status == 403 ? Outcome::forbidden : Outcome::unauthorized;
    case Stage::ratelimit: return Outcome::rate_limited;
    case Stage::backend:
      if (error.code == Errc::be_refused) return Outcome::backend_refused;
      return error.code == Errc::be_timeout ? Outcome::timeout : Outcome::no_backend;
    default: return Outcome::other;
  }
}

}  // namespace sluice::session
