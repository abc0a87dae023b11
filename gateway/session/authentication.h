// Authentication: the check of one client's credential, from finding it to the verdict, however long that takes. Owned by the
// Opening of one session, and given up with it; what it waits for wakes the session through its Front.
#pragma once

#include <memory>
#include <optional>

#include "policy/authenticator.h"
#include "session/external_check.h"
#include "session/front.h"
#include "session/ticket_check.h"
#include "session/token_check.h"

namespace sluice::session {

struct Opening;

class Authentication {
 public:
  Authentication(House& house, net::Ready& ready, const policy::Authenticator& authenticator)
      : house_(house), ready_(ready), authenticator_(authenticator) {}
  // Of a credential that came otherwise than with the request.
  Authentication(House& house, net::Ready& ready, const policy::Authenticator& authenticator, policy::Credential credential)
      : house_(house), ready_(ready), authenticator_(authenticator), credential_(std::move(credential)) {}

  // true: opening.authenticated says who it is, and opening.identity_fields what an external check had to say of it. false:
  // an answer will come to the Ready, or deadline() pass. Errors: those of the [auth] that decided.
  Result<bool> advance(Opening& opening);
  Instant deadline() const {
    return external_ ? external_->deadline() : ticket_ ? ticket_->deadline() : token_ ? token_->deadline() : kNever;
  }
  // What a service that was asked said to the client, where it refused.
  std::optional<policy::ExternalAuth::No> take_no() { return std::exchange(no_, std::nullopt); }
  // The [auth] that is asked, or would have been.
  const policy::Method& method() const { return credential_ ? *credential_->method : authenticator_.first(); }

 private:
  Result<bool> judge(Opening& opening);
  Result<bool> ask(Opening& opening);
  Result<bool> verify(Opening& opening);
  Result<bool> redeem(Opening& opening);
  Result<policy::Authenticated> authenticated_by(std::string_view record, const Opening& opening);

  House& house_;
  net::Ready& ready_;
  const policy::Authenticator& authenticator_;
  std::optional<policy::Credential> credential_;
  std::unique_ptr<ExternalCheck> external_;
  std::unique_ptr<TicketCheck> ticket_;
  std::optional<TokenCheck> token_;
  bool begun_ = false;
  std::optional<policy::ExternalAuth::No> no_;
};

}  // namespace sluice::session
