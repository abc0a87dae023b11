#include "upstream/health_check.h"

#include <algorithm>
#include <array>

#include "base/random.h"
#include "event/loop.h"
#include "event/timer.h"
#include "http/client.h"
#include "net/connect_check.h"
#include "ws/control.h"
#include "ws/handshake.h"
#include "ws/ws_framer.h"

namespace sluice::upstream {

namespace {

constexpr std::size_t kMostOctets = 64 * 1024;            // of frames before the Pong
constexpr auto kCloseWait = std::chrono::seconds(1);      // for the answer to our Close

std::string status_text(int status) { return "status " + std::to_string(status); }

http::ClientRequest request_for(const HealthTarget& target) {
  http::ClientRequest request;
  request.addresses = target.addresses;
  request.tls = target.tls;
  request.name = target.name;
  request.preamble = target.preamble;
  request.target = target.settings.path;
  request.timeout = target.settings.timeout;
  request.head_only = true;
  request.fields = {{"Host", target.settings.host.empty() ? target.authority : target.settings.host}};
  request.fields.insert(request.fields.end(), target.settings.headers.begin(), target.settings.headers.end());
  return request;
}

// ---- TCP ----------------------------------------------------------------------------------------------------------------

class TcpCheck final : public HealthCheck {
 public:
  TcpCheck(const net::Place& place, HealthTarget target, Done done)
      : loop_(place.loop), target_(std::move(target)), done_(std::move(done)) {
    attempt();
  }

 private:
  void attempt() {
    check_ = std::make_unique<net::ConnectCheck>(loop_, [this](const char* failure) { on_outcome(failure); });
    check_->start(target_.addresses[next_++], target_.settings.timeout, target_.preamble);
  }
  void on_outcome(const char* failure) {
    loop_.retire(std::move(check_));  // it is what is calling
    if (failure && next_ < target_.addresses.size()) return attempt();
    done_(failure ? failure : "");
  }

  event::Loop& loop_;
  HealthTarget target_;
  Done done_;
  std::size_t next_ = 0;
  std::unique_ptr<net::ConnectCheck> check_;
};

// ---- HTTP ---------------------------------------------------------------------------------------------------------------

class HttpCheck final : public HealthCheck {
 public:
  HttpCheck(const net::Place& place, const HealthTarget& target, Done done) : done_(std::move(done)) {
    http::ClientRequest request = request_for(target);
    request.fields.emplace_back("Connection", "close");
    client_ = std::make_unique<http::Client>(
        place, std::move(request), [this, expected = target.settings.status](Result<http::ClientAnswer> answer) {
          if (!answer) return done_(answer.error().detail);
          const int status = answer->head.status;
          const bool good = std::ranges::any_of(
              expected, [&](const StatusRange& range) { return range.from <= status && status <= range.to; });
          done_(good ? "" : status_text(status));
        });
  }

 private:
  Done done_;
  std::unique_ptr<http::Client> client_;
};

// ---- WebSocket ------------------------------------------------------------------------------------------------------------

// handshake (http::Client) → ping → closing (our Close is out) → done
class WebSocketCheck final : public HealthCheck, private net::Ready {
 public:
  WebSocketCheck(const net::Place& place, const HealthTarget& target, Done done)
      : loop_(place.loop),
        done_(std::move(done)),
        until_(place.loop.now() + target.settings.timeout),
        deadline_(place.loop, [this] { finish(passed_ ? "" : "no pong in time"); }) {
    http::ClientRequest request = request_for(target);
    request.upgrade = true;
    request.fields.emplace_back("Connection", "Upgrade");
    request.fields.emplace_back("Upgrade", "websocket");
    request.fields.emplace_back("Sec-WebSocket-Version", "13");
    request.fields.emplace_back("Sec-WebSocket-Key", key_);
    client_ = std::make_unique<http::Client>(
        place, std::move(request), [this](Result<http::ClientAnswer> answer) { on_answer(std::move(answer)); });
  }
  ~WebSocketCheck() override {
    if (stream_) stream_->close();
  }

 private:
  void on_answer(Result<http::ClientAnswer> answer) {
    std::unique_ptr<http::Client> client = std::move(client_);
    std::string failure;
    if (!answer) {
      failure = answer.error().detail;
    } else if (answer->head.status != 101) {
      failure = status_text(answer->head.status);
    } else if (const auto agreed = ws::check_answer(answer->head, key_, {}, {}); !agreed) {
      failure = agreed.error().detail;
    } else {
      stream_ = client->take_stream();
    }
    loop_.retire(std::move(client));  // it is what is calling
    if (!stream_) return finish(std::move(failure));
    stream_->set_ready(this);
    store_be(mark_.data(), random_u64());
    out_ = as_text(ws::ControlFrame::make(ws::kPing, mark_, true).bytes());
    deadline_.arm(std::max<Duration>(until_ - loop_.now(), Duration::zero()));
    on_ready();
  }

  void on_ready() override {
    Step last = Step::next;
    while (last == Step::next) last = step();
    if (stream_) stream_->settle();
    if (last == Step::done) finish(std::move(failure_));
  }

  Step step() {
    if (!out_.empty()) {
      const Bytes part = as_bytes(out_);
      std::size_t taken = 0;
      if (stream_->write({&part, 1}, taken) == Io::error) return ended("closed before its pong");
      out_.erase(0, taken);
    }
    const MutableBytes received = stream_->received();
    if (!received.empty()) {
      const auto run = framer_.next(received);
      if (!run) return ended(row(run.error().code).name.data());
      if (run->size > 0) {
        const Step step = on_run(*run);
        stream_->consume(run->size);
        return step;
      }
    }
    const std::size_t before = received.size();
    const Io io = stream_->fill();
    if (io == Io::blocked) return Step::wait;
    if (io != Io::ok) return ended("closed before its pong");
    octets_ += stream_->received().size() - before;
    return octets_ > kMostOctets ? ended("no pong among too many octets") : Step::next;
  }

  Step on_run(const relay::Run& run) {
    if (!run.control) return Step::next;  // a server may speak first
    if (run.opcode == ws::kClose) return ended("closed before its pong");
    if (run.opcode == ws::kPong && !passed_ && std::ranges::equal(run.content, mark_)) {
      passed_ = true;
      out_ += as_text(ws::ControlFrame::close(1000, "", true).bytes());
      deadline_.arm(std::min<Duration>(kCloseWait, std::max<Duration>(until_ - loop_.now(), Duration::zero())));
    }
    return Step::next;
  }

  // After the Pong every end is a good one.
  Step ended(const char* why) {
    failure_ = passed_ ? "" : why;
    return Step::done;
  }

  // Nothing of this object is touched behind the call.
  void finish(std::string failure) {
    deadline_.cancel();
    if (stream_) stream_->close();
    auto done = std::move(done_);
    if (done) done(std::move(failure));
  }

  event::Loop& loop_;
  Done done_;
  Instant until_;
  std::string key_ = ws::fresh_key();
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<net::Stream> stream_;
  ws::WsFramer framer_{{.side = Side::upstream, .max_message = kMostOctets}};
  std::array<std::uint8_t, 8> mark_{};
  std::string out_;
  std::string failure_;
  std::size_t octets_ = 0;
  bool passed_ = false;
  event::Timer deadline_;
};

}  // namespace

std::unique_ptr<HealthCheck> HealthCheck::start(const net::Place& place, HealthTarget target, Done done) {
  switch (target.settings.type) {
    case HealthSettings::Type::tcp: return std::make_unique<TcpCheck>(place, std::move(target), std::move(done));
    case HealthSettings::Type::http: return std::make_unique<HttpCheck>(place, target, std::move(done));
    case HealthSettings::Type::websocket: return std::make_unique<WebSocketCheck>(place, target, std::move(done));
  }
  check_failed("an unknown health check");
}

}  // namespace sluice::upstream
