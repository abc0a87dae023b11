// Client: one request of the gateway's own, from connect to the end of its answer. Bounded in every direction: one deadline
// over all of it, one answer by the strict parser, a body of at most `max_body` octets. It never follows redirects, never
// tries again, never blocks. Owned by who asks, on that one's loop (health checks; later keys and external authentication).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/timer.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "net/connector.h"

namespace sluice::http {

struct ClientRequest {
  std::vector<net::Address> addresses;    // tried in turn until one can be connected to
  const net::TlsClient* tls = nullptr;    // null: plain. Outlives the request
  std::string name;                       // what the certificate must be for
  std::string preamble;                   // goes ahead of everything, TLS included
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> fields;  // all of them, Host among them
  std::string body;                       // its Content-Length is added
  Duration timeout = std::chrono::seconds(5);
  std::size_t max_body = 64 * 1024;
  bool head_only = false;                 // the body of the answer does not matter and is not waited for
  bool upgrade = false;                   // 101 is a final answer, and the stream goes on: take_stream()
};

struct ClientAnswer {
  std::shared_ptr<const std::string> octets;  // what `head` views
  Head head;
  std::string body;
};

class Client final : private net::Ready {
 public:
  using Done = std::move_only_function<void(Result<ClientAnswer>)>;
  using Dial = std::function<std::unique_ptr<net::Connector>(const net::Address&, net::Ready&)>;

  // `done` is called once, never from inside the constructor; it may retire the Client (Loop::retire), which is what is
  // calling. `place` outlives it and the stream that it may hand on. Destroying it earlier gives the request up without a call. `dial` replaces sockets: for simulations.
  Client(const net::Place& place, ClientRequest request, Done done, Dial dial = nullptr);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // After an answer of 101 to an upgrade: the stream, with what came behind the head in received(). Nobody is told of its
  // edges any more.
  std::unique_ptr<net::Stream> take_stream();

 private:
  enum class Phase : std::uint8_t { connect, send, head, body, done };

  void on_ready() override { advance(); }
  void advance();
  Step step();
  Step connect();
  Step send();
  Step read_head();
  Step read_body();
  Result<bool> take_body();
  Step fill();
  bool dial_next();
  Step fail_with(Error error);
  Step succeed();
  void finish();

  const net::Place& place_;  // outlives the stream that it makes
  ClientRequest request_;
  Done done_;
  Dial dial_;
  Phase phase_ = Phase::connect;
  std::size_t next_address_ = 0;
  std::unique_ptr<net::Connector> connector_;
  std::unique_ptr<net::Stream> stream_;
  std::string out_;
  HeadParser parser_{HeadParser::Kind::response};
  unsigned interim_ = 0;
  BodyLength length_;
  ChunkedDecoder chunks_{Side::upstream};
  ClientAnswer answer_;
  Error error_{};
  event::Timer deadline_;
  event::Timer begin_;  // a connect that fails at once has no edge to tell it
};

}  // namespace sluice::http
