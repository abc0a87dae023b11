// AuthSettings: one [auth.NAME], whatever its method.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/head.h"
#include "policy/api_keys.h"
#include "policy/endpoints.h"
#include "policy/external_auth.h"
#include "policy/failures.h"
#include "policy/jwt.h"

namespace sluice::policy {

// Where a credential may stand, in the order in which the route looks (`from`).
struct Carrier {
  enum class Kind : std::uint8_t { header, cookie, query, subprotocol, ticket };
  Kind kind = Kind::header;
  std::string name = "Authorization";  // header, cookie or parameter name (ticket: too); the marker ("bearer") for subprotocol
  // The same place.
  bool operator==(const Carrier& other) const {
    return kind == other.kind && (kind == Kind::header ? http::same_name(name, other.name) : name == other.name);
  }
};

struct AuthSettings {
  enum class Type : std::uint8_t { jwt, api_key, external };
  // As in `type`, in metrics and in what is shown of a connection.
  static constexpr std::array<std::string_view, 3> kTypeNames{"jwt", "api_key", "external"};
  Type type = Type::jwt;
  std::string name;
  std::vector<Carrier> from;
  std::vector<std::pair<std::string, std::string>> forward;  // claim → header name upstream
  bool close_on_expiry = true;
  std::uint16_t expiry_close_code = 4401;
  FailureLimit failures;                // of one address
  EndpointSettings endpoints;
  JwtSettings jwt;                      // of type jwt
  std::shared_ptr<const ApiKeys> keys;  // of type api_key
  ExternalSettings external;            // of type external

  // How long after its expiry an identity still counts.
  std::int64_t leeway_seconds() const { return type == Type::jwt ? jwt.leeway_seconds : 0; }
};

}  // namespace sluice::policy
