// Two streams of the house joined by a socket pair or a loopback connection, on one real loop: for tests of streams.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "net/tcp_stream.h"
#include "support/run_until.h"

namespace sluice::test {

// What a worker has: a loop, a turn, a pool.
struct Bench {
  event::Loop loop;
  Turn turn;
  BufferPool pool;
  net::Place place{loop, turn, pool};

  bool until(const std::function<bool()>& so) { return run_until(loop, so); }
};

inline std::pair<net::Fd, net::Fd> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) throw std::runtime_error("socketpair");
  return {net::Fd(fds[0]), net::Fd(fds[1])};
}

// Two ends of one TCP connection over 127.0.0.1.
inline std::pair<net::Fd, net::Fd> loopback_pair() {
  int error = 0;
  const net::Fd listener = net::listen_on(*net::Address::parse("127.0.0.1", 0), error);
  if (!listener) throw std::runtime_error("listen");
  net::Fd client = net::connect_to(net::local_address(listener.get()), {}, error);
  if (!client) throw std::runtime_error("connect");
  while (true) {
    net::Address peer;
    net::Fd server = net::accept_from(listener.get(), peer, error);
    if (server) return {std::move(client), std::move(server)};
    if (error != EAGAIN) throw std::runtime_error("accept");
  }
}

// Whoever holds one stream in a test: reads all that comes, sends all that it is given.
class Holder final : public net::Ready {
 public:
  explicit Holder(std::unique_ptr<net::Stream> held) : stream(std::move(held)) { stream->set_ready(this); }

  void on_ready() override {
    ++edges;
    work();
  }
  void say(std::string_view octets) {
    out.append(octets);
    work();
  }
  void work() {
    push();
    if (reads) pull();
    if (!out.empty()) push();  // what was read may have finished a handshake
  }

  std::unique_ptr<net::Stream> stream;
  std::string in;
  std::string out;  // empty when all of it was taken
  bool reads = true;
  bool finishes = false;  // once `out` has left
  bool ended = false;
  bool failed = false;
  std::size_t edges = 0;

 private:
  void push() {
    while (!failed) {
      const Bytes part = as_bytes(std::string_view(out).substr(gone_, 100'000));
      std::size_t taken = 0;
      const Io io = stream->write({&part, part.empty() ? 0u : 1u}, taken);
      gone_ += taken;
      if (io == Io::error) failed = true;
      if (io != Io::ok || gone_ == out.size()) break;
    }
    // Dropping what each write took from the front of megabytes would move them all every time.
    if (gone_ >= out.size() / 2) out.erase(0, std::exchange(gone_, 0));
    if (finishes && out.empty()) {
      stream->finish();
      finishes = false;
    }
  }
  void pull() {
    while (!ended && !failed) {
      const Io io = stream->fill();
      in.append(as_text(stream->received()));
      stream->consume(stream->received().size());
      stream->settle();
      if (io == Io::end) ended = true;
      if (io == Io::error) failed = true;
      if (io != Io::ok) break;
    }
  }

  std::size_t gone_ = 0;  // octets at the front of `out` that were taken
};

}  // namespace sluice::test
