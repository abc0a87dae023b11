// Authenticator: the [auth] tables of one route. Finds the credential that a request brings, decides which of them is to
// check it, and has it checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/request.h"
#include "net/tls_client.h"
#include "policy/auth.h"
#include "policy/failures.h"
#include "policy/jwt.h"
#include "policy/token_cache.h"

namespace sluice::policy {

// One [auth], ready to check.
struct Method {
  const AuthSettings* settings = nullptr;
  const Jwt* jwt = nullptr;            // of type jwt
  TokenCache* cache = nullptr;         // what it found good; null: nothing is remembered
  ExternalAuth* external = nullptr;    // of type external: it is asked, by session/external_check
  const net::TlsClient* external_tls = nullptr;
  Failures* failures = nullptr;        // of addresses; null: they are not counted
};

// What a request brought, and who checks it. Its pointers live as long as the Authenticator.
struct Credential {
  Secret text;
  const Method* method = nullptr;
  const Carrier* carrier = nullptr;  // null: an external check looks itself, or it is a certificate
  const net::ClientCertificate* certificate = nullptr;  // the request's, of type client_cert
  bool marker_only = false;  // it stood in Sec-WebSocket-Protocol and no real subprotocol was offered beside it
};

struct Authenticated {
  Identity identity;
  const AuthSettings* auth = nullptr;  // that said so
  const Carrier* carrier = nullptr;    // the one that was used; null: none
  bool marker_only = false;            // as in Credential
  bool remembered = false;             // from the cache
};

class Authenticator {
 public:
  // `tickets`: one-time tickets count as credentials.
  explicit Authenticator(std::vector<Method> methods, bool tickets = true);
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // The first carrier that holds a credential decides, in the order of the route's [auth] tables and of each one's `from`;
  // a bad one is an Error without fall-through. Of several tables with that carrier, the one of the token's issuer
  // checks it. Authorization: scheme Bearer only, another scheme counts as no credential there. The same carrier twice
  // → dup_token. None → no_token, unless the last of the tables is an external check, which is asked
  // whatever there is. A certificate of the connection's is a carrier, too, of a table of type client_cert. An issuer of none
  // of them → bad_token. When the request has no Origin field, cookie carriers are skipped. `subprotocols` is the offer of the
  // handshake. Kubernetes' form that is not exactly base64url, or beside which no real subprotocol is offered → bad_token.
  Result<Credential> find(const http::Request& request, const std::vector<std::string_view>& subprotocols) const;

  // The first of the tables that takes a credential from a first message; null: none does.
  const AuthSettings* first_message() const;
  // What such a message held. Errors as of find(): bad_token.
  Result<Credential> find_in_message(Secret token) const;
  // A fresh token for who stands on that [auth], which is one of the tables.
  Credential fresh(const AuthSettings& auth, Secret token) const;

  // Not of an external one, nor of a ticket, whose record names the [auth] of which it is good (named()). Errors as of the
  // method: Jwt::verify, ApiKeys::verify, identify.
  Result<Authenticated> verify(const Credential& credential, WallTime now) const;

  // After verify() has said unknown_key or keys_unavailable: Jwt::wait. And after that was in vain: Jwt::give_up.
  std::unique_ptr<KeySource::Wait> wait(const Credential& credential, Instant now, KeySource::Waker waker) const;
  void give_up(const Credential& credential, Instant now) const;

  // Both find() and verify().
  Result<Authenticated> check(const http::Request& request, const std::vector<std::string_view>& subprotocols,
                              WallTime now) const;

  // The method of that [auth]; null: it is none of these.
  const Method* named(std::string_view auth) const;
  // The method that a route without any credential is told of.
  const Method& first() const { return methods_.front(); }

 private:
  Result<const Method*> method_for(const Carrier& carrier, std::string_view text) const;
  std::vector<Method> methods_;
  std::vector<Carrier> carriers_;  // of all of them
  bool tickets_;
};

// What must not go upstream: applies every carrier of the route's [auth] tables to the request.
// What Kubernetes' clients put in front of the token's base64url.
inline constexpr std::string_view kKubernetesToken = "base64url.bearer.authorization.k8s.io.";

struct Scrubbed {
  std::vector<std::string> dropped_fields;          // names to leave out (Authorization, another header)
  std::string cookie;                               // the Cookie field that remains, where cookie_changed; empty: none
  bool cookie_changed = false;
  std::string query;                                // the query that remains, where query_changed
  bool query_changed = false;
  std::vector<std::string_view> subprotocols;       // the offer without markers and tokens
};
Scrubbed scrub(const std::vector<Carrier>& carriers, const http::Request& request,
               const std::vector<std::string_view>& subprotocols);

// The query for log lines: the values of all carriers' parameters, and of any parameter named access_token, token,
// ticket, api_key, key, secret, password, code or sig, and what is shaped like a token whatever its name, replaced by [redacted].
std::string redact_query(std::string_view query, const std::vector<Carrier>& carriers);

}  // namespace sluice::policy
