// Preamble: the PROXY header at the front of a fresh socket, and not an octet more: what follows it stays in the kernel for
// whoever speaks next, TLS or a Front. Looks with MSG_PEEK, so that it keeps no octets. Owned by session/proxy_arrival; the
// deadline is the caller's. Never writes.
#pragma once

#include "event/watch.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"
#include "net/stream.h"

namespace sluice::net {

class Preamble final : private event::WatchHandler {
 public:
  Preamble(event::Loop& loop, Fd fd, Ready& ready);

  // ok: the header has been taken out of the socket; blocked: an edge will come; end: the other side finished or died
  // before it was whole; error: what came is none, see error().
  Io advance();
  // What it said. Its TLVs have been checked, and are not kept.
  const ProxyHeader& header() const { return header_; }
  const Error& error() const { return error_; }
  // The socket, for whoever speaks next; nothing is told of its edges any more.
  Fd take();

 private:
  void on_edge(event::Edge edge) override;

  Fd fd_;
  event::Watch watch_;  // stops before fd_ closes
  Ready& ready_;
  ProxyHeader header_;
  Error error_{};
  bool ended_ = false;
};

}  // namespace sluice::net
