// AccessRule: what must be true of a request and of who makes it, beyond the credential being good: its claims, scopes,
// address, Origin, subprotocols. Immutable, of one route. Whatever a rule asks for and does not find, it refuses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "http/request.h"
#include "net/address.h"
#include "policy/access.h"
#include "policy/claim_values.h"
#include "policy/path_binding.h"

namespace sluice::policy {

// One claim. present: it is there. equals: it is the first value, and no list. contains: it is a list with the first value.
// any_of: it is one of the values, or a list with one of them. all_of: a list with all of them. range: a number from `least`
// to `most`, exactly.
struct ClaimRule {
  enum class Test : std::uint8_t { present, equals, contains, any_of, all_of, range };
  JsonPointer claim;
  Test test = Test::present;
  std::vector<Scalar> values;
  std::optional<Decimal> least;
  std::optional<Decimal> most;

  bool holds(const Identity& identity) const;
};

// Of a rule all parts that are there must hold.
struct AccessRule {
  std::optional<ClaimRule> claim;
  std::vector<std::string> scopes;        // all of them, in `scope` or `scp`
  std::vector<net::Cidr> cidr;            // the client's address is in one
  std::vector<OriginPattern> origins;     // there is an Origin, and one matches
  std::vector<std::string> subprotocols;  // the client offers some, and none but these
  std::vector<std::string> auths;         // the [auth] that said who it is
};

// What refused: label `rule` of sluice_access_denied_total.
enum class AccessPart : std::uint8_t { path, auth, claim, scope, cidr, origin, subprotocol };
inline constexpr std::array<std::string_view, 7> kAccessPartNames{"path", "auth",   "claim",      "scope",
                                                                  "cidr", "origin", "subprotocol"};

// Who asks, and for what. The parts die with the call.
struct AccessQuestion {
  std::string_view path;     // canonical
  const Identity& identity;  // without claims: nobody in particular
  std::string_view auth;     // name of the [auth] that said so
  // Null: an identity that has been renewed on a live connection. What is about the request held before and holds still.
  const http::Request* request = nullptr;
  const std::vector<std::string_view>* subprotocols = nullptr;  // the offer, without credentials
};

// Of the first that does not hold; nullopt: they all do.
std::optional<AccessPart> denied(const std::vector<PathBinding>& bindings, const std::vector<AccessRule>& rules,
                                 const AccessQuestion& question);

}  // namespace sluice::policy
