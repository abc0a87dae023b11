#include "session/leg.h"

#include <algorithm>

#include "http/forwarded.h"

namespace sluice::session {

namespace {

constexpr std::size_t kMostRefusal = 64 * 1024;  // octets of an answer's body that are relayed
constexpr unsigned kMostInterim = 5;             // 1xx answers before the final one

}  // namespace

Leg::Leg(House& house, upstream::ServerUse use, net::Ready& owner)
    : house_(house), use_(std::move(use)), owner_(owner) {}

Leg::Leg(House& house, upstream::ServerUse use, net::Ready& owner, std::unique_ptr<net::Stream> stream)
    : Leg(house, std::move(use), owner) {
  stream_ = std::move(stream);
  stream_->set_ready(&owner_);
  state_ = State::open;
}

Leg::~Leg() { close(); }

std::unique_ptr<net::Stream> Leg::release() {
  state_ = State::closed;
  return std::move(stream_);
}

void Leg::close() {
  if (opening_) opening_->connector.reset();
  if (stream_) stream_->close();
  state_ = State::closed;
  use_.end();
}

void Leg::abort() {
  if (stream_) stream_->abort();
  state_ = State::closed;
  use_.end();
}

bool Leg::tell(Bytes frame) {
  if (!flush_told() || stream_->jammed()) return false;
  std::size_t taken = 0;
  if (stream_->write({&frame, 1}, taken) == Io::error) return true;  // whoever reads next will find it dead
  if (taken == 0) return false;
  if (taken < frame.size()) told_ = std::make_unique<std::string>(as_text(frame.subspan(taken)));
  return true;
}

bool Leg::flush_told() {
  if (!told_ && !stream_->unsent()) return true;
  const Bytes rest = told_ ? as_bytes(*told_) : Bytes{};
  std::size_t taken = 0;
  if (stream_->write({&rest, rest.empty() ? 0u : 1u}, taken) == Io::error) {
    told_.reset();
    return true;
  }
  if (told_ && taken < rest.size()) {
    told_->erase(0, taken);
    return false;
  }
  told_.reset();
  return true;
}

Error Leg::stream_error(Errc code, const char* detail) const { return {code, Side::upstream, false, detail}; }

Duration Leg::wasted() const {
  return reached() || !opening_ ? Duration::zero() : house_.loop.now() - opening_->started;
}

bool Leg::start(const LegPlan& plan, Duration within) {
  opening_ = std::make_unique<Opening>();
  opening_->started = house_.loop.now();
  opening_->addresses = plan.addresses.empty() ? server().addresses() : plan.addresses;
  deadline_ = opening_->started + within;
  return next_address(plan, stream_error(Errc::no_backend, "the server's name has not been resolved")).has_value();
}

// One name may stand for several addresses: they are tried in turn within the one deadline.
Result<void> Leg::next_address(const LegPlan& plan, Error last) {
  Opening& opening = *opening_;
  if (opening.next_address == opening.addresses.size()) {
    state_ = State::closed;
    return fail(last);
  }
  const std::string& name = plan.backend->tls.name_for(plan.name.empty() ? server().settings().host : plan.name);
  const net::TlsClient* const tls = upstream::encrypted(server().settings().scheme) ? plan.tls : nullptr;
  opening.connector =
      house_.dial(opening.addresses[opening.next_address++], {tls, name, plan.backend->socket}, owner_);
  if (!plan.preamble.empty()) opening.connector->send_first(plan.preamble);
  state_ = State::connecting;
  return {};
}

Result<Leg::State> Leg::advance(const LegPlan& plan) {
  switch (state_) {
    case State::connecting: return connect(plan);
    case State::greeting:
      TRY_VOID(greet());
      if (opening_->out.empty()) return on_head(plan);
      return state_;
    case State::refusing: return read_refusal();
    case State::open:
    case State::closed: break;
  }
  return state_;
}

Result<Leg::State> Leg::connect(const LegPlan& plan) {
  while (true) {
    net::Connector& connector = *opening_->connector;
    const Io io = connector.advance();
    if (connector.connected() && opening_->connected == Instant{}) opening_->connected = house_.loop.now();
    if (io == Io::blocked) return state_;
    if (io == Io::ok) {
      stream_ = connector.take();
      opening_->connector.reset();
      return connected(plan);
    }
    TRY_VOID(next_address(plan, connector.error()));
  }
}

Result<Leg::State> Leg::connected(const LegPlan& plan) {
  ServerTally& tally = plan.servers->of(server());
  tally.connected.add();
  tally.connect_seconds.observe(std::chrono::duration<double>(connect_time()).count());
  if (upstream::bridged(server().settings().scheme) || plan.plain) {
    state_ = State::open;
    deadline_ = kNever;
    return state_;
  }
  state_ = State::greeting;
  opening_->key = ws::fresh_key();
  opening_->out = plan.head_before_key + opening_->key + plan.head_after_key;
  deadline_ = house_.loop.now() + plan.backend->handshake_timeout;
  return advance(plan);
}

Result<Leg::State> Leg::greet() {
  std::string& out = opening_->out;
  if (out.empty()) return state_;
  const Bytes part = as_bytes(out);
  std::size_t taken = 0;
  if (stream_->write({&part, 1}, taken) == Io::error) {
    return fail(stream_error(Errc::be_lost, "the upstream closed before the request was sent"));
  }
  out.erase(0, taken);
  return state_;
}

Result<Leg::State> Leg::on_head(const LegPlan& plan) {
  Opening& opening = *opening_;
  while (true) {
    const MutableBytes received = stream_->received();
    if (!received.empty()) {
      const std::size_t size = TRY(opening.parser.parse(received, opening.head));
      if (size > 0 && opening.head.status >= 100 && opening.head.status < 200 && opening.head.status != 101) {
        if (++opening.interim > kMostInterim) return fail(Errc::be_bad_101, Side::upstream, "too many 1xx answers");
        stream_->consume(size);
        opening.parser = http::HeadParser(http::HeadParser::Kind::response);
        continue;
      }
      if (size > 0 && opening.head.status == 101) {
        opening.agreement =
            TRY(ws::check_answer(opening.head, opening.key, plan.subprotocols, plan.extensions));
        for (const http::Field& field : TRY(http::passing_response_fields(opening.head))) {
          opening.refusal.fields.emplace_back(field.name, field.value);
        }
        stream_->consume(size);
        stream_->settle();
        state_ = State::open;
        deadline_ = kNever;
        return state_;
      }
      if (size > 0) {
        opening.body = TRY(http::response_body(opening.head, "GET"));
        opening.refusal.status = opening.head.status;
        for (const http::Field& field : TRY(http::passing_response_fields(opening.head))) {
          opening.refusal.fields.emplace_back(field.name, field.value);
        }
        stream_->consume(size);
        stream_->settle();
        state_ = State::refusing;
        return read_refusal();
      }
    }
    const Io io = stream_->fill();
    stream_->settle();
    if (io == Io::blocked) return state_;
    if (io != Io::ok) {
      return fail(Error{Errc::be_lost, Side::upstream, received.empty(), "the upstream closed before it answered"});
    }
  }
}

// Collects what is left of an answer other than 101, as far as it is worth relaying.
Result<Leg::State> Leg::read_refusal() {
  Opening& opening = *opening_;
  const auto finish = [&] {
    opening.answered = true;
    return state_;
  };
  while (true) {
    if (opening.body.kind == http::BodyLength::Kind::none) return finish();
    if (opening.body.kind == http::BodyLength::Kind::chunked) {
      if (TRY(read_chunks())) return finish();
    } else {
      const MutableBytes received = stream_->received();
      std::size_t want = received.size();
      if (opening.body.kind == http::BodyLength::Kind::length) {
        if (opening.body.length > kMostRefusal) return finish();
        want = std::min<std::size_t>(want, opening.body.length - opening.refusal.body.size());
      }
      want = std::min(want, kMostRefusal - opening.refusal.body.size());
      opening.refusal.body.append(as_text(received.first(want)));
      stream_->consume(received.size());
      if (opening.refusal.body.size() == kMostRefusal ||
          (opening.body.kind == http::BodyLength::Kind::length && opening.refusal.body.size() == opening.body.length)) {
        return finish();
      }
    }
    const Io io = stream_->fill();
    stream_->settle();
    if (io == Io::blocked) return state_;
    if (io == Io::end && opening.body.kind == http::BodyLength::Kind::until_close) return finish();
    if (io != Io::ok) return fail(stream_error(Errc::be_lost, "the upstream closed inside its answer"));
  }
}

// Takes what has come of a chunked body; true when that is all. Of one that is too long only status and fields are relayed.
Result<bool> Leg::read_chunks() {
  Opening& opening = *opening_;
  while (!opening.chunks.done()) {
    const http::ChunkedDecoder::Piece piece = TRY(opening.chunks.next(stream_->received()));
    if (piece.size == 0) return false;
    if (piece.data.size() > kMostRefusal - opening.refusal.body.size()) {
      opening.refusal.body.clear();
      return true;
    }
    opening.refusal.body.append(as_text(piece.data));
    stream_->consume(piece.size);
  }
  return true;
}

Error Leg::timed_out() const {
  Error error = stream_error(Errc::be_timeout, "connect timed out");
  // Once the request is out another backend is not asked the same: it may be at work on it.
  if (state_ == State::greeting || state_ == State::refusing) {
    error = {Errc::be_timeout, Side::upstream, false, "the upstream did not answer the handshake in time"};
  } else {
    error.retry = true;
  }
  return error;
}

void Leg::relay_through(std::unique_ptr<relay::Framer> framer, Session& session) {
  opening_.reset();
  framer_ = std::move(framer);
  lane_.emplace(session, *this);
  relay_.emplace(*stream_, *framer_, *lane_, house_.place.pool);
  if (lane_->guarded()) relay_->inspect_messages();
  last_in = house_.loop.now();
}

}  // namespace sluice::session
