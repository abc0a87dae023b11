// Authenticator: finds the credential in a request by the carriers of its [auth] and checks it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/request.h"
#include "policy/jwt.h"

namespace sluice::policy {

struct Authenticated {
  Identity identity;
  const Carrier* carrier = nullptr;  // the one that was used
  bool marker_only = false;  // the token stood in Sec-WebSocket-Protocol and no real subprotocol was offered beside it
};

class Authenticator {
 public:
  Authenticator(const JwtSettings& settings, const Jwt& jwt) : settings_(settings), jwt_(jwt) {}

  // The first carrier in `from` that holds a credential decides; a bad one is an Error without
  // fall-through. Authorization: scheme Bearer only, another scheme counts as no credential there. The same carrier twice
  // → dup_token. None → no_token. When the request has no Origin field, cookie carriers are skipped. A token over 8 KiB
  // → bad_token. `subprotocols` is the offer of the handshake.
  Result<Authenticated> check(const http::Request& request, const std::vector<std::string_view>& subprotocols,
                              WallTime now) const;

  const JwtSettings& settings() const { return settings_; }

 private:
  const JwtSettings& settings_;
  const Jwt& jwt_;
};

// What must not go upstream: applies every listed carrier of `settings` to the request.
struct Scrubbed {
  std::vector<std::string> dropped_fields;          // names to leave out (Authorization, another header)
  std::string cookie;                               // the Cookie field that remains; empty: none
  bool cookie_changed = false;
  std::string query;                                // the query that remains
  bool query_changed = false;
  std::vector<std::string_view> subprotocols;       // the offer without the marker and the token
};
Scrubbed scrub(const JwtSettings& settings, const http::Request& request,
               const std::vector<std::string_view>& subprotocols);

// The query for log lines: the values of all carriers' parameters, and of any parameter named access_token, token,
// ticket, api_key, key, secret, password, code or sig, replaced by [redacted].
std::string redact_query(std::string_view query, const std::vector<Carrier>& carriers);

}  // namespace sluice::policy
