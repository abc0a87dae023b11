// SocketWireStream: the gateway's own TcpStream over a loopback connection, with what a Wire asks of a stream: windows exact
// to the octet, failing operations, counts. What is sent and received goes through the kernel; so do the edges.
#pragma once

#include <algorithm>
#include <utility>

#include "base/inplace_vector.h"
#include "net/tcp_stream.h"
#include "support/stream_pair.h"
#include "support/wire.h"

namespace sluice::test {

class SocketWireStream final : public net::TcpStream, public WireEnd {
 public:
  // `pair`: the gateway's end and the far end.
  SocketWireStream(const net::Place& place, Wire& wire, std::pair<net::Fd, net::Fd> pair)
      : TcpStream(place, std::move(pair.first), false), wire_(wire) {
    wire_.stream = this;
    wire_.socket = std::make_unique<FarSocket>(std::move(pair.second));
  }
  ~SocketWireStream() override { SocketWireStream::close(); }

  Io fill() override {
    if (starved_) return Io::blocked;
    if (closed_ || failed_) return Io::error;
    if (ended_) return Io::end;
    switch (wire_.faults.strike()) {
      case Faults::Kind::none: break;
      case Faults::Kind::error: return fail();
      case Faults::Kind::end: ended_ = true; return Io::end;
      case Faults::Kind::block:
        starved_ = true;
        wire_.readable = true;
        return Io::blocked;
    }
    const std::size_t before = received().size();
    const Io io = TcpStream::fill();
    if (io == Io::ok) ++wire_.fills;
    wire_.in_flight -= received().size() - before;
    return io;
  }

  Io write(std::span<const Bytes> parts, std::size_t& taken) override {
    taken = 0;
    if (closed_ || failed_) return Io::error;
    std::size_t total = 0;
    for (const Bytes part : parts) total += part.size();
    if (total == 0 || jammed_) return TcpStream::write(parts, taken);
    switch (wire_.faults.strike()) {
      case Faults::Kind::none: break;
      case Faults::Kind::error:
      case Faults::Kind::end: return fail();
      case Faults::Kind::block:
        jammed_ = true;
        wire_.writable = true;
        return Io::blocked;
    }
    InplaceVector<Bytes, net::kMostParts> allowed;
    std::size_t left = wire_.window;
    for (const Bytes part : parts) {
      allowed.push_back(part.first(std::min(left, part.size())));
      left -= allowed.back().size();
    }
    Io io = TcpStream::write(allowed.values(), taken);
    if (taken > 0) wire_.writes.push_back(taken);
    if (wire_.window != Wire::kUnlimited) wire_.window -= taken;
    if (io == Io::ok && taken < total) {
      jammed_ = true;
      io = Io::blocked;
    }
    return io;
  }

  void finish() override {
    TcpStream::finish();
    if (!closed_) wire_.finished = true;
  }
  void close() override {
    if (closed_) return;
    closed_ = wire_.closed = true;
    wire_.stream = nullptr;
    ready_ = nullptr;
    TcpStream::close();
  }
  void abort() override {
    if (closed_) return;
    wire_.aborted = true;
    net::set_abort_on_close(fd());
    close();
  }
  std::size_t undelivered() const override { return wire_.unacknowledged; }
  void set_ready(net::Ready* ready) override {
    ready_ = ready;
    TcpStream::set_ready(ready);
  }

  void edge(bool readable, bool writable) override {
    const bool news = readable || (writable && jammed_);
    if (readable) starved_ = concluded_ = false;
    if (writable) jammed_ = false;
    if (news && ready_) ready_->on_ready();
  }

 private:
  Io fail() {
    wire_.reset();
    failed_ = true;
    return Io::error;
  }

  Wire& wire_;
  net::Ready* ready_ = nullptr;
  bool closed_ = false;
  bool failed_ = false;
  bool ended_ = false;
};

}  // namespace sluice::test
