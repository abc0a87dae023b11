// TcpStream: a Stream over one non-blocking socket (TCP or unix), and what TlsStream shares with it.
#pragma once

#include "event/watch.h"
#include "net/socket.h"
#include "net/stream.h"

namespace sluice::net {

class SocketStream : public Stream, private event::WatchHandler {
 public:
  // `connecting`: a connect is under way; both directions wait for its first edge.
  SocketStream(const Place& place, Fd fd, bool connecting);
  ~SocketStream() override;

  MutableBytes received() override;
  void consume(std::size_t n) override;
  void settle() override;
  void close() override;
  void abort() override;
  std::size_t undelivered() const override;
  bool hung_up() const override;
  void set_ready(Ready* ready) override { ready_ = ready; }

  int fd() const { return fd_.get(); }
  // One send() to the socket itself, ahead of everything that the stream says by write(). As write().
  Io send_ahead(Bytes octets, std::size_t& taken) { return send({&octets, 1}, taken); }
  // The errno that killed it; 0 when none is known.
  int last_errno() const { return errno_; }

 protected:
  // Where a receive may put octets, and how many: behind a small remainder in the Turn, else into the Turn's start with
  // the remainder left where it is.
  MutableBytes receiving_room(std::size_t most);
  // `n` octets were put into that room.
  void arrived(std::size_t n);
  // One recv() into `room`: its result and the flags that follow from it.
  Io receive(MutableBytes room, std::size_t& n);
  // One send() of the parts.
  Io send(std::span<const Bytes> parts, std::size_t& taken);

  const Place& place_;

 private:
  void on_edge(event::Edge edge) override;

  Fd fd_;
  event::Watch watch_;
  Ready* ready_ = nullptr;
  Buffer kept_;             // remainder of an earlier turn
  std::uint32_t begin_ = 0;  // of the octets in the Turn; begin_ == end_ when none are there
  std::uint32_t end_ = 0;
  int errno_ = 0;
  bool closed_edge_ = false;  // the other end has announced its end: a short receive is not the last word
};

class TcpStream : public SocketStream {
 public:
  using SocketStream::SocketStream;
  Io fill() override;
  Io write(std::span<const Bytes> parts, std::size_t& taken) override;
  void finish() override;
};

}  // namespace sluice::net
