// Recheck: asks an external check about a live connection again and again, in the words of its handshake. No answer is no
// verdict at first: it is asked again until the time for another yes has passed once more, and then the connection ends. Looked
// at about once a second.
#pragma once

#include <memory>
#include <string>

#include "session/external_check.h"

namespace sluice::session {

class Recheck {
 public:
  // `question` is the one that was answered with yes just now, for `subject`; `method` outlives it.
  Recheck(House& house, net::Ready& ready, const policy::Method& method, http::ClientRequest question, std::string subject);

  // Errors: auth_denied, auth_forbidden (also where it has become somebody else), auth_unavailable (nobody has said yes for
  // twice the time).
  Result<void> look();

 private:
  void plan();

  House& house_;
  net::Ready& ready_;
  const policy::Method& method_;
  const http::ClientRequest question_;
  const std::string subject_;
  std::unique_ptr<ExternalCheck> check_;
  Instant next_{};    // when it is asked again
  Instant expires_{}; // when a yes must have come
};

}  // namespace sluice::session
