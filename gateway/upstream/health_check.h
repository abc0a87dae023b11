// HealthCheck: one check of one server by its backend's `health`: a TCP connection; a GET whose answer has an expected status;
// or a WebSocket handshake whose Accept is verified, a Ping and its Pong (RFC 6455 §5.5.2). On the main loop; one deadline for
// all of it, and every octet of the answer goes through the strict parsers within their bounds. Servers that expect a PROXY
// header are sent one that names nobody.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/stream.h"
#include "upstream/backend.h"

namespace sluice::net {
class TlsClient;
}

namespace sluice::upstream {

struct HealthTarget {
  std::vector<net::Address> addresses;  // tried in turn
  const net::TlsClient* tls = nullptr;  // null: plain
  std::string name;                     // what its certificate must be for
  std::string authority;                // Host
  std::string preamble;                 // PROXY header, ahead of everything
  HealthSettings settings;
};

class HealthCheck {
 public:
  // Why it failed; empty when it did not.
  using Done = std::move_only_function<void(std::string failure)>;

  // `done` is called once, never from inside start(). It may retire the check (Loop::retire), which is what is calling.
  // Destroying the check earlier gives it up without a call.
  static std::unique_ptr<HealthCheck> start(const net::Place& place, HealthTarget target, Done done);
  virtual ~HealthCheck() = default;
};

}  // namespace sluice::upstream
