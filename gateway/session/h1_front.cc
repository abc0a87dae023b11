#include "session/h1_front.h"

#include <utility>

namespace sluice::session {

namespace {

constexpr int kFillsPerPass = 16;

}  // namespace

H1Front::H1Front(House& house, Admission admission, std::unique_ptr<net::Stream> stream,
                 std::shared_ptr<const Runtime> runtime, std::size_t listener, const Ends& ends, http::TlsFacts tls)
    : StreamOwner(house), admission_(std::move(admission)), stream_(std::move(stream)) {
  admission_.speaks(Protocol::http1);
  const config::ListenerSettings& settings = *runtime->listeners[listener].compiled->settings;
  waiting_.reset(new Waiting{std::move(runtime), listener,
                             http::HeadParser(http::HeadParser::Kind::request, settings.head),
                             std::make_unique<Opening>(), event::Timer(house.loop, [this] { wake(); }),
                             house.loop.now() + settings.head_timeout});
  waiting_->timer.arm_common(settings.head_timeout);
  waiting_->whence.peer = ends.peer;
  waiting_->whence.local = ends.local;
  waiting_->whence.proxy = ends.proxy;
  waiting_->whence.listener_port = ends.local.port();
  waiting_->whence.tls = std::move(tls);
  waiting_->opening->request = waiting_->whence;
  waiting_->opening->started = house.loop.now();
  stream_->set_ready(this);
}

H1Front::~H1Front() {
  // The session's legs may still be flushed by their streams' close; the client's stream outlives the session.
  session_.reset();
}

Step H1Front::advance() {
  if (!session_) return read_head();
  const Step step = session_->advance();
  if (waiting_) watch_phase();
  if (step == Step::wait && session_->spent()) wake_later();
  if (step == Step::done && session_->again() && !house_.draining) return next_request();
  return step;
}

void H1Front::watch_phase() {
  switch (session_->phase()) {
    case Session::Phase::relay:
      admission_.speaks(Protocol::websocket);
      house_.loop.retire(std::move(waiting_));  // this may run inside the deadline's own call
      break;
    case Session::Phase::exchange: admission_.settled(); break;
    case Session::Phase::done:
      if (session_->again()) admission_.settled();
      break;
    default: break;
  }
}

Step H1Front::next_request() {
  session_.reset();
  ++waiting_->answered;
  if (!renew()) return Step::done;
  waiting_->opening = std::make_unique<Opening>();
  waiting_->opening->request = waiting_->whence;
  waiting_->rests = true;
  waiting_->deadline = house_.loop.now() + settings().keepalive_timeout;
  return Step::next;
}

// The configuration may have changed since the last request. False: its listener has gone, or asks for other certificates
// than the client was asked for.
bool H1Front::renew() {
  const std::shared_ptr<const Runtime>& now = house_.in_force();
  if (now == waiting_->runtime) return true;
  const config::ListenerSettings& before = settings();
  for (std::size_t i = 0; i < now->listeners.size(); ++i) {
    const config::ListenerSettings& listener = *now->listeners[i].compiled->settings;
    if (listener.name != before.name || listener.tls.has_value() != before.tls.has_value()) continue;
    const bool same = !listener.tls || (listener.tls->client_auth == before.tls->client_auth &&
                                        listener.tls->client_ca == before.tls->client_ca);
    if (!same || !listener.backend.empty()) return false;  // or it serves no requests any more
    waiting_->parser = http::HeadParser(http::HeadParser::Kind::request, listener.head);
    waiting_->runtime = now;
    waiting_->listener = i;
    return true;
  }
  return false;
}

Step H1Front::read_head() {
  Opening& opening = *waiting_->opening;
  for (int fills = 0;; ++fills) {
    const MutableBytes received = stream_->received();
    if (!received.empty()) {
      if (waiting_->rests && !renew()) return Step::done;
      if (std::exchange(waiting_->rests, false)) {
        opening.started = house_.loop.now();
        waiting_->deadline = house_.loop.now() + settings().head_timeout;
      }
      const Result<std::size_t> size = waiting_->parser.parse(received, opening.head);
      if (!size) {
        begin(size.error());
        return Step::next;
      }
      if (*size > 0) {
        // From here to the answer nothing is read, so the views into the received bytes stay good.
        opening.head_size = *size;
        opening.request.head = &opening.head;
        begin(std::nullopt);
        return Step::next;
      }
    }
    if (house_.loop.now() >= waiting_->deadline) {
      if (received.empty()) {
        // Nobody to answer: closed without a word, but counted where a request was due.
        if (waiting_->answered == 0) house_.tally.rejects[static_cast<std::size_t>(Errc::head_timeout)].add();
        return Step::done;
      }
      begin(Error{Errc::head_timeout, Side::client, false, "the request head did not come in time"});
      return Step::next;
    }
    if (fills == kFillsPerPass) {
      wake_later();
      return Step::wait;
    }
    const Io io = stream_->fill();
    stream_->settle();
    if (io == Io::blocked && received.size() >= kChunk) {
      begin(Error{Errc::head_too_large, Side::client, false, "head over what a stream keeps"});
      return Step::next;
    }
    if (io == Io::blocked) return Step::wait;
    if (io != Io::ok) return Step::done;
  }
}

void H1Front::begin(std::optional<Error> bad) {
  if (bad) {
    waiting_->opening->head.clear();
    waiting_->opening->bad_head = bad;
  }
  const config::ListenerSettings& listener = settings();
  const bool most = listener.max_requests > 0 && waiting_->answered + 1 >= listener.max_requests;
  waiting_->opening->last_request = most || listener.keepalive_timeout == Duration::zero();
  session_ = std::make_unique<Session>(house_, *this, *stream_, waiting_->runtime, waiting_->listener,
                                       std::move(waiting_->opening));
}

Step H1Front::tick() {
  if (session_) return session_->tick();
  return house_.loop.now() >= waiting_->deadline ? Step::next : Step::wait;
}

void H1Front::drain() {
  if (!session_) {
    // No request yet: nothing was promised.
    act(Step::done);
    return;
  }
  session_->drain();
  wake();
}

void H1Front::cut() {
  if (session_) session_->cut();
}

bool H1Front::kick(const Kick& kick) {
  if (!session_ || !session_->kick(kick)) return false;
  wake();
  return true;
}

Result<bool> H1Front::renew(std::string_view id, const policy::Authenticated& fresh, std::string_view by) {
  if (!session_ || !session_->is(id)) return false;
  TRY_VOID(session_->renew(fresh, by));
  return true;
}

void H1Front::describe(JsonWriter& out, const ConnectionFilter& filter) const {
  if (session_ && session_->phase() == Session::Phase::relay) session_->describe(out, filter);
}

}  // namespace sluice::session
