// Connector: one outbound attempt: connect, and TLS when asked, until there is a Stream that can be talked through. The
// deadline is the caller's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/address.h"
#include "net/socket.h"
#include "net/stream.h"

namespace sluice::net {

class TlsClient;

class Connector {
 public:
  virtual ~Connector() = default;
  // Octets to be sent as soon as the transport stands, ahead of TLS. Before the first advance().
  virtual void send_first(std::string octets) = 0;
  // ok: done, take() the stream; blocked: an edge will come to the Ready; error: see error().
  virtual Io advance() = 0;
  virtual Error error() const = 0;
  // The transport stands (TLS may still be under way).
  virtual bool connected() const = 0;
  virtual std::unique_ptr<Stream> take() = 0;
};

// How an upstream is reached, whatever its address.
struct Way {
  const TlsClient* tls = nullptr;  // null: plain
  std::string name;                // what its certificate must be for
  SocketOptions socket;
};

// Over a socket. Errors: be_connect, be_tls, be_preface_data (octets of an HTTP server that was not asked yet), fd_limit.
std::unique_ptr<Connector> connect_socket(const Place& place, const Address& address, const Way& way, Ready& ready);

}  // namespace sluice::net
