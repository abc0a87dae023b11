#include "session/h1_front.h"

namespace sluice::session {

namespace {

constexpr int kFillsPerPass = 16;

}  // namespace

H1Front::H1Front(House& house, Admission admission, std::unique_ptr<net::Stream> stream,
                 std::shared_ptr<const Runtime> runtime, std::size_t listener, const net::Address& peer,
                 std::uint16_t local_port, http::TlsFacts tls)
    : StreamOwner(house), admission_(std::move(admission)), stream_(std::move(stream)) {
  admission_.speaks(Protocol::http1);
  const config::ListenerSettings& settings = *runtime->listeners[listener].compiled->settings;
  waiting_.reset(new Waiting{std::move(runtime), listener,
                             http::HeadParser(http::HeadParser::Kind::request, settings.head),
                             std::make_unique<Opening>(), event::Timer(house.loop, [this] { wake(); }),
                             house.loop.now() + settings.head_timeout});
  waiting_->timer.arm_common(settings.head_timeout);
  http::Request& request = waiting_->opening->request;
  request.peer = peer;
  request.listener_port = local_port;
  request.tls = std::move(tls);
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
  if (session_->phase() == Session::Phase::relay) admission_.speaks(Protocol::websocket);
  if (step == Step::wait && session_->spent()) wake_later();
  return step;
}

Step H1Front::read_head() {
  Opening& opening = *waiting_->opening;
  for (int fills = 0;; ++fills) {
    const MutableBytes received = stream_->received();
    if (!received.empty()) {
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
        // Nobody to answer: closed without a word, but counted.
        house_.tally.rejects[static_cast<std::size_t>(Errc::head_timeout)].add();
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
  session_ = std::make_unique<Session>(house_, *this, *stream_, waiting_->runtime, waiting_->listener,
                                       std::move(waiting_->opening));
  // This may run inside the deadline's own call.
  house_.loop.retire(std::move(waiting_));
}

Step H1Front::tick() { return session_ ? session_->tick() : Step::wait; }

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

void H1Front::describe(JsonWriter& out) const {
  if (session_ && session_->phase() == Session::Phase::relay) session_->describe(out);
}

}  // namespace sluice::session
