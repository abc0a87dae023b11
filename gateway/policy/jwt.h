// Jwt: checks one compact JWS (RFC 7515, 7519, 8725) against the keys and rules of one [auth].
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "net/crypto.h"
#include "policy/identity.h"
#include "policy/key_source.h"
#include "policy/logout_token.h"

namespace sluice::policy {

struct RequiredClaim {
  std::string name;
  std::vector<std::string> any_of;  // empty: it only has to be there. A claim that is a list, or a string of words for
                                    // `scope`, satisfies when it holds one of these.
};

// What [auth.NAME] says for type = "jwt"; key files are read by config/, so these hold octets, not paths.
struct JwtSettings {
  std::vector<net::JwsAlgorithm> algorithms;
  Secret secret;            // HMAC secret, octets (only with HS*)
  std::string public_key;   // PEM text
  std::string jwks;         // JWKS JSON text
  KeySourceSettings source;  // where keys come from, in place of the three above
  std::string issuer;       // empty: not checked
  std::vector<std::string> audience;  // empty: not checked; else the token must name one of them
  std::int64_t leeway_seconds = 30;
  std::int64_t max_lifetime_seconds = 0;  // of a token, exp - iat; 0: not limited
  std::vector<RequiredClaim> required;
};

class Jwt {
 public:
  ~Jwt();
  // nullptr and `why` when a key cannot be used, no key serves a listed algorithm, or HS* is mixed with others. `source`
  // where settings.source is remote: its keys are parsed here whenever they have changed. `context` outlives it then.
  static std::unique_ptr<Jwt> make(net::CryptoContext& context, const JwtSettings& settings, std::string& why,
                                   std::shared_ptr<KeySource> source = nullptr);

  // Errors: bad_token (whatever is wrong with it; `detail` says what, for the log only), token_expired, scope (a
  // required claim is missing or has another value). With keys from elsewhere also unknown_key (they have none of the
  // token's id, newer ones might) and keys_unavailable (there are none yet, or they are too old).
  Result<Identity> verify(std::string_view token, WallTime now) const;

  // The same of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6), which is no credential: verify() never takes one,
  // and this takes nothing else. The rules about claims (`require`) and about the life of a token are not its.
  Result<LogoutToken> verify_logout(std::string_view token, WallTime now) const;

  // The `iss` that a token claims: only to find out who is to verify it. Errors: bad_token, also without one.
  static Result<std::string> claimed_issuer(std::string_view token);

  // After verify() has said unknown_key or keys_unavailable of the token: asks for newer keys, and is a place among those who
  // wait for them (KeySource::wait). When it is over, and after KeySource::kMostWait at the latest, verify() is asked once
  // more, and what it says then holds. Null: it holds at once.
  std::unique_ptr<KeySource::Wait> wait(std::string_view token, Instant now, KeySource::Waker waker) const;
  // What verify() said after a wait was unknown_key again: for a while nobody waits for that id.
  void give_up(std::string_view token, Instant now) const;

  // Moves when other keys are in force; always 0 for those of a file.
  std::uint64_t generation() const;

  // What was left out of the JWK Set, and why; for `check` and the log of the start.
  const std::vector<std::string>& warnings() const;

 private:
  struct Impl;
  explicit Jwt(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A compact JWS over `claims` (JSON text), for `sluice token` and the demo. nullopt and `why` when the key cannot sign.
std::optional<std::string> mint(net::CryptoContext& context, net::JwsAlgorithm algorithm, std::string_view key,
                                std::string_view key_id, std::string_view claims, std::string& why);

}  // namespace sluice::policy
