#include "server/demo_backend.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "http/path.h"
#include "net/tcp_stream.h"
#include "ws/control.h"
#include "ws/handshake.h"
#include "ws/ws_framer.h"

namespace sluice::server {

namespace {

constexpr std::size_t kMostText = 64 * 1024;  // of one message that is quoted back in JSON
constexpr std::size_t kMostLine = 64 * 1024;

}  // namespace

// One connection: reads, answers into out_, never reads while an answer waits to leave.
class DemoBackend::Connection : public net::Ready {
 public:
  Connection(DemoBackend& backend, std::unique_ptr<net::TcpStream> stream)
      : backend_(backend), stream_(std::move(stream)), out_(backend.pool_) {
    stream_->set_ready(this);
  }
  virtual ~Connection() = default;

  void on_ready() final {
    while (true) {
      if (!out_.empty()) {
        const Bytes part = out_.bytes();
        std::size_t taken = 0;
        if (stream_->write({&part, 1}, taken) == Io::error) return over();
        out_.consume(taken);
        if (!out_.empty()) return;
      }
      if (ended_) return over();
      const bool good = answer();
      stream_->settle();
      if (!good) ended_ = true;
      if (!out_.empty() || ended_) continue;
      const Io io = stream_->fill();
      if (io == Io::blocked) {
        stream_->settle();
        return;
      }
      if (io != Io::ok) return over();
    }
  }

 protected:
  // Deals with what has been received, as far as it can; false ends the connection once out_ has left.
  virtual bool answer() = 0;
  void say(Bytes bytes) { out_.append(bytes); }
  void say(std::string_view text) { out_.append(as_bytes(text)); }
  std::size_t waiting() const { return out_.size(); }
  net::Stream& stream() { return *stream_; }

 private:
  void over() {
    stream_->close();
    backend_.drop(*this);
  }
  DemoBackend& backend_;
  std::unique_ptr<net::TcpStream> stream_;
  Buffer out_;
  bool ended_ = false;
};

namespace {

// Echoes each message of /echo octet for octet; answers those of other paths with JSON {backend, n, text}.
class EchoConnection final : public DemoBackend::Connection {
 public:
  EchoConnection(DemoBackend& backend, std::unique_ptr<net::TcpStream> stream, std::string name)
      : Connection(backend, std::move(stream)), name_(std::move(name)) {}

 private:
  bool answer() override { return framer_ ? frames() : head(); }

  bool head() {
    http::Head head;
    const auto size = parser_.parse(stream().received(), head);
    if (!size) return false;
    if (*size == 0) return true;
    const auto offer = ws::read_offer(head);
    const auto target = http::canonical_target(head.target);
    http::HeadWriter writer;
    if (!ws::wants_websocket(head) || !offer || !target) {
      say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return false;
    }
    json_ = target->path != "/echo";
    writer.response(101);
    writer.field("Upgrade", "websocket");
    writer.field("Connection", "Upgrade");
    writer.field("Sec-WebSocket-Accept", ws::accept_value(offer->key));
    if (!offer->subprotocols.empty()) writer.field("Sec-WebSocket-Protocol", offer->subprotocols.front());
    const auto text = writer.finish();
    if (!text) return false;
    say(*text);
    stream().consume(*size);
    framer_ = std::make_unique<ws::WsFramer>(ws::FramingRules{.side = Side::client, .validate_utf8 = true});
    return true;
  }

  bool frames() {
    // Half a turn at most waits to leave, so that a message of any size passes through bounded memory.
    while (waiting() < kChunk / 2) {
      const MutableBytes received = stream().received();
      if (received.empty()) return true;
      const auto run = framer_->next_unmasked(received);
      if (!run) {
        say(ws::ControlFrame::close(row(run.error().code).close_code, "", false).bytes());
        return false;
      }
      if (run->size == 0) return true;
      const Bytes payload = received.subspan(run->skip, run->size - run->skip);
      const bool go_on = run->control ? control(*run) : json_ ? quote(*run, payload) : echo(*run, payload);
      stream().consume(run->size);
      if (!go_on) return false;
    }
    return true;
  }

  bool control(const relay::Run& run) {
    if (run.opcode == ws::kPing) say(ws::ControlFrame::make(ws::kPong, run.content, false).bytes());
    if (run.opcode != ws::kClose) return true;
    const auto close = ws::parse_close(run.content, Side::client);
    say(close ? ws::ControlFrame::make(ws::kClose, run.content, false).bytes()
              : ws::ControlFrame::close(row(close.error().code).close_code, "", false).bytes());
    return false;
  }

  bool echo(const relay::Run& run, Bytes payload) {
    frame(run.ends, run.begins ? run.opcode : std::uint8_t{ws::kContinuation}, payload);
    return true;
  }

  bool quote(const relay::Run& run, Bytes payload) {
    if (run.begins) text_.clear();
    if (text_.size() + payload.size() > kMostText) {
      say(ws::ControlFrame::close(1009, "", false).bytes());
      return false;
    }
    text_ += as_text(payload);
    if (!run.ends) return true;
    JsonWriter json;
    json.begin_object().field("backend", name_).field("n", ++count_).field("text", text_).end_object();
    frame(true, ws::kText, as_bytes(json.text()));
    return true;
  }

  void frame(bool fin, std::uint8_t opcode, Bytes payload) {
    std::array<std::uint8_t, 14> header;
    ws::FrameHeader out;
    out.fin = fin;
    out.opcode = opcode;
    out.length = payload.size();
    say(Bytes(header).first(out.encode(header.data())));
    say(payload);
  }

  std::string name_;
  http::HeadParser parser_{http::HeadParser::Kind::request};
  std::unique_ptr<ws::WsFramer> framer_;
  std::string text_;
  std::uint64_t count_ = 0;
  bool json_ = false;
};

// Answers every line with its number and its text in capitals.
class LineConnection final : public DemoBackend::Connection {
 public:
  using Connection::Connection;

 private:
  bool answer() override {
    while (true) {
      const std::string_view received = as_text(stream().received());
      const std::size_t end = received.find('\n');
      if (end == std::string_view::npos) return received.size() < kMostLine;
      std::string line(received.substr(0, end));
      std::ranges::transform(line, line.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
      say(std::to_string(++count_) + ": " + line + "\n");
      stream().consume(end + 1);
    }
  }
  std::uint64_t count_ = 0;
};

}  // namespace

DemoBackend::DemoBackend() : place_{loop_, turn_, pool_}, mailbox_(loop_) {}

DemoBackend::~DemoBackend() {
  if (!thread_.joinable()) return;
  mailbox_.post([this] { loop_.stop(); });
  thread_.join();
}

net::Address DemoBackend::serve(Kind kind, const std::string& name) {
  int error = 0;
  net::Fd fd = net::listen_on(*net::Address::parse("127.0.0.1", 0), error);
  check(static_cast<bool>(fd), "no free port on loopback");
  const net::Address address = net::local_address(fd.get());
  listeners_.push_back(std::make_unique<net::Listener>(
      loop_, std::move(fd),
      [this, kind, name](net::Fd accepted, const net::Address&) {
        auto stream = std::make_unique<net::TcpStream>(place_, std::move(accepted), false);
        if (kind == Kind::websocket) {
          connections_.push_back(std::make_unique<EchoConnection>(*this, std::move(stream), name));
        } else {
          connections_.push_back(std::make_unique<LineConnection>(*this, std::move(stream)));
        }
      },
      [](int) {}));
  return address;
}

void DemoBackend::start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { loop_.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void DemoBackend::drop(Connection& connection) {
  const auto found = std::ranges::find(connections_, &connection, &std::unique_ptr<Connection>::get);
  if (found == connections_.end()) return;
  loop_.retire(std::move(*found));
  connections_.erase(found);
}

}  // namespace sluice::server
