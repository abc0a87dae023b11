#include "http/client.h"

#include <algorithm>

#include "event/loop.h"
#include "http/h1_writer.h"

namespace sluice::http {

namespace {

constexpr unsigned kMostInterim = 5;  // 1xx answers before the final one

Error fault(Errc code, const char* detail) { return {code, Side::upstream, false, detail}; }

std::string octets_of(const ClientRequest& request) {
  HeadWriter head;
  head.request(request.method, request.target);
  for (const auto& [name, value] : request.fields) head.field(name, value);
  if (!request.body.empty()) head.field("Content-Length", std::uint64_t{request.body.size()});
  auto text = head.finish();
  check(text.has_value(), "a request of our own has a head that no request may have");
  return *text + request.body;
}

}  // namespace

Client::Client(const net::Place& place, ClientRequest request, Done done, Dial dial)
    : place_(place),
      request_(std::move(request)),
      done_(std::move(done)),
      dial_(std::move(dial)),
      out_(octets_of(request_)),
      error_(fault(Errc::no_backend, "no address")),
      deadline_(place.loop, [this] { finish(); }),
      begin_(place.loop, [this] { advance(); }) {
  if (!dial_) {
    dial_ = [this](const net::Address& address, net::Ready& ready) {
      return net::connect_socket(place_, address, {request_.tls, request_.name, {}}, ready);
    };
  }
  if (!dial_next()) {
    deadline_.arm(Duration::zero());
    return;
  }
  error_ = fault(Errc::be_timeout, "timeout");
  deadline_.arm(request_.timeout);
  begin_.arm(Duration::zero());
}

Client::~Client() {
  connector_.reset();
  if (stream_) stream_->close();
}

bool Client::dial_next() {
  connector_.reset();
  if (next_address_ == request_.addresses.size()) return false;
  connector_ = dial_(request_.addresses[next_address_++], *this);
  if (!request_.preamble.empty()) connector_->send_first(request_.preamble);
  return true;
}

std::unique_ptr<net::Stream> Client::take_stream() {
  stream_->set_ready(nullptr);
  return std::move(stream_);
}

void Client::advance() {
  if (phase_ == Phase::done) return;
  Step last = Step::next;
  while (last == Step::next) last = step();
  if (stream_) stream_->settle();
  if (last == Step::done) finish();
}

Step Client::step() {
  switch (phase_) {
    case Phase::connect: return connect();
    case Phase::send: return send();
    case Phase::head: return read_head();
    case Phase::body: return read_body();
    case Phase::done: break;
  }
  return Step::done;
}

Step Client::connect() {
  const Io io = connector_->advance();
  if (io == Io::blocked) return Step::wait;
  if (io == Io::ok) {
    stream_ = connector_->take();
    connector_.reset();
    phase_ = Phase::send;
    return Step::next;
  }
  const Error error = connector_->error();
  return dial_next() ? Step::next : fail_with(error);
}

Step Client::send() {
  const Bytes part = as_bytes(out_);
  std::size_t taken = 0;
  const Io io = stream_->write({&part, 1}, taken);
  if (io == Io::error) return fail_with(fault(Errc::be_lost, "closed before the request was sent"));
  out_.erase(0, taken);
  if (!out_.empty()) return Step::wait;
  phase_ = Phase::head;
  return Step::next;
}

// One receive; an error or end is the answer's.
Step Client::fill() {
  switch (stream_->fill()) {
    case Io::ok: return Step::next;
    case Io::blocked: return Step::wait;
    default: return fail_with(fault(Errc::be_lost, "closed inside its answer"));
  }
}

Step Client::read_head() {
  const Bytes received = stream_->received();
  Head head;
  const auto size = received.empty() ? Result<std::size_t>(std::size_t{0}) : parser_.parse(received, head);
  if (!size) return fail_with(size.error());
  if (*size == 0) return fill();
  const bool switched = head.status == 101 && request_.upgrade;
  if (head.status < 200 && !switched) {
    if (head.status == 101) return fail_with(fault(Errc::be_bad_head, "101 that was not asked for"));
    if (++interim_ > kMostInterim) return fail_with(fault(Errc::be_bad_head, "too many 1xx answers"));
    stream_->consume(*size);
    parser_ = HeadParser(HeadParser::Kind::response);
    return Step::next;
  }
  // Once more over octets that stay, so that the views do.
  answer_.octets = std::make_shared<const std::string>(as_text(received.first(*size)));
  HeadParser again(HeadParser::Kind::response);
  const auto same = again.parse(as_bytes(*answer_.octets), answer_.head);
  check(same.has_value() && *same == *size, "a head that was good is bad");
  stream_->consume(*size);
  if (switched) return succeed();
  const auto length = response_body(answer_.head, request_.method);
  if (!length) return fail_with(length.error());
  length_ = *length;
  if (request_.head_only) return succeed();
  if (length_.kind == BodyLength::Kind::length && length_.length > request_.max_body) {
    return fail_with(fault(Errc::too_big, "the body of the answer is too large"));
  }
  phase_ = Phase::body;
  return Step::next;
}

Step Client::read_body() {
  const auto whole = take_body();
  if (!whole) return fail_with(whole.error());
  if (*whole) return succeed();
  const Io io = stream_->fill();
  if (io == Io::blocked) return Step::wait;
  if (io == Io::end && length_.kind == BodyLength::Kind::until_close) return succeed();
  if (io != Io::ok) return fail_with(fault(Errc::be_lost, "closed inside its answer"));
  return Step::next;
}

// Takes what is there; true when that is all of the body.
Result<bool> Client::take_body() {
  std::string& body = answer_.body;
  const auto take = [&](Bytes part) {
    if (part.size() > request_.max_body - body.size()) return false;
    body += as_text(part);
    return true;
  };
  constexpr const char* kTooLarge = "the body of the answer is too large";
  switch (length_.kind) {
    case BodyLength::Kind::none: return true;
    case BodyLength::Kind::length: {
      const MutableBytes received = stream_->received();
      const Bytes part = received.first(std::min<std::uint64_t>(received.size(), length_.length - body.size()));
      body += as_text(part);
      stream_->consume(part.size());
      return body.size() == length_.length;
    }
    case BodyLength::Kind::until_close: {
      const MutableBytes received = stream_->received();
      if (!take(received)) return fail(Errc::too_big, Side::upstream, kTooLarge);
      stream_->consume(received.size());
      return false;
    }
    case BodyLength::Kind::chunked: break;
  }
  while (!chunks_.done()) {
    const ChunkedDecoder::Piece piece = TRY(chunks_.next(stream_->received()));
    if (piece.size == 0) return false;
    if (!take(piece.data)) return fail(Errc::too_big, Side::upstream, kTooLarge);
    stream_->consume(piece.size);
  }
  return true;
}

Step Client::fail_with(Error error) {
  error_ = error;
  return Step::done;
}

Step Client::succeed() {
  error_ = {};
  return Step::done;
}

// The deadline's end, or the request's. Nothing of this object is touched behind the call.
void Client::finish() {
  if (phase_ == Phase::done) return;
  phase_ = Phase::done;
  deadline_.cancel();
  connector_.reset();
  const bool good = error_.code == Errc::none;
  if (stream_ && !(good && request_.upgrade)) stream_->close();
  auto done = std::move(done_);
  if (good) {
    done(std::move(answer_));
  } else {
    done(std::unexpected(error_));
  }
}

}  // namespace sluice::http
