#include "server/revocation_text.h"

#include <algorithm>

#include "net/address.h"

namespace sluice::server {

using policy::Revocation;

namespace {

bool take_text(const Json& json, std::string_view name, std::string& out) {
  const Json* const found = json.find(name);
  if (!found) return true;
  out = found->text();
  return found->is(Json::Type::string);
}

bool take_time(const Json& json, std::string_view name, WallTime& out) {
  const Json* const found = json.find(name);
  if (!found || !found->is(Json::Type::integer)) return false;
  out = WallTime(std::chrono::milliseconds(found->integer()));
  return true;
}

}  // namespace

std::string revocation_text(const Revocation& what) {
  JsonWriter out;
  out.begin_object();
  out.field("id", what.id).field("kind", what.kind_name());
  if (!what.name.empty()) out.field("name", what.name);
  out.field("value", what.value);
  if (!what.auth.empty()) out.field("auth", what.auth);
  if (!what.issuer.empty()) out.field("issuer", what.issuer);
  if (what.allow_newer) out.field("allow_newer", true);
  out.field("made", std::int64_t{what.made.time_since_epoch().count()});
  out.field("expires", std::int64_t{what.expires.time_since_epoch().count()});
  if (what.code != 0) out.field("code", std::uint64_t{what.code});
  if (!what.reason.empty()) out.field("reason", what.reason);
  out.end_object();
  return out.take();
}

std::optional<Revocation> revocation_of(const Json& json) {
  Revocation what;
  std::string kind;
  const bool good = take_text(json, "id", what.id) && take_text(json, "kind", kind) && take_text(json, "name", what.name) &&
                    take_text(json, "value", what.value) && take_text(json, "auth", what.auth) &&
                    take_text(json, "issuer", what.issuer) && take_text(json, "reason", what.reason) &&
                    take_time(json, "made", what.made) && take_time(json, "expires", what.expires);
  const auto known = std::ranges::find(Revocation::kKindNames, std::string_view(kind));
  if (!good || what.id.empty() || known == Revocation::kKindNames.end()) return std::nullopt;
  what.kind = static_cast<Revocation::Kind>(known - Revocation::kKindNames.begin());
  if (what.kind == Revocation::Kind::ip && !net::Cidr::parse(what.value)) return std::nullopt;
  if (const Json* const newer = json.find("allow_newer")) what.allow_newer = newer->boolean();
  if (const Json* const code = json.find("code")) what.code = static_cast<std::uint16_t>(code->integer());
  return what;
}

}  // namespace sluice::server
