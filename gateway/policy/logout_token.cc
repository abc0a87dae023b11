#include "policy/logout_token.h"

#include <algorithm>

namespace sluice::policy {
namespace {

std::unexpected<Error> bad(const char* detail) { return fail(Errc::bad_token, Side::client, detail); }

// False: it is there, and is no text that may name somebody.
bool take(const Json& claims, std::string_view name, std::string& out) {
  const Json* const value = claims.find(name);
  if (!value) return true;
  if (!value->is(Json::Type::string) || value->text().empty() || value->text().size() > LogoutToken::kMostText ||
      value->text().find('\0') != std::string::npos) {
    return false;
  }
  out = value->text();
  return true;
}

}  // namespace

bool LogoutToken::is_one(const Json& claims) {
  const Json* const events = claims.find("events");
  return events && events->is(Json::Type::object) && events->find(kEvent);
}

Result<LogoutToken> LogoutToken::read(const Json& claims, WallTime now, Duration leeway) {
  LogoutToken token;
  if (!take(claims, "iss", token.issuer) || token.issuer.empty()) return bad("no iss");
  if (!claims.find("aud")) return bad("no aud");
  if (!take(claims, "jti", token.id) || token.id.empty()) return bad("no jti");
  if (!take(claims, "sub", token.subject)) return bad("sub is no text");
  if (!take(claims, "sid", token.session)) return bad("sid is no text");
  if (token.subject.empty() && token.session.empty()) return bad("neither sub nor sid");
  if (!is_one(claims)) return bad("events name no logout");
  // RFC 8417 §2.2: the payload of an event is an object.
  if (!claims.find("events")->find(kEvent)->is(Json::Type::object)) return bad("the logout event is no object");
  if (claims.find("nonce")) return bad("nonce");
  const Json* const issued = claims.find("iat");
  if (!issued) return bad("no iat");
  const auto at = [&](const Json& date) {
    return WallTime(std::chrono::seconds(date.integer())) + std::chrono::duration_cast<std::chrono::milliseconds>(leeway);
  };
  token.end = at(*issued) + std::chrono::duration_cast<std::chrono::milliseconds>(kMostAge);
  if (const Json* const expiry = claims.find("exp")) token.end = std::min(token.end, at(*expiry));
  if (now >= token.end) return bad("a logout of long ago");
  return token;
}

}  // namespace sluice::policy
