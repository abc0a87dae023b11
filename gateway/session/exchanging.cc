// A Session's plain request: what is judged of it beyond every request, its exchange, and when it is tried again.
#include <algorithm>

#include "session/access_log.h"
#include "session/session.h"
#include "session/stickiness.h"

namespace sluice::session {

namespace {

// RFC 9110 §9.2.2.
bool idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 5> kIdempotent{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
  return std::ranges::find(kIdempotent, method) != kIdempotent.end();
}

}  // namespace

Result<void> Session::judge_plain() {
  const http::Head& head = opening_->head;
  const config::CompiledRoute& route = *route_->compiled;
  if (!route.plan.plain) return fail(route.cluster ? Errc::upgrade_required : Errc::method);
  opening_->allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  // One would make a tunnel, the other shows a client what the gateway adds.
  if (head.method == "CONNECT" || head.method == "TRACE") return fail(Errc::method);
  const std::uint64_t most = route.settings->http.max_body;
  if (most > 0 && opening_->body.length > most) return fail(Errc::body_too_large, Side::client, "a body over max_body");
  return judge_policies();
}

// The terms of the exchange, once for all attempts.
void Session::plan_exchange() {
  Opening& o = *opening_;
  Exchange::Terms terms;
  terms.chunks = o.head.minor_version == 1;
  terms.keep = o.persistent();
  exchange_ = std::make_unique<Exchange>(house_, client_, o, terms, *route_->compiled->settings);
}

// Not where the last one of them had ended unseen. Whoever may not be asked twice is looked at twice.
bool Session::take_idle(upstream::ServerUse& use) {
  Opening& o = *opening_;
  if (o.fresh_only) return false;
  upstream::Server& server = *use.get();
  upstream::Pool::Kept kept =
      house_.upstreams.take(server, runtime_->snapshot->generation(), now(), !idempotent(o.head.method));
  if (!kept) return false;
  legs_.push_back(std::make_unique<Leg>(house_, std::move(use), ready_, std::move(kept.stream)));
  route_->servers->of(server).reused.add();
  [[maybe_unused]] const Step step = start_exchange(kept.born, true);
  return true;
}

Step Session::start_exchange(Instant born, bool reused) {
  Opening& o = *opening_;
  if (o.head_text.empty()) {
    // What lies behind the head is the body, and then perhaps the next request.
    o.keep_head(client_.received());
    client_.consume(o.head_size);
    client_.settle();
  }
  o.answer_fields.clear();
  if (auto cookie = sticky_cookie(*route_->compiled->cluster, o, legs_.front()->server(), house_.loop.wall())) {
    o.answer_fields.emplace_back("Set-Cookie", std::move(*cookie));
  }
  exchange_->begin(legs_.front()->stream(), leg_plan_->head_before_key, born, reused);
  phase_ = Phase::exchange;
  return Step::next;
}

Step Session::exchange() {
  const Exchange::State state = exchange_->advance();
  spent_ = state == Exchange::State::running && exchange_->spent();
  switch (state) {
    case Exchange::State::running: return Step::wait;
    case Exchange::State::done: return finish_exchange();
    case Exchange::State::failed: return exchange_failed(exchange_->error());
  }
  return Step::wait;
}

Step Session::finish_exchange() {
  Leg& leg = *legs_.front();
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  cluster.attempted(leg.server(), upstream::serves(exchange_->status()), now());
  log_exchange(nullptr);
  if (exchange_->keeps_upstream()) {
    // Before the upstream closes it itself, by its own word.
    const Duration rests = exchange_->upstream_rests().value_or(kNever - now()) - std::chrono::seconds(1);
    const std::shared_ptr<upstream::Server>& server = opening_->candidates[opening_->next_candidate - 1];
    house_.upstreams.give(server, runtime_->snapshot->generation(), {leg.release(), exchange_->upstream_born()}, cluster.settings(),
                          std::min(rests, cluster.settings().pool.idle_timeout), now());
  }
  legs_.clear();
  permits_.clear();
  if (!exchange_->keeps_client() || house_.draining) return say_end();
  if (timer_) house_.loop.retire(std::move(timer_));  // this may run inside its call
  phase_ = Phase::done;
  return Step::done;
}

Step Session::exchange_failed(Error error) {
  Opening& o = *opening_;
  Leg& leg = *legs_.front();
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  leg.close();
  const bool lost = error.code == Errc::be_lost && !exchange_->forwarded() && exchange_->repeatable();
  // RFC 9110 §9.2.2: what may not be done twice is not asked twice, unless nothing of it has left.
  const bool again = lost && (idempotent(o.head.method) || !exchange_->asked());
  if (again && exchange_->reused()) {
    // It was closed while it rested: no fault of the server's, which is asked again on a new connection.
    o.fresh_only = true;
    --o.next_candidate;
    o.deadline = now() + cluster.settings().open_timeout;
    phase_ = Phase::choose;
    return Step::next;
  }
  if (error.side == Side::upstream) cluster.attempted(leg.server(), false, now());
  o.last_error = error;
  if (again) {
    if (o.next_candidate < o.candidates.size()) route_->servers->of(leg.server()).retries.add();
    o.deadline = now() + cluster.settings().open_timeout;
    phase_ = Phase::choose;
    return Step::next;
  }
  if (!exchange_->forwarded() && error.code != Errc::client_lost) return refuse(error);
  // Nothing may follow what has been sent: the client sees a message that is cut short.
  record_.error = error;
  house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
  log_exchange(&error);
  if (error.side != Side::client && exchange_->delimited()) return say_end();
  client_.abort();
  phase_ = Phase::done;
  return Step::done;
}

void Session::log_exchange(const Error* error) {
  const Opening& o = *opening_;
  // Whoever left before the answer has none.
  const int status = exchange_->status() > 0 ? exchange_->status() : row(error->code).status;
  log_open(status, error);
  route_->tally->requests.count(o.head.method, status, exchange_->answer_head() + exchange_->answer_octets(),
                                now() - o.started);
}

Step Session::tick_exchange() {
  // An error that came together with the last octets announces itself by no further edge: one more receive finds it.
  bool work = client_.recheck();
  work = legs_.front()->stream().recheck() || work;
  if (now() >= expires_ && exchange_->forwarded()) {
    legs_.front()->close();
    [[maybe_unused]] const Step step = exchange_failed({Errc::token_expired, Side::client, false, "token expired"});
    return Step::next;
  }
  const Leg& leg = *legs_.front();
  if (leg.server().down() && route_->compiled->settings->close_on_server_down) {
    [[maybe_unused]] const Step step =
        exchange_failed({Errc::server_down, Side::gateway, false, "its server is not to be used"});
    return Step::next;
  }
  if (exchange_->tick() != Exchange::State::running) work = true;
  return work ? Step::next : Step::wait;
}

}  // namespace sluice::session
