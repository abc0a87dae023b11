// LogoutToken: an issuer's word that somebody has logged out (OpenID Connect Back-Channel Logout 1.0 §2.4), out of the claims of
// a token whose signature and issuer were checked (Jwt::verify_logout).
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace sluice::policy {

struct LogoutToken {
  static constexpr std::string_view kEvent = "http://schemas.openid.net/event/backchannel-logout";
  static constexpr std::size_t kMostText = 1024;                        // octets of each claim that names somebody
  static constexpr Duration kMostAge = std::chrono::minutes(10);        // since `iat`, so that it need not be remembered for ever

  std::string issuer;
  std::string id;       // `jti`
  std::string subject;  // empty: `session` alone
  std::string session;  // `sid`; empty: all of the subject
  WallTime end{};       // it is refused from then on

  // §2.6, all that is not signature, `iss`, `aud` and the types of dates. Errors: bad_token.
  static Result<LogoutToken> read(const Json& claims, WallTime now, Duration leeway);
  // The claims are those of a logout token, whatever else is wrong with them: it is nobody's credential.
  static bool is_one(const Json& claims);
};

}  // namespace sluice::policy
