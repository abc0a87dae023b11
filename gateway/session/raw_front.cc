#include "session/raw_front.h"

#include <algorithm>

#include "base/json.h"
#include "http/trace.h"
#include "session/connection_filter.h"
#include "session/kick.h"
#include "session/limit_key.h"
#include "session/proxy_header.h"
#include "upstream/hash_key.h"

namespace sluice::session {

namespace {

using Why = relay::Relay::Why;

}  // namespace

RawFront::RawFront(House& house, Admission admission, std::unique_ptr<net::Stream> client,
                   std::shared_ptr<const Runtime> runtime, std::size_t listener, const Ends& ends, http::TlsFacts tls)
    : StreamOwner(house),
      admission_(std::move(admission)),
      client_(std::move(client)),
      runtime_(std::move(runtime)),
      listener_(listener),
      waiting_(new Waiting{{}, {}, event::Timer(house.loop, [this] { wake(); })}) {
  admission_.speaks(Protocol::tcp);
  Opening& opening = waiting_->opening;
  opening.started = house.loop.now();
  http::Request& request = opening.request;
  request.id = http::random_hex(16);
  request.peer = request.client = ends.peer;
  request.local = ends.local;
  request.proxy = ends.proxy;
  request.tls = std::move(tls);
  record_.begin(request, house.loop.now());
  client_->set_ready(this);
}

RawFront::~RawFront() {
  // The relays look at both streams.
  down_.reset();
  up_.reset();
}

Step RawFront::advance() {
  if (up_) return relay();
  if (!judged_) {
    judged_ = true;
    const Result<void> judged = judge();
    if (!judged) return end(judged.error(), Side::gateway);
    return choose();
  }
  return leg_ ? open() : choose();
}

// ---- judge ------------------------------------------------------------------------------------------------------------

Result<void> RawFront::judge() {
  if (runtime_->snapshot->revocations().refuses(waiting_->opening.request.client, house_.loop.wall())) {
    return fail(Errc::revoked, Side::client, "its address is revoked");
  }
  for (const auto& limiter : listener().compiled->limits) TRY_VOID(judge_limit(*limiter));
  return {};
}

Result<void> RawFront::judge_limit(policy::Limiter& limiter) {
  const LimitKey key(limiter.settings(), waiting_->opening, *listener().compiled->settings, {});
  if (admitted(limiter, key, now(), permits_) == Duration::zero()) return {};
  record_.rate_limited = true;
  return fail(key.refusal());
}

// ---- choose and open ----------------------------------------------------------------------------------------------------

Step RawFront::choose() {
  Opening& o = waiting_->opening;
  if (o.candidates.empty()) {
    const upstream::BackendSettings& backend = cluster().settings();
    if (backend.pending.max != 0 && (o.pending.must_wait(cluster(), now()) || client_left())) {
      return hold(cluster().refusal(now()));
    }
    waiting_->plan.backend = &backend;
    waiting_->plan.servers = listener().servers;
    waiting_->plan.tls = listener().upstream_tls;
    auto preamble = proxy_header(backend.proxy, o);
    if (!preamble) return end(preamble.error(), Side::gateway);
    waiting_->plan.preamble = std::move(*preamble);
    key_hash_ = upstream::hash_of(backend.key, o.request, {});
    o.candidates = cluster().order(key_hash_, now());
    if (o.candidates.empty() || !cluster().allow(now())) return hold(cluster().refusal(now()));
    o.deadline = now() + backend.open_timeout;
    o.connecting = ConnectBudget(backend.connect_timeout);
  }
  if (o.next_candidate == o.candidates.size() || o.connecting.spent()) return hold(o.last_error);
  if (now() >= o.deadline) {
    return end({Errc::be_timeout, Side::upstream, false, "the servers that were tried took too long in all"}, Side::upstream);
  }
  leg_.reset();  // one that failed must not take the place of the next
  upstream::ServerUse use = cluster().take(o.candidates[o.next_candidate++]);
  if (!use) {  // others were faster
    o.last_error = cluster().refusal(now());
    return choose();
  }
  o.pending.leave();
  leg_ = std::make_unique<Leg>(house_, std::move(use), *this);
  if (!leg_->start(waiting_->plan, o.connecting.next())) {
    return candidate_failed({Errc::be_connect, Side::upstream, true, "connect failed"});
  }
  return open();
}

// It waits where the backend says so, else it ends with what is in the way.
Step RawFront::hold(Error error) {
  Opening& o = waiting_->opening;
  const Result<Instant> until = o.pending.hold(house_, cluster(), error, *this);
  if (!until) return end(until.error(), Side::upstream);
  if (house_.draining) return end({Errc::draining, Side::gateway, false, ""}, Side::gateway);
  if (client_left()) return end({Errc::client_lost, Side::client, false, "it left while it waited for a server"}, Side::client);
  o.candidates.clear();
  o.next_candidate = 0;
  o.last_error = {};
  leg_.reset();
  if (*until <= now()) return Step::next;
  waiting_->timer.arm(*until - now());
  return Step::wait;
}

// Whether a client that has said its end would still listen nobody can say; one that is not served yet is taken to have left.
bool RawFront::client_left() const { return waiting_->opening.pending.waits() && client_->hung_up(); }

Step RawFront::open() {
  const Result<Leg::State> state = leg_->advance(waiting_->plan);
  if (!state) return candidate_failed(state.error());
  if (*state == Leg::State::open) {
    cluster().attempted(leg_->server(), true, now());
    start_relaying();
    return Step::next;
  }
  const Instant deadline = std::min(leg_->deadline(), waiting_->opening.deadline);
  if (now() >= deadline) return candidate_failed(leg_->timed_out());
  waiting_->timer.arm(deadline - now());
  return Step::wait;
}

Step RawFront::candidate_failed(Error error) {
  Opening& o = waiting_->opening;
  if (error.code != Errc::fd_limit) {
    if (!leg_->reached()) listener().servers->of(leg_->server()).connect_failures.add();
    cluster().attempted(leg_->server(), false, now());
  }
  o.connecting.spend(leg_->wasted());
  leg_->close();
  o.last_error = error;
  if (!error.retryable()) return end(error, Side::upstream);
  if (o.next_candidate < o.candidates.size()) listener().servers->of(leg_->server()).retries.add();
  return choose();
}

// ---- relay --------------------------------------------------------------------------------------------------------------

Verdict RawFront::Lane::admit(const relay::Run& run) {
  octets += run.payload;
  counter_.add(run.payload);
  return Verdict::allow();
}

void RawFront::start_relaying() {
  record_.connect = leg_->connect_time();
  leg_->settle();
  ListenerTally& tally = *listener().tally;
  up_.emplace(*client_, leg_->stream(), tally.raw_octets[static_cast<std::size_t>(Direction::up)], house_.place.pool);
  down_.emplace(leg_->stream(), *client_, tally.raw_octets[static_cast<std::size_t>(Direction::down)], house_.place.pool);
  last_octet_ = now();
  house_.loop.retire(std::move(waiting_));  // this may run inside its timer's call
}

Step RawFront::relay() {
  relay::Budget up_budget;
  relay::Budget down_budget;
  if (pump(*up_, up_budget) == Step::done || pump(*down_, down_budget) == Step::done) return Step::done;
  if (up_->done() && down_->done()) {
    log();
    return Step::done;
  }
  return Step::wait;
}

// done: the session is over.
Step RawFront::pump(Lane& lane, relay::Budget& budget) {
  const bool up = &lane == &*up_;
  if (lane.ended) {
    // What the sink itself still keeps, and the end behind it.
    std::size_t taken = 0;
    if (lane.to().unsent() && lane.to().write({}, taken) == Io::error) {
      return lost(up ? Side::upstream : Side::client);
    }
    return Step::wait;
  }
  const Why why = lane.relay().idle() ? Why::starved : lane.relay().pump(budget);
  if (lane.relay().take_activity()) last_octet_ = now();
  switch (why) {
    case Why::starved:
    case Why::jammed:
    case Why::held:
    case Why::denied: return Step::wait;
    case Why::budget: wake_later(); return Step::wait;
    case Why::from_end:
      lane.ended = true;
      lane.to().finish();
      if (record_.first_end == Side::gateway) record_.first_end = up ? Side::client : Side::upstream;
      return Step::wait;
    case Why::from_error:
    case Why::to_error: break;
  }
  return lost(up == (why == Why::to_error) ? Side::upstream : Side::client);
}

Step RawFront::lost(Side side) {
  return end({side == Side::upstream ? Errc::be_lost : Errc::client_lost, side, false, "the connection was reset"}, side);
}

Step RawFront::tick() {
  if (!up_) return Step::wait;
  bool work = client_->recheck();
  work = leg_->stream().recheck() || work;
  for (Lane* const lane : {&*up_, &*down_}) {
    // Slow is not stalled: whoever takes octets is not idle.
    const std::size_t left = lane->to().jammed() ? lane->to().undelivered() : 0;
    if (std::exchange(lane->undelivered, left) != left) last_octet_ = now();
  }
  const Duration idle = listener().compiled->settings->idle_timeout;
  if (idle > Duration::zero() && now() - last_octet_ >= idle) {
    act(end({Errc::idle, Side::gateway, false, ""}, Side::gateway));
    return Step::wait;
  }
  if (const Errc why = unwanted(); why != Errc::none) {
    act(end({why, Side::gateway, false, "its server is not to be used"}, Side::gateway));
    return Step::wait;
  }
  return work ? Step::next : Step::wait;
}

// Asked about once a second, as of any session (session/closing.cc).
Errc RawFront::unwanted() {
  if (!listener().compiled->settings->close_on_server_down) return Errc::none;
  if (cluster().sheds(key_hash_, leg_->server(), now())) return Errc::rebalance;
  return leg_->server().down() ? Errc::server_down : Errc::none;
}

// ---- the end ------------------------------------------------------------------------------------------------------------

// Both sides end here and now. One that was lost takes the other with it by a reset; all others see an end in order.
Step RawFront::end(Error error, Side initiator) {
  if (waiting_) waiting_->opening.pending.leave();
  record_.error = error;
  record_.first_end = initiator;
  house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
  log();
  const bool reset = up_ && (error.code == Errc::be_lost || error.code == Errc::client_lost);
  for (net::Stream* const stream : {client_.get(), leg_ && leg_->reached() ? &leg_->stream() : nullptr}) {
    if (!stream) continue;
    if (reset) {
      stream->abort();
    } else {
      stream->finish();
      stream->close();
    }
  }
  return Step::done;
}

void RawFront::drain() {
  if (waiting_ && waiting_->opening.pending.waits()) act(end({Errc::draining, Side::gateway, false, ""}, Side::gateway));
}

bool RawFront::kick(const Kick& kick) {
  if (!judged_ || logged_ || !kick.hits(nullptr, record_.client(), record_.id(), record_.started)) return false;
  house_.tally.revoked[static_cast<std::size_t>(kick.revocation().kind)].add();
  act(end({Errc::revoked, Side::gateway, false, "revoked while it was connected"}, Side::gateway));
  return true;
}

void RawFront::cut() {
  record_.error = {Errc::draining, Side::gateway, false, "cut at the drain's deadline"};
  record_.first_end = Side::gateway;
  log();
}

void RawFront::log() {
  if (std::exchange(logged_, true)) return;
  if (up_) {
    record_.octets_in = up_->octets;
    record_.octets_out = down_->octets;
  }
  log_raw_closing(record_, listener(), leg_.get(), house_.loop.wall(), now());
}

void RawFront::describe(JsonWriter& out, const ConnectionFilter& filter) const {
  if (!up_ || !filter.takes({}, {}, nullptr)) return;
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now() - record_.started);
  out.begin_object();
  out.field("id", record_.id()).field("client_ip", record_.client());
  out.field("listener", listener().compiled->settings->name);
  out.field("server", leg_->server().settings().url);
  out.field("age_ms", age.count());
  out.field("bytes_in", up_->octets).field("bytes_out", down_->octets);
  out.end_object();
}

}  // namespace sluice::session
