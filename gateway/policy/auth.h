// AuthSettings: one [auth.NAME], whatever its method.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "http/head.h"
#include "policy/api_keys.h"
#include "policy/client_cert.h"
#include "policy/endpoints.h"
#include "policy/external_auth.h"
#include "policy/failures.h"
#include "policy/jwt.h"

namespace sluice::policy {

// Where a credential may stand, in the order in which the route looks (`from`). kubernetes: an offered subprotocol, "base64url."
// and so on; first_message: a message, where none of the others holds anything.
struct Carrier {
  enum class Kind : std::uint8_t { header, cookie, query, subprotocol, ticket, kubernetes, first_message };
  // As in `from`, where a colon and the name stand behind all but the last two.
  static constexpr std::array<std::string_view, 7> kKindNames{"header", "cookie",     "query",        "subprotocol",
                                                              "ticket", "kubernetes", "first_message"};
  Kind kind = Kind::header;
  // Header, cookie or parameter name (ticket: too); the marker ("bearer") for subprotocol; else empty.
  std::string name = "Authorization";
  // The same place.
  bool operator==(const Carrier& other) const {
    return kind == other.kind && (kind == Kind::header ? http::same_name(name, other.name) : name == other.name);
  }
};

// Of the carrier first_message.
struct FirstMessageSettings {
  Duration deadline = std::chrono::seconds(5);  // from the 101 on
  std::uint32_t max = 8 * 1024;                 // octets
};

// Of fresh tokens that clients send on live connections.
struct RefreshSettings {
  bool in_band = false;
  std::string type = "auth";     // member `type` of such a message
  std::uint32_t max = 8 * 1024;  // octets of one: a larger message is an ordinary one
  bool close_on_failure = false;
};

struct AuthSettings {
  enum class Type : std::uint8_t { jwt, api_key, external, client_cert };
  // As in `type`, in metrics and in what is shown of a connection.
  static constexpr std::array<std::string_view, 4> kTypeNames{"jwt", "api_key", "external", "client_cert"};
  Type type = Type::jwt;
  std::string name;
  std::vector<Carrier> from;
  std::vector<std::pair<std::string, std::string>> forward;  // claim → header name upstream
  bool close_on_expiry = true;
  std::uint16_t expiry_close_code = 4401;
  std::string expiry_close_reason;      // empty: the name of the error
  Duration warn_before{};               // its expiry; 0: nobody is warned
  std::string warn_message;             // a text
  FirstMessageSettings first_message;
  RefreshSettings refresh;
  FailureLimit failures;                // of one address
  EndpointSettings endpoints;
  JwtSettings jwt;                      // of type jwt
  std::shared_ptr<const ApiKeys> keys;  // of type api_key
  ExternalSettings external;            // of type external
  ClientCertSettings client_cert;       // of type client_cert

  // How long after its expiry an identity still counts.
  std::int64_t leeway_seconds() const { return type == Type::jwt ? jwt.leeway_seconds : 0; }
};

}  // namespace sluice::policy
