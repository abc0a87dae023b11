// Identity: who the client is, after a credential was checked. Lives as long as the connection; holds no token.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace sluice::policy {

struct Identity {
  std::string method;   // "jwt"; empty: anonymous
  std::string subject;  // `sub`, or empty
  Json claims;          // the verified payload; dropped by the Session once nothing asks for it any more
  bool expires = false;
  WallTime expiry{};    // `exp` without leeway

  // A claim as text: visible-ASCII strings, integers and booleans as text, arrays
  // of strings joined by one space. nullopt: absent. `bad` is set when the claim is there but is anything else.
  std::optional<std::string> claim_text(std::string_view name, bool& bad) const;
};

}  // namespace sluice::policy
