#include "net/preamble.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace sluice::net {

namespace {

ssize_t receive(int fd, MutableBytes room, int flags) {
  ssize_t got;
  do {
    got = ::recv(fd, room.data(), room.size(), flags);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Preamble::Preamble(event::Loop& loop, Fd fd, Ready& ready) : fd_(std::move(fd)), ready_(ready) {
  watch_.start(loop, fd_.get(), *this);
}

void Preamble::on_edge(event::Edge edge) {
  if (edge.closed) ended_ = true;
  if (edge.readable || edge.closed) ready_.on_ready();
}

Io Preamble::advance() {
  std::array<std::uint8_t, kMostProxyV2> octets;
  const ssize_t got = receive(fd_.get(), octets, MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Io::blocked;
  if (got <= 0) return Io::end;
  const Result<bool> whole = read_proxy_header(Bytes(octets).first(static_cast<std::size_t>(got)), header_);
  if (!whole) {
    error_ = whole.error();
    return Io::error;
  }
  if (!*whole) return ended_ ? Io::end : Io::blocked;
  header_.tlvs = {};
  for (std::size_t left = header_.size; left > 0;) {
    const ssize_t taken = receive(fd_.get(), MutableBytes(octets).first(left), 0);
    if (taken <= 0) return Io::end;  // a reset has come between the two calls
    left -= static_cast<std::size_t>(taken);
  }
  return Io::ok;
}

Fd Preamble::take() {
  watch_.stop();
  return std::move(fd_);
}

}  // namespace sluice::net
