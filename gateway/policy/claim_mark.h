// ClaimMark: what stands for one claim of an identity ("role" is "admin") where its text is not kept: a hash, seeded by the
// process. Two claims share a mark once in 2^64 pairs.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.h"
#include "policy/identity.h"

namespace sluice::policy {

using ClaimMark = std::uint64_t;

inline ClaimMark claim_mark(std::string_view name, std::string_view value, std::uint64_t seed) {
  return hash64(value, hash64(name, seed));
}

// They say when, not who: nobody is named by them.
inline bool is_date_claim(std::string_view name) { return name == "exp" || name == "iat" || name == "nbf"; }

// Calls call(name, value) for everything by which an identity can be named: its subject as "sub", each string, number and
// boolean among its claims, and each string of a list. The views die with the identity.
template <typename Call>
void each_claim(const Identity& identity, Call&& call) {
  if (!identity.subject.empty()) call(std::string_view("sub"), std::string_view(identity.subject));
  for (const auto& [name, value] : identity.claims.members()) {
    if (is_date_claim(name)) continue;
    switch (value.type()) {
      case Json::Type::boolean: call(std::string_view(name), std::string_view(value.boolean() ? "true" : "false")); break;
      case Json::Type::integer:
      case Json::Type::real: call(std::string_view(name), std::string_view(value.text())); break;
      case Json::Type::string:
        if (name == "sub" && value.text() == identity.subject) break;
        call(std::string_view(name), std::string_view(value.text()));
        break;
      case Json::Type::array:
        for (const Json& item : value.items()) {
          if (item.is(Json::Type::string)) call(std::string_view(name), std::string_view(item.text()));
        }
        break;
      case Json::Type::null:
      case Json::Type::object: break;
    }
  }
}

// `iat` of the credential, seconds since 1970; 0: it does not say.
inline std::int64_t issued_at(const Identity& identity) {
  const Json* issued = identity.claims.find("iat");
  return issued && issued->is(Json::Type::integer) && issued->integer() > 0 ? issued->integer() : 0;
}

}  // namespace sluice::policy
