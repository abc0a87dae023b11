// AuthSettings: one [auth.NAME], whatever its method.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "http/head.h"
#include "policy/jwt.h"

namespace sluice::policy {

// Where a credential may stand, in the order in which the route looks (`from`).
struct Carrier {
  enum class Kind : std::uint8_t { header, cookie, query, subprotocol };
  Kind kind = Kind::header;
  std::string name = "Authorization";  // header, cookie or parameter name; the marker ("bearer") for subprotocol
  // The same place.
  bool operator==(const Carrier& other) const {
    return kind == other.kind && (kind == Kind::header ? http::same_name(name, other.name) : name == other.name);
  }
};

struct AuthSettings {
  enum class Type : std::uint8_t { jwt };
  Type type = Type::jwt;
  std::string name;
  std::vector<Carrier> from;
  std::vector<std::pair<std::string, std::string>> forward;  // claim → header name upstream
  bool close_on_expiry = true;
  std::uint16_t expiry_close_code = 4401;
  JwtSettings jwt;

  // How long after its expiry an identity still counts.
  std::int64_t leeway_seconds() const { return jwt.leeway_seconds; }
};

}  // namespace sluice::policy
