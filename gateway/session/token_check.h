// TokenCheck: the check of one credential that needs no answer of anybody but, perhaps, newer keys. Owned by who asks;
// destroying it is giving it up.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "policy/authenticator.h"
#include "session/front.h"
#include "session/key_wait.h"

namespace sluice::session {

class TokenCheck {
 public:
  // `credential` is none of an external check; `authenticator` outlives it.
  TokenCheck(House& house, net::Ready& ready, const policy::Authenticator& authenticator, policy::Credential credential)
      : house_(house), ready_(ready), authenticator_(authenticator), credential_(std::move(credential)) {}

  // nullopt: the Ready will be called, or deadline() pass. Errors: those of Authenticator::verify.
  Result<std::optional<policy::Authenticated>> advance();
  Instant deadline() const { return keys_ ? keys_->deadline() : kNever; }

 private:
  House& house_;
  net::Ready& ready_;
  const policy::Authenticator& authenticator_;
  const policy::Credential credential_;
  std::unique_ptr<KeyWait> keys_;
};

}  // namespace sluice::session
