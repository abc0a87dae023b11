#include "policy/claim_values.h"

#include <algorithm>

#include "base/decimal.h"

namespace sluice::policy {

std::optional<Scalar> Scalar::of(const Json& value) {
  switch (value.type()) {
    case Json::Type::string: return Scalar{Kind::text, value.text()};
    case Json::Type::integer:
    case Json::Type::real: return Scalar{Kind::number, value.text()};
    case Json::Type::boolean: return Scalar{Kind::boolean, value.boolean() ? "true" : "false"};
    case Json::Type::null:
    case Json::Type::array:
    case Json::Type::object: break;
  }
  return std::nullopt;
}

bool Scalar::equals(Kind other_kind, std::string_view other) const {
  if (kind != other_kind) return false;
  if (kind != Kind::number) return text == other;
  const auto mine = Decimal::parse(text);
  return mine && mine == Decimal::parse(other);
}

bool ClaimValues::has(const Scalar& value) const { return std::ranges::find(items, value) != items.end(); }

ClaimValues claim_values(const Identity& identity, const JsonPointer& claim) {
  ClaimValues values;
  const Json* found = &identity.claims;
  for (const std::string& token : claim.tokens()) found = found ? found->find(token) : nullptr;
  if (!found || claim.tokens().empty() || found->is(Json::Type::null)) {
    if (!found && claim.text() == "/sub" && !identity.subject.empty()) {
      values.present = true;
      values.items.push_back({Scalar::Kind::text, identity.subject});
    }
    return values;
  }
  values.present = true;
  values.list = found->is(Json::Type::array);
  if (!values.list) {
    if (auto scalar = Scalar::of(*found)) values.items.push_back(std::move(*scalar));
    return values;
  }
  for (const Json& item : found->items()) {
    if (auto scalar = Scalar::of(item)) values.items.push_back(std::move(*scalar));
  }
  return values;
}

std::optional<JsonPointer> claim_pointer(std::string_view text) {
  if (text.starts_with('/')) return JsonPointer::parse(text);
  std::string pointer = "/";
  for (const char c : text) {
    if (c == '~') {
      pointer += "~0";
    } else {
      pointer += c;
    }
  }
  // A '/' further on belongs to the name.
  for (std::size_t at = pointer.find('/', 1); at != std::string::npos; at = pointer.find('/', at)) pointer.replace(at, 1, "~1");
  return text.empty() ? std::nullopt : JsonPointer::parse(pointer);
}

}  // namespace sluice::policy
