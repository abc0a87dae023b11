// Connector: one outbound attempt: connect, and TLS when asked, until there is a Stream that can be talked through. The
// deadline is the caller's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/address.h"
#include "net/stream.h"

namespace sluice::net {

class TlsClient;

class Connector {
 public:
  virtual ~Connector() = default;
  // ok: done, take() the stream; blocked: an edge will come to the Ready; error: see error().
  virtual Io advance() = 0;
  virtual Error error() const = 0;
  // The transport stands (TLS may still be under way).
  virtual bool connected() const = 0;
  virtual std::unique_ptr<Stream> take() = 0;
};

// Over a socket. `tls` may be null; `name` is what its certificate must be for. Errors: be_connect, be_tls,
// be_preface_data (octets before the handshake was over), fd_limit.
std::unique_ptr<Connector> connect_socket(const Place& place, const Address& address, const TlsClient* tls,
                                          const std::string& name, Ready& ready);

}  // namespace sluice::net
