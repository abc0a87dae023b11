#include "server/revoke_command.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "config/units.h"
#include "net/address.h"

namespace sluice::server {

namespace {

using Kind = policy::Revocation::Kind;

constexpr std::size_t kMostName = 128;
constexpr std::size_t kMostReason = 123;  // RFC 6455 §5.5: of a control frame, less the code

constexpr AdminRefusal kWho{400, "exactly one of sub, jti, sid, claim, ip and connection is needed"};
constexpr AdminRefusal kValue{400, "the value is a text of 1 to 1024 octets"};
constexpr AdminRefusal kClaim{400, "claim is {\"name\": ..., \"value\": ...}, and not exp, iat or nbf"};
constexpr AdminRefusal kAddress{400, "ip is an address, or a block without host bits: 10.0.0.0/8"};
constexpr AdminRefusal kTtl{400, "ttl is a duration up to 366d: \"10m\""};
constexpr AdminRefusal kNewer{400, "allow_newer is true or false, with a ttl and sub, sid or claim"};
constexpr AdminRefusal kScope{400, "auth and issuer are texts of 1 to 1024 octets, with sub, jti, sid or claim"};
constexpr AdminRefusal kCode{400, "code is one that may be sent: 1000, 1008, or 3000 to 4999"};
constexpr AdminRefusal kReason{400, "reason is a text of 1 to 123 octets"};
constexpr AdminRefusal kUnknown{400, "a member that is not known"};

// A string, or with `words` a number or a boolean as it stands in a token.
std::optional<std::string> text_of(const Json& value, bool words, std::size_t most) {
  std::string text;
  if (value.is(Json::Type::string)) {
    text = value.text();
  } else if (words && value.is(Json::Type::boolean)) {
    text = value.boolean() ? "true" : "false";
  } else if (words && (value.is(Json::Type::integer) || value.is(Json::Type::real))) {
    text = value.text();
  }
  if (text.empty() || text.size() > most) return std::nullopt;
  return text;
}

std::optional<AdminRefusal> read_claim(const Json& claim, policy::Revocation& what) {
  const Json* const name = claim.find("name");
  const Json* const value = claim.find("value");
  if (!name || !value || claim.members().size() != 2) return kClaim;
  const auto called = text_of(*name, false, kMostName);
  auto text = text_of(*value, true, RevokeCommand::kMostText);
  if (!called || !text || policy::is_date_claim(*called)) return kClaim;
  what.name = *called;
  what.value = std::move(*text);
  return std::nullopt;
}

std::optional<AdminRefusal> read_who(Kind kind, const Json& value, policy::Revocation& what) {
  what.kind = kind;
  if (kind == Kind::claim) return read_claim(value, what);
  auto text = text_of(value, false, RevokeCommand::kMostText);
  if (!text) return kValue;
  if (kind == Kind::ip && !net::Cidr::parse(*text)) return kAddress;
  what.value = std::move(*text);
  return std::nullopt;
}

std::optional<AdminRefusal> read_code(const Json& value, policy::Revocation& what) {
  const std::int64_t code = value.is(Json::Type::integer) ? value.integer() : 0;
  if (code != 1000 && code != 1008 && (code < 3000 || code > 4999)) return kCode;
  what.code = static_cast<std::uint16_t>(code);
  return std::nullopt;
}

std::optional<AdminRefusal> read_ttl(const Json& value, std::optional<Duration>& ttl) {
  const auto parsed = config::parse_duration(value.is(Json::Type::string) ? std::string_view(value.text()) : "");
  if (!parsed || *parsed < std::chrono::milliseconds(1) || *parsed > RevokeCommand::kMostTtl) return kTtl;
  ttl = *parsed;
  return std::nullopt;
}

std::optional<AdminRefusal> read_text(const Json& value, std::size_t most, AdminRefusal refusal, std::string& out) {
  auto text = text_of(value, false, most);
  if (!text) return refusal;
  out = std::move(*text);
  return std::nullopt;
}

}  // namespace

std::optional<AdminRefusal> RevokeCommand::read(std::string_view body) {
  const auto json = Json::parse(body, {.octets = kMostBody, .depth = 3, .members = 16});
  if (!json || !json->is(Json::Type::object)) return AdminRefusal{400, "the body is no JSON object"};
  std::size_t named = 0;
  for (const auto& [name, value] : json->members()) {
    std::optional<AdminRefusal> refusal;
    const auto kind = std::ranges::find(policy::Revocation::kKindNames, std::string_view(name));
    if (kind != policy::Revocation::kKindNames.end()) {
      ++named;
      refusal = read_who(static_cast<Kind>(kind - policy::Revocation::kKindNames.begin()), value, what);
    } else if (name == "ttl") {
      refusal = read_ttl(value, ttl);
    } else if (name == "allow_newer") {
      if (!value.is(Json::Type::boolean)) return kNewer;
      what.allow_newer = value.boolean();
    } else if (name == "auth") {
      refusal = read_text(value, kMostText, kScope, what.auth);
    } else if (name == "issuer") {
      refusal = read_text(value, kMostText, kScope, what.issuer);
    } else if (name == "code") {
      refusal = read_code(value, what);
    } else if (name == "reason") {
      refusal = read_text(value, kMostReason, kReason, what.reason);
    } else {
      refusal = kUnknown;
    }
    if (refusal) return refusal;
  }
  if (named != 1) return kWho;
  if (what.kind == Kind::connection && ttl) return AdminRefusal{400, "a connection comes once: it needs no ttl"};
  if (!what.of_identity() && !(what.auth.empty() && what.issuer.empty())) return kScope;
  // A token does not become newer, nor do an address and a connection.
  if (what.allow_newer && (!ttl || !what.of_identity() || what.kind == Kind::jti)) return kNewer;
  return std::nullopt;
}

}  // namespace sluice::server
