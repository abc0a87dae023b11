#include "session/session.h"

#include <algorithm>

#include "base/json.h"
#include "base/random.h"
#include "http/forwarded.h"
#include "http/h1_writer.h"
#include "http/trace.h"
#include "policy/access.h"
#include "policy/lifetime.h"
#include "session/access_check.h"
#include "session/access_log.h"
#include "session/answers.h"
#include "session/authentication.h"
#include "session/connection_filter.h"
#include "session/endpoint.h"
#include "session/limit_key.h"
#include "session/listener_answer.h"
#include "session/stickiness.h"
#include "session/upgrade.h"
#include "upstream/hash_key.h"
#include "ws/base64_tunnel.h"
#include "ws/tunnel.h"

namespace sluice::session {

namespace {

constexpr auto kFlushTimeout = std::chrono::seconds(10);
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::size_t kLingerOctets = 64 * 1024;
constexpr Error kOpeningTooLong{Errc::be_timeout, Side::upstream, false, "the servers that were tried took too long in all"};

}  // namespace

Session::Session(House& house, net::Ready& ready, net::Stream& client, std::shared_ptr<const Runtime> runtime,
                 std::size_t listener, std::unique_ptr<Opening> opening)
    : house_(house),
      ready_(ready),
      client_(client),
      runtime_(std::move(runtime)),
      listener_(&runtime_->listeners[listener]),
      opening_(std::move(opening)),
      born_(house.loop.now()) {}

Session::~Session() {
  if (!relaying_counted_) return;
  route_->tally->connections.sub();
  note_kept({});
}

Step Session::advance() {
  switch (phase_) {
    case Phase::admit: return admit();
    case Phase::authenticate: return authenticate();
    case Phase::serve: return serve();
    case Phase::first_message: return await_first_message();
    case Phase::choose: return choose();
    case Phase::open: return open();
    case Phase::exchange: return exchange();
    case Phase::answer: return flush_then(Phase::relay);
    case Phase::relay: return relay();
    case Phase::linger: return linger();
    case Phase::done: return Step::done;
  }
  return Step::done;
}

// ---- admit ----------------------------------------------------------------------------------------------------------

Step Session::admit() {
  if (opening_->bad_head || house_.draining) opening_->words.client = opening_->request.peer.ip();
  if (opening_->bad_head) return refuse(*opening_->bad_head);
  if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
  Result<void> judged = read_request();
  if (judged) {
    if (auto own = listener_answer(*listener_->compiled->settings, opening_->request)) return answer_here(std::move(*own));
    const std::string& listener = listener_->compiled->settings->name;
    if (const auto* own = Endpoint::find(*runtime_, listener, opening_->request)) return begin_serving(*own);
    judged = judge();
  }
  if (!judged) return refuse(judged.error());
  if (plain() && !route_->compiled->plan.plain) {
    opening_->out = fixed_answer(*route_->compiled->settings->answer, opening_->request);
    log_open(200, nullptr);
    count_answer(200);
    return flush_then(Phase::linger);
  }
  phase_ = Phase::authenticate;
  return Step::next;
}

// What the listener answers whatever its routes say.
Step Session::answer_here(ListenerAnswer own) {
  if (own.status != 308 && own.status != 200) return refuse(own.refusal);
  opening_->out = std::move(own.octets);
  log_open(own.status, nullptr);
  return flush_then(Phase::linger);
}

// The request in canonical form, and who sent it.
Result<void> Session::read_request() {
  Opening& o = *opening_;
  http::Request& request = o.request;
  const config::ListenerSettings& listener = *listener_->compiled->settings;
  o.forwarded = listener.forwarded;
  o.trusted = std::ranges::any_of(listener.trusted_proxies,
                                  [&](const net::Cidr& cidr) { return cidr.contains(request.peer); });
  request.id = http::request_id(o.head, o.trusted);
  request.traceparent = http::request_traceparent(o.head, o.trusted);
  request.client = http::client_address(o.head, request.peer, listener.trusted_proxies);
  o.words.id = request.id;
  o.words.client = request.client.ip();

  TRY_VOID(http::check_single_fields(o.head));
  request.target = TRY(http::canonical_target(o.head.target));
  o.words.path = request.target.path;
  request.host = TRY(http::request_host(o.head, request.target));
  TRY(http::connection_options(o.head));
  o.body = TRY(http::request_body(o.head));
  return {};
}

Result<void> Session::judge_host() const {
  const http::Request& request = opening_->request;
  const config::ListenerSettings& listener = *listener_->compiled->settings;
  const bool mutual = listener.tls && listener.tls->client_auth != net::TlsSettings::ClientAuth::off;
  if (mutual && !request.tls.sni.empty() && request.tls.sni != request.host.host) {
    return fail(Errc::misdirected, Side::client, "Host differs from SNI on a listener with client certificates");
  }
  return {};
}

Result<void> Session::judge() {
  Opening& o = *opening_;
  http::Request& request = o.request;
  const config::ListenerSettings& listener = *listener_->compiled->settings;
  TRY_VOID(judge_host());
  const int index = runtime_->snapshot->router().find(listener.name, request.host.host, request.target.path);
  if (index < 0) return fail(Errc::no_route);
  route_ = &runtime_->routes[static_cast<std::size_t>(index)];
  if (const std::string& prefix = route_->compiled->settings->strip_prefix; !prefix.empty()) {
    o.stripped_path = TRY(http::strip_prefix(request.target.path, prefix));
  }
  if (!ws::wants_websocket(o.head)) {
    if (route_->compiled->settings->answer && (o.head.method == "GET" || o.head.method == "HEAD")) return {};
    return judge_plain();
  }
  if (!route_->compiled->cluster) return fail(Errc::no_route);
  request.kind = http::Request::Kind::websocket;
  if (o.body.kind == http::BodyLength::Kind::chunked || o.body.length > 0) return fail(Errc::body_on_upgrade);
  o.offer = TRY(ws::read_offer(o.head));
  o.websocket = true;
  return judge_policies();
}

Result<void> Session::judge_policies() {
  Opening& o = *opening_;
  const config::CompiledRoute& route = *route_->compiled;
  if (runtime_->snapshot->revocations().refuses(o.request.client, house_.loop.wall())) {
    return fail(Errc::revoked, Side::client, "its address is revoked");
  }
  const bool cookies = std::ranges::any_of(
      route.carriers, [](const policy::Carrier& carrier) { return carrier.kind == policy::Carrier::Kind::cookie; });
  TRY_VOID(policy::check_origin(o.head, rules().origins, cookies));
  TRY_VOID(judge_limits(true));
  o.scrubbed = policy::scrub(route.carriers, o.request, o.offer.subprotocols);
  return {};
}

// ---- authenticate -------------------------------------------------------------------------------------------------------

Step Session::authenticate() {
  Opening& o = *opening_;
  const policy::Authenticator* const authenticator = o.endpoint ? o.endpoint->authenticator() : route_->authenticator.get();
  if (authenticator) {
    if (!o.authentication) {
      o.authentication = std::make_unique<Authentication>(house_, ready_, *authenticator);
      o.authentication_began = house_.loop.exactly_now();
    }
    const Result<bool> known = o.authentication->advance(o);
    if (known && !*known) {
      const bool left = client_.hung_up();
      if (!house_.draining && !left) {
        arm(o.authentication->deadline());
        return Step::wait;
      }
      o.authentication.reset();  // nobody waits for it any more
      if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
      return refuse({Errc::client_lost, Side::client, false, "it left while it was being checked"});
    }
    if (!known && may_say_later(known.error())) {
      o.authentication.reset();
      return accept_early();
    }
    o.authentication_took = house_.loop.exactly_now() - o.authentication_began;
    const policy::Method& method = o.authentication->method();
    WorkerTally::Auth& tally = house_.tally.auth[static_cast<std::size_t>(method.settings->type)];
    tally.seconds.observe(std::chrono::duration<double>(*o.authentication_took).count());
    tally.results[static_cast<std::size_t>(known ? Errc::none : known.error().code)].add();
    if (known && o.authenticated.remembered) house_.tally.token_cache_hits.add();
    if (!known && known.error().code == Errc::rl_auth) record_.rate_limited = true;
    if (auto no = o.authentication->take_no()) {
      o.refusal = {no->status, std::move(no->fields), std::move(no->body)};
    }
    o.authentication.reset();
    if (!known) return refuse(known.error());
    o.has_identity = true;
    if (method.external && method.settings->external.recheck > Duration::zero() && !plain()) {
      auto question = method.external->question(o.request);
      check(question.has_value(), "what has been asked cannot be asked");
      recheck_ = std::make_unique<Recheck>(house_, ready_, method, std::move(*question), o.authenticated.identity.subject);
    }
  }
  if (o.endpoint) {
    phase_ = Phase::serve;
    return Step::next;
  }
  if (const Result<void> judged = judge_identified(); !judged) return refuse(judged.error());
  phase_ = Phase::choose;
  return Step::next;
}

Result<void> Session::judge_identified() {
  Opening& o = *opening_;
  const http::Request& request = o.request;
  if (o.has_identity) TRY_VOID(judge_identity());
  TRY_VOID(check_access(*route_, o));
  if (!plain()) guard_messages(o.authenticated.identity);
  TRY_VOID(judge_limits(false));
  const config::RouteSettings& rules = *route_->compiled->settings;
  o.request_fields = TRY(rules.request_headers.values(request, o.authenticated.identity));
  o.response_fields = TRY(rules.response_headers.values(request, o.authenticated.identity));
  return o.accepted() ? Result<void>() : judge_subprotocols();
}

Result<void> Session::judge_identity() {
  Opening& o = *opening_;
  const policy::Identity& identity = o.authenticated.identity;
  const policy::AuthSettings& auth = *o.authenticated.auth;
  o.words.subject = identity.subject;
  if (runtime_->snapshot->revocations().stale()) {
    return fail(Errc::store_unavailable, Side::gateway, "what other gateways revoked is not known");
  }
  TRY_VOID(stand_on(identity, auth));
  for (const auto& [claim, header] : auth.forward) {
    bool bad = false;
    const auto text = identity.claim_text(claim, bad);
    if (bad) return fail(Errc::bad_claim, Side::client, "a claim to be forwarded cannot stand in a header");
    if (text) o.identity_fields.emplace_back(header, *text);
  }
  return {};
}

// Whoever revokes does so in the table first and then among the connections: from here on one of the two is heard.
Result<void> Session::stand_on(const policy::Identity& identity, const policy::AuthSettings& auth) {
  const policy::Revocations& revocations = runtime_->snapshot->revocations();
  if (revocations.refuses(identity, auth.name, house_.loop.wall())) {
    return fail(Errc::revoked, Side::client, "its identity is revoked");
  }
  standing_ = Standing::of(identity, auth.name, revocations.seed());
  expires_ = kNever;
  if (identity.expires && auth.close_on_expiry) {
    // A monotonic deadline, set once: turning the wall clock back does not extend a connection.
    expiry_close_code_ = auth.expiry_close_code;
    expires_ = now() + policy::left_of(identity, auth.leeway_seconds(), house_.loop.wall());
  }
  return {};
}

Result<void> Session::judge_subprotocols() {
  Opening& o = *opening_;
  const std::vector<std::string>& allowed = rules().subprotocols;
  const bool framed = tcp() && framing().framed();
  for (const std::string_view offered : o.scrubbed.subprotocols) {
    if (framed && offered == ws::kBase64Subprotocol) continue;  // is about octets without frames
    if (allowed.empty() || std::ranges::find(allowed, offered) != allowed.end()) o.subprotocols.push_back(offered);
  }
  if (!o.scrubbed.subprotocols.empty() && o.subprotocols.empty()) {
    return fail(Errc::ws_subprotocol, Side::client, "none of the offered subprotocols is served here");
  }
  if (route_->compiled->plan.pass_deflate) {
    for (const std::string_view extension : o.offer.extensions) {
      if (ws::is_deflate(extension)) o.extensions.push_back(extension);
    }
  }
  if (!o.subprotocols.empty()) o.chosen_subprotocol = o.subprotocols.front();
  return {};
}

Result<void> Session::judge_limits(bool before_auth) {
  if (before_auth) {
    for (const auto& limiter : listener_->compiled->limits) TRY_VOID(judge_limit(*limiter));
  }
  const std::vector<policy::Limiter*> own = before_auth ? std::vector<policy::Limiter*>{} : limits_of_key();
  for (const auto& limiter : route_->compiled->limits) {
    // What an identity may do is asked once it is known, everything else before a signature costs anything.
    const bool by_claim = limiter->settings().key == policy::LimitSettings::Key::claim;
    if (by_claim == before_auth) continue;
    const auto counts_the_same = [&](const policy::Limiter* other) { return other->settings().unit == limiter->settings().unit; };
    if (std::ranges::none_of(own, counts_the_same)) TRY_VOID(judge_limit(*limiter));
  }
  for (policy::Limiter* const limiter : own) TRY_VOID(judge_limit(*limiter));
  return {};
}

// Those that the entry of its API key names.
std::vector<policy::Limiter*> Session::limits_of_key() const {
  const policy::Authenticated& who = opening_->authenticated;
  const auto* const names = who.auth && who.auth->keys ? who.auth->keys->limits_of(who.identity.subject) : nullptr;
  std::vector<policy::Limiter*> limits;
  if (!names) return limits;
  for (const std::string& name : *names) limits.push_back(&runtime_->snapshot->limiter(name));
  return limits;
}

Result<void> Session::judge_limit(policy::Limiter& limiter) {
  const policy::LimitSettings& limit = limiter.settings();
  using Unit = policy::LimitSettings::Unit;
  const bool metered = limit.unit == Unit::messages || limit.unit == Unit::bytes;
  if (plain() && (metered || limit.unit == Unit::handshakes)) return {};
  const LimitKey key(limit, *opening_, *listener_->compiled->settings, route_ ? route_->compiled->settings->name : "");
  if (metered) {
    up_lane_.meters.push_back(make_meter(*route_->meter(limiter), key.octets(), now()));
    return {};
  }
  opening_->retry_after = admitted(limiter, key, now(), permits_);
  if (opening_->retry_after == Duration::zero()) return {};
  record_.rate_limited = true;
  return fail(key.refusal());
}

// ---- choose and open ------------------------------------------------------------------------------------------------

Step Session::choose() {
  Opening& o = *opening_;
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  if (o.deadline == kNever) o.deadline = now() + cluster.settings().open_timeout;
  if (o.candidates.empty()) {
    if (route_->compiled->target) {
      if (!o.target) o.target = std::make_unique<TargetSearch>(house_, ready_, *route_->compiled->target, o);
      const Result<bool> found = o.target->advance();
      if (!found) return refuse(found.error());
      if (!*found && now() >= o.deadline) return refuse(kOpeningTooLong);
      if (!*found) return arm(o.deadline), Step::wait;
    }
    if (cluster.settings().policy == upstream::Policy::consistent_hash) {
      o.key_hash = upstream::hash_of(cluster.settings().key, o.request, o.authenticated.identity);
      record_.key_hash = o.key_hash;
    }
    if (cluster.settings().pending.max != 0 && (o.pending.must_wait(cluster, now()) || client_left())) {
      return hold(cluster.refusal(now()));
    }
    read_sticky_cookie(cluster, o, house_.loop.wall());
    o.candidates = cluster.order(o.key_hash, now(), {}, o.sticky.server.get());
    if (o.candidates.empty() || !cluster.allow(now())) return hold(cluster.refusal(now()));
    o.connecting = ConnectBudget(cluster.settings().connect_timeout);
  }
  if (o.next_candidate == o.candidates.size() || o.connecting.spent()) return hold(o.last_error);
  if (now() >= o.deadline) return refuse(kOpeningTooLong);
  if (!leg_plan_) {
    auto plan = make_leg_plan(*route_, o, o.subprotocols, o.extensions);
    if (!plan) return refuse(plan.error());
    leg_plan_ = std::make_unique<LegPlan>(std::move(*plan));
    if (plain()) plan_exchange();
  }
  legs_.clear();  // one that failed must not take the place of the next
  upstream::ServerUse use = cluster.take(o.candidates[o.next_candidate++]);
  if (!use) {  // others were faster
    o.last_error = cluster.refusal(now());
    return Step::next;
  }
  o.pending.leave();
  if (plain() && take_idle(use)) return Step::next;
  house_.upstreams.make_room(*use.get(), cluster.settings());
  legs_.push_back(std::make_unique<Leg>(house_, std::move(use), ready_));
  if (!legs_.front()->start(*leg_plan_, o.connecting.next())) {
    return candidate_failed({Errc::be_connect, Side::upstream, true, "connect failed"});
  }
  phase_ = Phase::open;
  return Step::next;
}

// It waits for its turn or a server where the backend says so, else it is refused with what is in the way.
Step Session::hold(Error error) {
  Opening& o = *opening_;
  const Result<Instant> until = o.pending.hold(house_, *route_->compiled->cluster, error, ready_);
  if (!until) return refuse(until.error());
  if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
  if (client_left()) return refuse({Errc::client_lost, Side::client, false, "it left while it waited for a server"});
  if (now() >= expires_) return refuse({Errc::token_expired, Side::client, false, "token expired"});
  legs_.clear();
  o.candidates.clear();
  o.next_candidate = 0;
  o.last_error = {};
  o.deadline = kNever;  // the servers' time begins when it has its turn
  if (*until <= now()) return Step::next;
  arm(std::min(*until, expires_));
  return Step::wait;
}

// Whoever says its end while it waits is not waited for: nothing of an answer has come yet.
bool Session::client_left() const { return opening_->pending.waits() && client_.hung_up(); }

Step Session::open() {
  Opening& o = *opening_;
  Leg& leg = *legs_.front();
  const Result<Leg::State> state = leg.advance(*leg_plan_);
  if (!state) return candidate_failed(state.error());
  if (leg.refused()) {
    Refusal refusal = leg.take_refusal();
    route_->compiled->cluster->attempted(leg.server(), upstream::serves(refusal.status), now());
    leg.close();
    return relay_refusal(std::move(refusal));
  }
  if (*state != Leg::State::open) {
    if (now() >= leg.deadline()) return candidate_failed(leg.timed_out());
    if (now() >= o.deadline) return candidate_failed(kOpeningTooLong);
    arm(std::min(leg.deadline(), o.deadline));
    return Step::wait;
  }
  if (plain()) return start_exchange(now(), false);
  o.agreement = leg.take_agreement();
  if (o.accepted() && !tcp() && o.agreement.subprotocol != o.chosen_subprotocol) {
    return candidate_failed({Errc::be_bad_101, Side::upstream, false, "not the subprotocol that the client has been answered"});
  }
  route_->compiled->cluster->attempted(leg.server(), true, now());
  o.answer_fields = leg.take_answer_fields();
  if (per_message()) {
    spread_ = std::make_unique<Spread>();
    spread_->subprotocol = o.agreement.subprotocol;
  }
  if (const auto& survive = route_->compiled->settings->survive) {
    revival_ = std::make_unique<Revival>(*this, *survive, o.agreement.subprotocol);
  }
  if (tcp()) o.agreement.subprotocol = o.chosen_subprotocol;
  // The marker, never the token, when nothing else was offered.
  if (o.agreement.subprotocol.empty() && o.authenticated.marker_only && o.authenticated.carrier &&
      o.authenticated.carrier->kind == policy::Carrier::Kind::subprotocol) {
    o.agreement.subprotocol = o.authenticated.carrier->name;
  }
  o.words.subprotocol = o.agreement.subprotocol;
  if (o.accepted()) return flush_then(Phase::relay);
  policy::apply(route_->compiled->settings->response_headers, o.response_fields, o.answer_fields);
  if (auto cookie = sticky_cookie(*route_->compiled->cluster, o, leg.server(), house_.loop.wall())) {
    o.answer_fields.emplace_back("Set-Cookie", std::move(*cookie));
  }
  auto head = switching_head(o);
  if (!head) return refuse(head.error());
  o.out = std::move(*head);
  return flush_then(Phase::relay);
}

Step Session::candidate_failed(Error error) {
  Opening& o = *opening_;
  Leg& leg = *legs_.front();
  if (error.code != Errc::fd_limit) opening_failed(leg);
  o.connecting.spend(leg.wasted());
  leg.close();
  o.last_error = error;
  if (!error.retryable()) return refuse(error);
  if (o.next_candidate < o.candidates.size()) route_->servers->of(leg.server()).retries.add();
  phase_ = Phase::choose;
  return Step::next;
}

void Session::opening_failed(const Leg& leg) {
  if (!leg.reached()) book_of(leg).of(leg.server()).connect_failures.add();
  cluster_of(leg).attempted(leg.server(), false, now());
}

// ---- answers ----------------------------------------------------------------------------------------------------------

Step Session::refuse(Error error) {
  Opening& o = *opening_;
  o.pending.leave();
  house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
  record_.error = error;
  if (error.side == Side::upstream) o.retry_after = std::chrono::seconds(1);
  const bool as_close = o.websocket && route_ && rules().reject_with_close &&
                        (row(error.code).stage == Stage::auth || row(error.code).stage == Stage::ratelimit ||
                         row(error.code).stage == Stage::origin);
  if (as_close || o.accepted()) {
    // Accepted only to be closed: a browser sees close codes, never statuses.
    if (!o.accepted()) o.agreement.subprotocol = o.chosen_subprotocol.empty() ? early_subprotocol(o, rules()) : o.chosen_subprotocol;
    const std::uint16_t code = refusal_code(error);
    auto head = o.accepted() ? std::move(o.out) : switching_head(o);
    if (head) {
      o.out = std::move(*head);
      o.out += as_text(ws::ControlFrame::close(code, row(error.code).name, false).bytes());
      log_open(101, &error);
      note_close(code, Side::gateway, row(error.code).name);
      record_.keep(o.words);
      log_close();
      return flush_then(Phase::linger);
    }
  }
  const int status = row(error.code).status;
  o.out = refusal_head_and_body(error, o);
  log_open(status, &error);
  count_answer(status);
  return flush_then(Phase::linger);
}

Step Session::relay_refusal(Refusal refusal) {
  Opening& o = *opening_;
  if (o.accepted()) return refuse({Errc::be_refused, Side::upstream, false, "the upstream refused the handshake"});
  policy::apply(route_->compiled->settings->response_headers, o.response_fields, refusal.fields);
  const Error error{Errc::be_refused, Side::upstream, false, "the upstream refused the handshake"};
  record_.error = error;
  house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
  auto head = relayed_answer(refusal, o.request);
  if (!head) return refuse(head.error());
  o.out = std::move(*head);
  log_open(refusal.status, &error);
  count_answer(refusal.status);
  return flush_then(Phase::linger);
}

void Session::count_answer(int status) {
  if (!route_) return;
  const Opening& o = *opening_;
  route_->tally->requests.count(o.head.method, status, o.out.size(), now() - o.started);
}

// Sends opening_->out, then goes on with `next`.
Step Session::flush_then(Phase next) {
  if (phase_ != Phase::answer) {
    phase_ = Phase::answer;
    after_flush_ = next;
    deadline_ = now() + kFlushTimeout;
  }
  std::string& out = opening_->out;
  const Bytes part = as_bytes(out);
  std::size_t taken = 0;
  const Io io = client_.write({&part, part.empty() ? 0u : 1u}, taken);
  if (io == Io::error) return unanswered({Errc::client_lost, Side::client, false, "the connection ended before the answer"});
  out.erase(0, taken);
  // A stream may keep what it took, and nobody writes to one whose client is to speak next.
  if (!out.empty() || (after_flush_ == Phase::done && client_.unsent())) {
    if (now() >= deadline_) {
      return unanswered({Errc::slow_reader, Side::client, false, "the answer was not taken in time"});
    }
    arm(deadline_);
    return Step::wait;
  }
  deadline_ = kNever;
  phase_ = after_flush_;
  if (phase_ == Phase::relay) {
    start_relaying();
  } else if (phase_ == Phase::linger) {
    return say_end();
  } else if (phase_ == Phase::done) {
    served_ = true;
    if (timer_) house_.loop.retire(std::move(timer_));  // this may run inside its call
  }
  return Step::next;
}

Step Session::say_end() {
  client_.finish();
  phase_ = Phase::linger;
  deadline_ = now() + kLinger;
  return Step::next;
}

// The client did not take its answer. An upstream that had accepted the handshake is told, and both lines are written: it
// was a connection, if a short one.
Step Session::unanswered(Error error) {
  if (after_flush_ != Phase::relay) {
    phase_ = Phase::done;
    return Step::done;
  }
  deadline_ = kNever;
  phase_ = Phase::relay;
  start_relaying();
  if (error.code == Errc::client_lost) {
    on_client_end();
  } else {
    end(error, Side::gateway);
  }
  return Step::next;
}

// Reads and drops what the other side still had in flight, so that a close does not become a reset that would take the
// answer away from it; bounded in time and octets.
Step Session::linger() {
  std::size_t taken = 0;
  if (client_.write({}, taken) == Io::error) return phase_ = Phase::done, Step::done;
  while (lingered_ < kLingerOctets && now() < deadline_) {
    client_.consume(client_.received().size());
    const Io io = client_.fill();
    // Nothing received costs, too.
    if (io == Io::ok) lingered_ += static_cast<std::uint32_t>(std::max(client_.received().size(), kLingerOctets / 64));
    client_.settle();
    if (io == Io::blocked) {
      arm(deadline_);
      return Step::wait;
    }
    if (io != Io::ok) break;
  }
  phase_ = Phase::done;
  return Step::done;
}

// ---- from opening to relaying ------------------------------------------------------------------------------------------

void Session::start_relaying() {
  Opening& o = *opening_;
  Leg& leg = *legs_.front();
  route_->tally->handshakes[static_cast<std::size_t>(Outcome::accepted)].add();
  route_->tally->handshake_seconds.observe(std::chrono::duration<double>(now() - o.started).count());
  log_open(101, nullptr);

  record_.keep(o.words);
  if (spread_ || revival_) {
    // Later legs are offered only what was agreed with the first.
    const std::string& agreed = spread_ ? spread_->subprotocol : revival_->subprotocol();
    std::vector<std::string_view> only;
    if (!agreed.empty()) only.push_back(agreed);
    auto plan = make_leg_plan(*route_, o, only, {});
    check(plan.has_value(), "a head that was good is bad");
    *leg_plan_ = std::move(*plan);
    if (spread_) start_spreading();
  } else {
    leg_plan_.reset();
  }
  client_.consume(o.head_size);  // from here on the head's views are dead
  client_.settle();
  const bool deflate = o.agreement.deflate;
  up_framer_ = up_framer(deflate);
  up_.emplace(client_, *up_framer_, up_lane_, house_.place.pool);
  if (guard(Direction::up)) up_->inspect_messages();
  leg.relay_through(down_framer(deflate), *this);
  target_ = &leg;

  if (revival_) revival_->join(leg);
  if (spread_) start_reading(leg);
  start_renewing();
  opening_.reset();
  if (timer_) house_.loop.retire(std::move(timer_));  // this may run inside its call

  if (const Duration most = rules().max_lifetime; most > Duration::zero()) {
    // Up to a tenth earlier: who came together does not come back together.
    retires_ = born_ + most - Duration(random_below(static_cast<std::uint64_t>(most.count() / 10)));
  }

  route_->tally->connections.add();
  relaying_counted_ = true;
  last_client_in_ = last_data_ = now();
  if (house_.draining) drain();
}

std::unique_ptr<relay::Framer> Session::up_framer(bool deflate) const {
  const ws::FramingRules rules_of_frames{.side = Side::client,
                                         .max_message = rules().max_message,
                                         .max_fragments = rules().max_fragments,
                                         .rsv1 = deflate,
                                         .validate_utf8 = rules().validate_utf8};
  if (tcp()) return ws::framer_to_tcp(rules_of_frames, framing(), record_.subprotocol() == ws::kBase64Subprotocol);
  return std::make_unique<ws::WsFramer>(rules_of_frames);
}

std::unique_ptr<relay::Framer> Session::down_framer(bool deflate) const {
  if (route_->compiled->plan.down == config::FramerKind::tcp_to_ws) {
    return ws::framer_from_tcp(framing(), rules().text_frames ? ws::kText : ws::kBinary,
                               record_.subprotocol() == ws::kBase64Subprotocol);
  }
  return std::make_unique<ws::WsFramer>(ws::FramingRules{.side = Side::upstream,
                                                         .max_message = rules().max_message_to_client,
                                                         .max_fragments = 0,
                                                         .rsv1 = deflate,
                                                         .validate_utf8 = rules().validate_utf8});
}

void Session::arm(Instant when) {
  if (when == kNever) return;
  if (!timer_) timer_ = std::make_unique<event::Timer>(house_.loop, [this] { ready_.on_ready(); });
  // One timer for several waits: the earliest counts, the others arm it again once it has fired.
  if (timer_->armed() && timer_->due() <= when) return;
  timer_->arm(when - now());
}

// ---- what is seen of it -------------------------------------------------------------------------------------------------

void Session::describe(JsonWriter& out, const ConnectionFilter& filter) const {
  if (!filter.takes(route_->compiled->settings->name, record_.subject(), standing_.get())) return;
  out.begin_object();
  out.field("id", record_.id()).field("client_ip", record_.client());
  out.field("listener", listener_->compiled->settings->name);
  out.field("route", route_->compiled->settings->name);
  if (standing_) out.field("auth", standing_->auth()).field("auth_method", standing_->method());
  if (!legs_.empty() && legs_.front()->state() != Leg::State::closed) {
    out.field("server", legs_.front()->server().settings().url);
  }
  if (!record_.subject().empty()) out.field("subject", record_.subject());
  if (!record_.subprotocol().empty()) out.field("subprotocol", record_.subprotocol());
  out.field("path", record_.path());
  out.field("age_ms", std::chrono::duration_cast<std::chrono::milliseconds>(now() - born_).count());
  out.field("messages_in", record_.messages_in).field("messages_out", record_.messages_out);
  out.field("bytes_in", record_.bytes_in).field("bytes_out", record_.bytes_out);
  out.end_object();
}

void Session::log_open(int status, const Error* error) {
  Opened line;
  line.status = status;
  line.error = error;
  line.route = route_;
  line.leg = legs_.empty() ? nullptr : legs_.front().get();
  line.exchange = exchange_.get();
  log_opening(line, *opening_, record_, *listener_, house_.loop.wall(), now());
  const bool handshake = opening_->websocket || !route_ || !route_->compiled->plan.plain;
  if (error && route_ && handshake) route_->tally->handshakes[static_cast<std::size_t>(outcome_of(*error))].add();
}

void Session::log_close() {
  if (!route_) return;
  count_pauses();
  const std::size_t label = close_label(record_.close_code);
  route_->tally->closes[static_cast<std::size_t>(record_.initiator)][label].add();
  route_->tally->lifetime_seconds.observe(std::chrono::duration<double>(now() - born_).count());
  log_closing(record_, *route_, *listener_, legs_.empty() ? nullptr : legs_.front().get(), house_.loop.wall(),
              now() - born_);
}

}  // namespace sluice::session
