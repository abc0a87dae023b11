// Scalar, ClaimValues: what an identity says under one claim, as rules compare it. Types are compared, too: the number 5 is
// not the text "5".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_text.h"
#include "policy/identity.h"

namespace sluice::policy {

struct Scalar {
  enum class Kind : std::uint8_t { text, number, boolean };
  Kind kind = Kind::text;
  std::string text;  // of a number as it is written, of a boolean "true" or "false"

  // Of a JSON value that is neither a list nor an object nor null.
  static std::optional<Scalar> of(const Json& value);
  // Numbers by their value, however they are written (base/decimal.h).
  bool equals(Kind other_kind, std::string_view other) const;
  bool operator==(const Scalar& other) const { return equals(other.kind, other.text); }
};

struct ClaimValues {
  bool present = false;  // it is there and not null
  bool list = false;
  std::vector<Scalar> items;  // of a list those that are scalars; else the one, or none of an object

  bool has(const Scalar& value) const;
};

// `/role`, `/realm_access/roles` (RFC 6901); items of lists are not reached by their index, which says nothing about anybody.
// `/sub` is the subject where the claims have none.
ClaimValues claim_values(const Identity& identity, const JsonPointer& claim);

// A claim as a configuration names it: a pointer where it begins with '/', else the name of one at the top.
std::optional<JsonPointer> claim_pointer(std::string_view text);

}  // namespace sluice::policy
