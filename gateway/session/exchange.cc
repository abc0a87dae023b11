#include "session/exchange.h"

#include <algorithm>

#include "session/answers.h"

namespace sluice::session {

namespace {

using Why = BodyRelay::Why;

constexpr unsigned kMostInterim = 5;  // 1xx answers before the final one
// A client that has said its end may still read. One to whom nothing has flowed for so long is taken to have left.
constexpr auto kHalfClosed = std::chrono::seconds(10);

}  // namespace

Exchange::Exchange(House& house, net::Stream& client, const Opening& opening, const Terms& terms,
                   const config::RouteSettings& route)
    : house_(house), client_(client), opening_(opening), route_(route), rules_(route.http), terms_(terms) {}

void Exchange::begin(net::Stream& upstream, std::string_view head, Instant born, bool reused) {
  upstream_ = &upstream;
  born_ = born;
  reused_ = reused;
  const bool chunked = opening_.body.kind == http::BodyLength::Kind::chunked;
  up_.emplace(client_, upstream, opening_.body, Side::client, chunked, house_.place.pool, rules_.max_body);
  up_->lead(head);
  down_.reset();
  parser_ = http::HeadParser(http::HeadParser::Kind::response);
  interims_ = 0;
  up_done_ = up_dead_ = heard_ = persistent_ = false;
  last_up_ = last_down_ = house_.loop.now();
  state_ = State::running;
}

void Exchange::fail_with(Error error) {
  if (state_ != State::running) return;
  error_ = error;
  state_ = State::failed;
}

Exchange::State Exchange::advance() {
  spent_ = false;
  if (state_ == State::running && !up_done_ && !up_dead_) advance_up();
  if (state_ == State::running) advance_down();
  if (state_ == State::running && up_done_) watch_client();
  return state_;
}

void Exchange::advance_up() {
  relay::Budget budget;
  switch (up_->pump(budget)) {
    case Why::done: up_done_ = true; break;
    case Why::starved:
    case Why::jammed: break;
    case Why::budget: spent_ = true; break;
    case Why::from_end:
    case Why::from_error:
      fail_with({Errc::client_lost, Side::client, false, "the connection ended inside the request"});
      break;
    // What it said before it left may be an answer: that it will not have all of this body.
    case Why::to_error: up_dead_ = true; break;
    case Why::denied: fail_with(up_->error()); break;
  }
}

// Octets of the client's that come behind its request stay in its stream: they are its next one. Not more than one receive.
void Exchange::watch_client() {
  if (client_ended_ || client_.starved() || !client_.received().empty()) return;
  const Io io = client_.fill();
  client_.settle();
  if (io == Io::end) client_ended_ = true;
  if (io == Io::error) fail_with({Errc::client_lost, Side::client, false, "the connection ended before the answer"});
}

// ---- the answer -------------------------------------------------------------------------------------------------------

void Exchange::advance_down() {
  if (!down_) read_head();
  upstream_->settle();
  if (!down_ || state_ != State::running) return;
  relay::Budget budget;
  const Why why = down_->pump(budget);
  switch (why) {
    case Why::done: state_ = State::done; break;
    case Why::starved:
    case Why::jammed: break;
    case Why::budget: spent_ = true; break;
    case Why::from_end:
    case Why::from_error:
      fail_with({Errc::be_lost, Side::upstream, false, "the upstream closed inside its answer"});
      break;
    case Why::to_error: fail_with({Errc::client_lost, Side::client, false, "the connection ended inside the answer"}); break;
    case Why::denied: fail_with(down_->error()); break;
  }
}

// As far as the final head, which it leaves behind as down_.
void Exchange::read_head() {
  if (!interim_.empty() && !interim(0)) return;
  while (true) {
    const MutableBytes received = upstream_->received();
    if (!received.empty()) {
      heard_ = true;
      const Result<std::size_t> size = parser_.parse(received, head_);
      if (!size) return fail_with(size.error());
      if (*size > 0) {
        if (!take_head(*size) || down_) return;
        continue;
      }
    }
    switch (upstream_->fill()) {
      case Io::ok: break;
      case Io::blocked: return;
      case Io::end:
      case Io::error:
        return fail_with({Errc::be_lost, Side::upstream, false, "the upstream closed before it answered"});
    }
  }
}

// False: it failed.
bool Exchange::take_head(std::size_t size) {
  if (head_.status == 101) {
    // RFC 9110 §15.2.2: nothing was offered to switch to.
    fail_with({Errc::be_bad_101, Side::upstream, false, "101 to a request without an upgrade"});
    return false;
  }
  if (head_.status < 200) {
    if (++interims_ > kMostInterim) {
      fail_with({Errc::be_bad_head, Side::upstream, false, "too many 1xx answers"});
      return false;
    }
    return interim(size);
  }
  const auto body = http::response_body(head_, opening_.head.method);
  if (!body) return fail_with(body.error()), false;
  using Kind = http::BodyLength::Kind;
  // RFC 9112 §9.3. What only the end of the connection ends leaves nothing to be kept.
  persistent_ = head_.minor_version == 1 && body->kind != Kind::until_close && !head_.lists("Connection", "close");
  rests_ = persistent_ ? keep_alive_timeout(head_) : std::nullopt;
  const bool open_ended = body->kind == Kind::chunked || body->kind == Kind::until_close;
  open_ended_ = open_ended && !terms_.chunks;
  AnswerTerms terms{*body, open_ended && terms_.chunks, false, !terms_.chunks};
  // Whoever has not sent all of its body by now will be cut off when it has its answer.
  terms.keep = keeps_client_ = terms_.keep && up_done_ && !house_.draining && !open_ended_;
  auto text = forwarded_answer(head_, route_.response_headers, opening_, terms);
  if (!text) return fail_with(text.error()), false;
  status_ = head_.status;
  answer_ = std::move(interim_) + *text;
  interim_.clear();
  upstream_->consume(size);
  down_.emplace(*upstream_, client_, *body, Side::upstream, terms.chunked, house_.place.pool);
  down_->lead(answer_);
  last_down_ = house_.loop.now();
  return true;
}

// 100 and 103 are for the client, other interim answers for nobody. What the client does not take now waits here.
bool Exchange::interim(std::size_t size) {
  if (size > 0) {
    if (terms_.chunks && (head_.status == 100 || head_.status == 103)) {
      auto text = interim_answer(head_);
      if (!text) return fail_with(text.error()), false;
      interim_ += *text;
    }
    upstream_->consume(size);
    last_up_ = house_.loop.now();
  }
  if (interim_.empty()) return true;
  interim_sent_ = true;
  const Bytes part = as_bytes(interim_);
  std::size_t taken = 0;
  if (client_.write({&part, 1}, taken) == Io::error) {
    fail_with({Errc::client_lost, Side::client, false, "the connection ended before the answer"});
    return false;
  }
  interim_.erase(0, taken);
  return true;
}

bool Exchange::keeps_upstream() const {
  return state_ == State::done && persistent_ && up_done_ && !upstream_->unsent() && upstream_->received().empty();
}

// ---- once a second ------------------------------------------------------------------------------------------------------

// It asked for 100 Continue and sends nothing before.
bool Exchange::client_waits_for_leave() const {
  return interims_ == 0 && up_->octets() == 0 && opening_.head.lists("Expect", "100-continue");
}

Exchange::State Exchange::tick() {
  if (state_ != State::running) return state_;
  const Instant time = house_.loop.now();
  if (up_->take_activity()) last_up_ = time;
  if (down_ && down_->take_activity()) last_down_ = time;
  tick_up(time);
  tick_down(time);
  if (client_ended_ && time - std::max(last_up_, last_down_) >= kHalfClosed) {
    fail_with({Errc::client_lost, Side::client, false, "it has said its end, and nothing flows"});
  }
  return state_;
}

void Exchange::tick_up(Instant time) {
  if (up_done_ || up_dead_) return;
  const Duration quiet = time - last_up_;
  if (upstream_->jammed() || upstream_->unsent()) {
    if (quiet >= route_.websocket.write_stall) fail_with({Errc::be_timeout, Side::upstream, false, "the upstream takes nothing"});
  } else if (!client_waits_for_leave() && quiet >= rules_.body_timeout) {
    fail_with({Errc::body_timeout, Side::client, false, "no octet inside the request's body"});
  }
}

void Exchange::tick_down(Instant time) {
  if (client_.jammed() || client_.unsent()) {
    // Slow is not stalled: whether the other end has taken anything since the last look.
    const std::size_t before = std::exchange(undelivered_, client_.undelivered());
    if (before != undelivered_) last_down_ = time;
    if (time - last_down_ >= route_.websocket.write_stall) {
      fail_with({Errc::slow_reader, Side::client, false, "took nothing for too long"});
    }
    return;
  }
  if (down_) {
    if (rules_.idle_timeout > Duration::zero() && time - last_down_ >= rules_.idle_timeout) {
      fail_with({Errc::be_timeout, Side::upstream, false, "no octet inside the answer"});
    }
    return;
  }
  const bool waits = up_done_ || up_dead_ || client_waits_for_leave();
  if (waits && rules_.response_timeout > Duration::zero() && time - last_up_ >= rules_.response_timeout) {
    fail_with({Errc::be_timeout, Side::upstream, false, "the upstream did not answer in time"});
  }
}

}  // namespace sluice::session
