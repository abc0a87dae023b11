#include "session/endpoint.h"

#include <algorithm>

#include "policy/access.h"
#include "session/answers.h"

namespace sluice::session {

namespace {

using Kind = policy::EndpointSettings::Kind;

constexpr std::size_t kMostBody = 8 * 1024;
constexpr std::size_t kMostLogout = 64 * 1024;
constexpr auto kBodyTime = std::chrono::seconds(10);  // for all of it: a slow one extends nothing
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

const EndpointRuntime* Endpoint::find(const Runtime& runtime, const std::string& listener, const http::Request& request) {
  const auto found = std::ranges::find_if(runtime.endpoints, [&](const EndpointRuntime& one) {
    const policy::EndpointSettings& settings = one.auth->endpoints;
    return settings.path(one.kind) == request.target.path && (settings.host.empty() || settings.host == request.host.host) &&
           (settings.listeners.empty() || std::ranges::find(settings.listeners, listener) != settings.listeners.end());
  });
  return found == runtime.endpoints.end() ? nullptr : &*found;
}

std::size_t Endpoint::most() const { return rules_.kind == Kind::logout ? kMostLogout : kMostBody; }

Result<void> Endpoint::judge(Opening& o) {
  const policy::EndpointSettings& settings = rules_.auth->endpoints;
  // Before anything else: what another page may not ask is not done for it, whatever becomes of the answer.
  TRY_VOID(policy::check_origin(o.head, settings.origins, true));
  const std::string_view* const origin = o.head.find("Origin");
  if (origin && !settings.origins.empty()) {
    // The fetch standard's CORS protocol: the very origin that asks, and never any.
    o.own_fields.emplace_back("Access-Control-Allow-Origin", *origin);
    o.own_fields.emplace_back("Access-Control-Allow-Credentials", "true");
    o.own_fields.emplace_back("Vary", "Origin");
  }
  o.allow = "POST";
  preflight_ = origin && !settings.origins.empty() && o.head.method == "OPTIONS" &&
               o.head.find("Access-Control-Request-Method") != nullptr && rules_.kind != Kind::logout;
  if (!preflight_ && o.head.method != "POST") return fail(Errc::method, Side::client, "an endpoint takes POST");
  if (o.body.length > most()) return fail(Errc::body_too_large, Side::client, "a body over what an endpoint reads");
  return {};
}

const policy::Authenticator* Endpoint::authenticator() const {
  return preflight_ || rules_.kind == Kind::logout ? nullptr : rules_.authenticator;
}

Result<void> Endpoint::judge_identity(Opening& o) const {
  if (!o.has_identity) return {};
  const policy::Identity& identity = o.authenticated.identity;
  o.words.subject = identity.subject;
  if (snapshot_->revocations().refuses(identity, o.authenticated.auth->name, house_.loop.wall())) {
    return fail(Errc::revoked, Side::client, "its identity is revoked");
  }
  return {};
}

Result<bool> Endpoint::advance(Opening& o) {
  if (!errand_) {
    if (!TRY(read_body(o))) return false;
    if (preflight_) return answer_preflight(o), true;
    errand_ = begin(o);
  }
  const std::optional<std::string> done = TRY(errand_->advance());
  if (!done) return false;
  answer(o, 200, *done);
  return true;
}

std::unique_ptr<Errand> Endpoint::begin(Opening& o) {
  switch (rules_.kind) {
    case Kind::ticket: return issue_ticket(house_, ready_, rules_, o);
    case Kind::refresh: return renew_connection(house_, ready_, snapshot_, o, body_);
    case Kind::logout: break;
  }
  return log_out(house_, ready_, rules_, o, std::move(body_));
}

// true: all of it is there.
Result<bool> Endpoint::read_body(Opening& o) {
  if (!reader_) {
    // What lies behind the head is the body, and then perhaps the next request.
    o.keep_head(client_.received());
    client_.consume(o.head_size);
    client_.settle();
    reader_.emplace(o.body, Side::client);
    deadline_ = house_.loop.now() + kBodyTime;
    TRY_VOID(invite(o));
  }
  const Result<bool> whole = read_some();
  client_.settle();
  if (whole && !*whole && house_.loop.now() >= deadline_) {
    return fail(Errc::body_timeout, Side::client, "the body did not come in time");
  }
  return whole;
}

Result<bool> Endpoint::read_some() {
  while (true) {
    while (!reader_->done()) {
      const http::ChunkedDecoder::Piece piece = TRY(reader_->next(client_.received()));
      if (piece.size == 0) break;
      if (piece.data.size() > most() - body_.size()) {
        return fail(Errc::body_too_large, Side::client, "a body over what an endpoint reads");
      }
      body_ += as_text(piece.data);
      client_.consume(piece.size);
    }
    if (reader_->done()) return true;
    switch (client_.fill()) {
      case Io::ok: break;
      case Io::blocked: return false;
      case Io::end:
      case Io::error: return fail(Errc::client_lost, Side::client, "the connection ended inside the request");
    }
  }
}

// RFC 9110 §10.1.1: some wait for leave before they send their body.
Result<void> Endpoint::invite(const Opening& o) {
  if (o.head.minor_version == 0 || reader_->done() || !o.head.lists("Expect", "100-continue")) return {};
  const Bytes part = as_bytes(kContinue);
  std::size_t taken = 0;
  // Two dozen octets that a connection does not take at once are not worth being kept.
  if (client_.write({&part, 1}, taken) == Io::error || taken < part.size()) {
    return fail(Errc::client_lost, Side::client, "it does not take what it waits for");
  }
  return {};
}

void Endpoint::answer_preflight(Opening& o) {
  std::string allowed = "Content-Type";
  for (const policy::Carrier& carrier : rules_.auth->from) {
    if (carrier.kind == policy::Carrier::Kind::header) allowed += ", " + carrier.name;
  }
  o.own_fields.emplace_back("Access-Control-Allow-Methods", "POST");
  o.own_fields.emplace_back("Access-Control-Allow-Headers", std::move(allowed));
  o.own_fields.emplace_back("Access-Control-Max-Age", "600");
  answer(o, 204, {});
}

void Endpoint::answer(Opening& o, int status, std::string_view body) {
  status_ = status;
  keeps_client_ = o.persistent() && !house_.draining;
  o.out = endpoint_answer(status, body, keeps_client_, o);
}

}  // namespace sluice::session
