// Wire: the far end of a simulated connection of the gateway, held by the test: feeds octets, ends, resets, limits what is
// taken, counts operations. Faults: which operation of all wires is to fail, and how.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket.h"
#include "support/far_end.h"

namespace sluice::test {

struct Faults {
  enum class Kind { none, error, end, block };
  Kind kind = Kind::none;
  std::size_t at = 0;     // which operation, from 1
  std::size_t count = 0;  // operations so far
  bool fired = false;

  Kind strike() {
    if (++count != at || kind == Kind::none) return Kind::none;
    fired = true;
    return kind;
  }
};

// The gateway's stream, as its wire sees it.
class WireEnd {
 public:
  virtual void edge(bool readable, bool writable) = 0;

 protected:
  ~WireEnd() = default;
};

class Wire;

// The far end's half of a connection through the kernel. Moves octets between the wire's `in` and `out` and the socket.
class FarSocket {
 public:
  explicit FarSocket(net::Fd fd) : fd_(std::move(fd)) {}
  // True when something moved.
  bool move(Wire& wire);
  // The gateway's direction has come to its end, in order or not.
  bool ended() const { return ended_; }

 private:
  net::Fd fd_;
  bool finished_ = false;
  bool ended_ = false;
};

class Wire final : public FarEnd {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  explicit Wire(Faults& its_faults) : faults(its_faults) {}

  // ---- the far end ----
  void send(std::string_view octets) override {
    in.append(octets);
    readable = true;
  }
  std::string take() override { return out.substr(std::exchange(taken_, out.size())); }
  bool ended() const override { return (socket ? socket->ended() : finished || closed) && taken_ == out.size(); }
  bool cut() const override { return aborted; }
  void finish() override {
    in_end = true;
    readable = true;
  }
  void reset() override {
    dead = true;
    readable = writable = true;
  }
  // Takes `octets` more from now on; from kUnlimited it goes to exactly `octets`.
  void open_window(std::size_t octets) {
    window = window == kUnlimited || octets == kUnlimited ? octets : window + octets;
    writable = true;
  }

  // What the far end has sent and the gateway has not received.
  std::size_t unread() const { return in.size() + in_flight; }

  // Hands the edges that are due to the stream; true when there were any.
  bool deliver();

  Faults& faults;
  std::string in;         // sent by the far end and not on its way yet
  std::size_t in_flight = 0;  // on its way through the kernel
  std::string out;        // everything that the gateway wrote
  std::size_t window = kUnlimited;  // octets that it takes before it jams
  std::size_t read_size = kUnlimited;  // most octets of one receive
  bool takes_all = false;  // like TLS: write takes everything and keeps what the window does not let out
  bool in_end = false;
  bool dead = false;       // reset
  bool readable = false;   // edges that are due
  bool writable = false;
  bool finished = false;   // the gateway said the end
  bool closed = false;
  bool aborted = false;
  std::vector<std::size_t> writes;  // sizes of the writes that moved something
  std::size_t fills = 0;            // receives that moved something
  std::size_t unacknowledged = 0;   // what undelivered() says
  WireEnd* stream = nullptr;        // while it lives
  std::unique_ptr<FarSocket> socket;  // where the octets go through the kernel (sim_sockets), else none

 private:
  std::size_t taken_ = 0;
};

inline bool FarSocket::move(Wire& wire) {
  if (!fd_) return false;
  if (wire.dead) {
    net::set_abort_on_close(fd_.get());
    fd_.reset();
    return ended_ = true;
  }
  bool moved = false;
  if (!wire.in.empty()) {
    const std::size_t size = std::min(wire.in.size(), wire.read_size);
    if (const ssize_t n = ::send(fd_.get(), wire.in.data(), size, MSG_NOSIGNAL); n > 0) {
      wire.in.erase(0, static_cast<std::size_t>(n));
      wire.in_flight += static_cast<std::size_t>(n);
      moved = true;
    }
  }
  if (wire.in.empty() && wire.in_end && !finished_) {
    ::shutdown(fd_.get(), SHUT_WR);
    finished_ = moved = true;
  }
  std::array<char, 65536> octets;
  while (!ended_) {
    const ssize_t n = ::recv(fd_.get(), octets.data(), octets.size(), 0);
    if (n < 0 && errno == EAGAIN) break;
    moved = true;
    if (n > 0) {
      wire.out.append(octets.data(), static_cast<std::size_t>(n));
    } else {
      ended_ = true;
    }
  }
  return moved;
}

inline bool Wire::deliver() {
  const bool in_edge = std::exchange(readable, false);
  const bool out_edge = std::exchange(writable, false);
  const bool moved = socket && socket->move(*this);
  if (!stream || !(in_edge || out_edge)) return moved;
  stream->edge(in_edge, out_edge);
  return true;
}

}  // namespace sluice::test
