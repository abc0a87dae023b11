// Arrival: an accepted connection until it is known what it speaks: the TLS handshake, under one deadline. Then it
// replaces itself by the Front that ALPN picks. (What comes before TLS: session/proxy_arrival.)
#pragma once

#include <memory>

#include "net/tls_stream.h"
#include "session/admission.h"
#include "session/ends.h"
#include "session/front.h"

namespace sluice::session {

class Arrival final : public StreamOwner {
 public:
  Arrival(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime, std::size_t listener,
          const Ends& ends);

  Step tick() override { return Step::wait; }
  void drain() override { act(Step::done); }

 private:
  Step advance() override;
  void count(bool done);

  Admission admission_;
  std::shared_ptr<const Runtime> runtime_;
  std::size_t listener_;
  Ends ends_;
  Instant started_;
  std::unique_ptr<net::TlsStream> stream_;
  event::Timer deadline_;
  bool late_ = false;
};

// The owner of a fresh connection: a ProxyArrival where a PROXY header is to come, otherwise as speak() says. Null: the
// connection has been refused.
std::unique_ptr<StreamOwner> receive(House& house, Admission admission, net::Fd fd,
                                     std::shared_ptr<const Runtime> runtime, std::size_t listener,
                                     const net::Address& peer);
// The owner of a connection that nothing stands ahead of any more: an Arrival for TLS, its Front at once without.
std::unique_ptr<StreamOwner> speak(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime,
                                   std::size_t listener, const Ends& ends);

// As the socket says.
Ends ends_of(const net::Address& peer, int fd, const config::ListenerSettings& listener);

}  // namespace sluice::session
