// Errand: what one good request to an endpoint of the gateway's own asks for, from its whole body to the answer. Owned by the
// Endpoint; given up with it. What it waits for wakes the session through its Front.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "session/front.h"

namespace sluice::session {

struct EndpointRuntime;
struct Opening;

class Errand {
 public:
  virtual ~Errand() = default;
  // The body of the answer 200, which may be empty; nullopt: it is waited for, until deadline() at most.
  virtual Result<std::optional<std::string>> advance() = 0;
  virtual Instant deadline() const = 0;
};

// A one-time ticket for who has been authenticated (policy/ticket_store.h).
std::unique_ptr<Errand> issue_ticket(House& house, net::Ready& ready, const EndpointRuntime& rules, Opening& opening);
// A logout by the issuer's word (policy/logout_token.h): a revocation that tokens from before it do not outlive.
std::unique_ptr<Errand> log_out(House& house, net::Ready& ready, const EndpointRuntime& rules, Opening& opening, std::string body);

// The live connection that the body names stands on the credential of this request from now on (Session::renew). `snapshot`:
// that of the [auth] which has checked it.
std::unique_ptr<Errand> renew_connection(House& house, net::Ready& ready, std::shared_ptr<const config::Snapshot> snapshot,
                                         Opening& opening, const std::string& body);

}  // namespace sluice::session
