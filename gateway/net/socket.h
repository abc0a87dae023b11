// Fd: an owned descriptor. Socket calls of the house: listen, accept, connect and the options that we set.
#pragma once

#include <cstdint>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "net/address.h"

namespace sluice::net {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// Bounds of the kernel's memory for one socket (docs/explanation/performance.md): 0 leaves the kernel's own.
struct SocketBounds {
  std::uint32_t notsent_lowat = 0;  // TCP_NOTSENT_LOWAT
  std::uint32_t send_buffer = 0;    // SO_SNDBUF
  std::uint32_t receive_buffer = 0; // SO_RCVBUF; before connect, so that the window scale fits
};

// What is set on the socket of an upstream connection, beside its bounds. Zero durations leave that mechanism off.
struct SocketOptions {
  bool nodelay = true;                                       // TCP_NODELAY
  Duration keepalive_idle = std::chrono::seconds(30);        // SO_KEEPALIVE, TCP_KEEPIDLE
  Duration keepalive_interval = std::chrono::seconds(10);    // TCP_KEEPINTVL
  std::uint32_t keepalive_count = 2;                         // TCP_KEEPCNT
  Duration user_timeout = std::chrono::seconds(25);          // TCP_USER_TIMEOUT: octets that nobody acknowledges
};

// A bound and listening socket, non-blocking, SO_REUSEADDR and SO_REUSEPORT (TCP), or a fresh unix socket. -1 errno in
// `error` on failure.
Fd listen_on(const Address& address, int& error);
// One accepted connection, non-blocking, with TCP_NODELAY; empty with errno in `error` (EAGAIN: none waits).
Fd accept_from(int listener, Address& peer, int& error);
// A connect under way (or done), non-blocking, with TCP_NODELAY; empty with errno in `error` when it failed at once.
Fd connect_to(const Address& address, const SocketBounds& bounds, int& error);

void set_bounds(int fd, const SocketBounds& bounds);
// Of a TCP socket, connected or about to be.
void set_options(int fd, const SocketOptions& options);
// What became of a connect: 0 or an errno.
int socket_error(int fd);
Address local_address(int fd);
// Whether the address is one of this machine's, whatever its port.
bool is_local(const Address& address);
// The next close() answers with RST instead of FIN and drops what was not sent.
void set_abort_on_close(int fd);

}  // namespace sluice::net
