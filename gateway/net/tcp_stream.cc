#include "net/tcp_stream.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/inplace_vector.h"

namespace sluice::net {

namespace {

// A remainder up to this size is moved to the front of the Turn, so that what arrives lies behind it; a larger one stays
// in its Buffer and what arrives is appended there.
constexpr std::size_t kMovable = 8 * 1024;

// recv(2) and send(2) without glibc's wrappers: as cancellation points they cost two locked instructions each in a
// program with threads, four times for every message, and nobody here cancels a thread.
ssize_t receive_octets(int fd, MutableBytes room) {
  return ::syscall(SYS_recvfrom, fd, room.data(), room.size(), 0, nullptr, nullptr);
}

ssize_t send_octets(int fd, Bytes octets) {
  return ::syscall(SYS_sendto, fd, octets.data(), octets.size(), MSG_NOSIGNAL, nullptr, 0);
}

ssize_t send_parts(int fd, std::span<const Bytes> parts) {
  SLUICE_UNINITIALIZED InplaceVector<iovec, kMostParts> vectors;
  for (const Bytes& part : parts) vectors.push_back({const_cast<std::uint8_t*>(part.data()), part.size()});
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

SocketStream::SocketStream(const Place& place, Fd fd, bool connecting)
    : place_(place), fd_(std::move(fd)), kept_(place.pool) {
  // Registration reports what is ready already, so the first edge of a fresh socket comes by itself.
  starved_ = true;
  jammed_ = connecting;
  watch_.start(place_.loop, fd_.get(), *this);
}

SocketStream::~SocketStream() { SocketStream::close(); }

void SocketStream::on_edge(event::Edge edge) {
  // Every edge names the whole state: one that frees neither direction is no news.
  const bool news = edge.readable || (edge.writable && jammed_);
  if (edge.readable) starved_ = concluded_ = false;
  if (edge.writable) jammed_ = false;
  if (edge.closed) closed_edge_ = true;
  if (news && ready_) ready_->on_ready();
}

MutableBytes SocketStream::received() {
  if (begin_ != end_) return {place_.turn.plain.get() + begin_, end_ - begin_};
  return kept_.bytes();
}

void SocketStream::consume(std::size_t n) {
  if (begin_ == end_) {
    kept_.consume(n);
    return;
  }
  check(n <= end_ - begin_, "SocketStream::consume beyond the end");
  begin_ += static_cast<std::uint32_t>(n);
  if (begin_ == end_) settle();
}

void SocketStream::settle() {
  if (place_.turn.plain_owner != this) return;
  if (begin_ != end_) kept_.append({place_.turn.plain.get() + begin_, end_ - begin_});
  begin_ = end_ = 0;
  place_.turn.plain_owner = nullptr;
}

MutableBytes SocketStream::receiving_room(std::size_t most) {
  Turn& turn = place_.turn;
  check(!turn.plain_owner || turn.plain_owner == this, "two streams in one turn");
  if (turn.plain_owner == this) {
    // Still octets of this turn: what arrives goes behind them, moved to the front when the room is short.
    if (begin_ > 0 && kChunk + kSlack - end_ < most) {
      std::copy(turn.plain.get() + begin_, turn.plain.get() + end_, turn.plain.get());
      end_ -= begin_;
      begin_ = 0;
    }
  } else if (!kept_.empty() && kept_.size() <= kMovable) {
    std::ranges::copy(kept_.bytes(), turn.plain.get());
    begin_ = 0;
    end_ = static_cast<std::uint32_t>(kept_.size());
    kept_.clear();
    turn.plain_owner = this;
  } else {
    begin_ = end_ = 0;
  }
  return {turn.plain.get() + end_, std::min(most, kChunk + kSlack - end_)};
}

void SocketStream::arrived(std::size_t n) {
  if (n == 0) return;
  if (!kept_.empty()) {  // a large remainder: append there
    kept_.append({place_.turn.plain.get() + end_, n});
    return;
  }
  place_.turn.plain_owner = this;
  end_ += static_cast<std::uint32_t>(n);
}

Io SocketStream::receive(MutableBytes room, std::size_t& n) {
  n = 0;
  if (starved_) return Io::blocked;
  if (!fd_) return Io::error;
  ssize_t got;
  do {
    got = receive_octets(fd_.get(), room);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      starved_ = true;
      return Io::blocked;
    }
    errno_ = errno;
    return Io::error;
  }
  if (got == 0) return Io::end;
  n = static_cast<std::size_t>(got);
  // A short receive has emptied the socket: the next octets bring an edge. Not so when the end has been announced.
  if (n < room.size() && !closed_edge_) starved_ = concluded_ = true;
  return Io::ok;
}

Io SocketStream::send(std::span<const Bytes> parts, std::size_t& taken) {
  taken = 0;
  if (!fd_) return Io::error;
  std::size_t total = 0;
  for (const Bytes& part : parts) total += part.size();
  if (total == 0) return Io::ok;
  if (jammed_) return Io::blocked;
  ssize_t sent;
  do {
    sent = parts.size() == 1 ? send_octets(fd_.get(), parts[0]) : send_parts(fd_.get(), parts);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      jammed_ = true;
      return Io::blocked;
    }
    errno_ = errno;
    return Io::error;
  }
  taken = static_cast<std::size_t>(sent);
  if (taken < total) {
    jammed_ = true;  // a short send set the socket's no-space mark: an edge will come
    return Io::blocked;
  }
  return Io::ok;
}

std::size_t SocketStream::undelivered() const {
  int octets = 0;
  return fd_ && ::ioctl(fd_.get(), SIOCOUTQ, &octets) == 0 ? static_cast<std::size_t>(octets) : 0;
}

bool SocketStream::hung_up() const {
  pollfd one{fd_.get(), POLLRDHUP, 0};
  return ::poll(&one, 1, 0) == 1;  // POLLERR and POLLHUP are always asked for
}

void SocketStream::close() {
  if (place_.turn.plain_owner == this) place_.turn.plain_owner = nullptr;
  begin_ = end_ = 0;
  kept_.clear();
  watch_.stop();
  fd_.reset();
  ready_ = nullptr;
}

void SocketStream::abort() {
  if (fd_) set_abort_on_close(fd_.get());
  close();
}

Io TcpStream::fill() {
  if (starved_) return Io::blocked;
  const std::size_t have = received().size();
  if (have >= kChunk) return Io::blocked;
  std::size_t n = 0;
  const Io io = receive(receiving_room(kChunk - have), n);
  arrived(n);
  return io;
}

Io TcpStream::write(std::span<const Bytes> parts, std::size_t& taken) { return send(parts, taken); }

void TcpStream::finish() {
  if (fd() >= 0) ::shutdown(fd(), SHUT_WR);
}

}  // namespace sluice::net
