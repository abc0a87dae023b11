#include "session/token_check.h"

namespace sluice::session {

// Keys that are fetched may be on their way, or have to be asked for: that is waited for once.
Result<std::optional<policy::Authenticated>> TokenCheck::advance() {
  const Instant now = house_.loop.now();
  if (keys_ && !keys_->over(now)) return std::nullopt;
  auto authenticated = authenticator_.verify(credential_, house_.loop.wall());
  if (authenticated) return std::move(*authenticated);
  const Errc code = authenticated.error().code;
  if (code == Errc::unknown_key || code == Errc::keys_unavailable) {
    if (!keys_) {
      keys_ = KeyWait::begin(house_, ready_, authenticator_, credential_);
      if (keys_) return std::nullopt;
    } else if (code == Errc::unknown_key) {
      authenticator_.give_up(credential_, now);
    }
  }
  return fail(authenticated.error());
}

}  // namespace sluice::session
