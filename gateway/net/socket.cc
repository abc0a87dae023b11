#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::net {

namespace {

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

bool is_tcp(const Address& address) { return !address.is_unix(); }

}  // namespace

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Fd listen_on(const Address& address, int& error) {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  error = errno;
  if (!fd) return fd;
  if (is_tcp(address)) {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  } else {
    const auto* un = reinterpret_cast<const sockaddr_un*>(address.raw());
    struct stat found {};
    if (::stat(un->sun_path, &found) == 0 && S_ISSOCK(found.st_mode)) ::unlink(un->sun_path);
  }
  if (::bind(fd.get(), address.raw(), address.raw_size()) != 0 || ::listen(fd.get(), 4096) != 0) {
    error = errno;
    return Fd();
  }
  error = 0;
  return fd;
}

Fd accept_from(int listener, Address& peer, int& error) {
  sockaddr_storage raw;
  socklen_t size = sizeof raw;
  Fd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&raw), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    error = errno;
    return fd;
  }
  error = 0;
  peer = Address::from(reinterpret_cast<const sockaddr*>(&raw), size);
  if (is_tcp(peer)) set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

Fd connect_to(const Address& address, const SocketBounds& bounds, int& error) {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  error = errno;
  if (!fd) return fd;
  if (is_tcp(address)) {
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_bounds(fd.get(), bounds);
  }
  if (::connect(fd.get(), address.raw(), address.raw_size()) != 0 && errno != EINPROGRESS) {
    error = errno;
    return Fd();
  }
  error = 0;
  return fd;
}

void set_bounds(int fd, const SocketBounds& bounds) {
  if (bounds.notsent_lowat) set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bounds.notsent_lowat));
  if (bounds.send_buffer) set_option(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(bounds.send_buffer));
  if (bounds.receive_buffer) set_option(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(bounds.receive_buffer));
}

void set_options(int fd, const SocketOptions& options) {
  const auto whole = [](auto duration) { return static_cast<int>(duration.count()); };
  if (!options.nodelay) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 0);
  if (options.keepalive_idle > Duration::zero()) {
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, whole(std::chrono::ceil<std::chrono::seconds>(options.keepalive_idle)));
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, whole(std::chrono::ceil<std::chrono::seconds>(options.keepalive_interval)));
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(options.keepalive_count));
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  }
  if (options.user_timeout > Duration::zero()) {
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, whole(std::chrono::ceil<std::chrono::milliseconds>(options.user_timeout)));
  }
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Address local_address(int fd) {
  sockaddr_storage raw;
  socklen_t size = sizeof raw;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0) return {};
  return Address::from(reinterpret_cast<const sockaddr*>(&raw), size);
}

bool is_local(const Address& address) {
  // The kernel knows all of them: only its own can be bound.
  Address any_port = address;
  any_port.set_port(0);
  const Fd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd && ::bind(fd.get(), any_port.raw(), any_port.raw_size()) == 0;
}

void set_abort_on_close(int fd) {
  const linger value{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

}  // namespace sluice::net
