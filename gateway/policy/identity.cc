#include "policy/identity.h"

#include <algorithm>

namespace sluice::policy {
namespace {

bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

// May stand as a field value: visible ASCII, and spaces between (a `scope` is words), never at an end, where
// a field value would lose them.
bool is_field_text(std::string_view text) {
  return text.empty() ||
         (is_visible(text.front()) && is_visible(text.back()) &&
          std::all_of(text.begin(), text.end(), [](char c) { return c == ' ' || is_visible(c); }));
}

// One of several that are joined by spaces: a word without spaces, or the backend could not tell them apart.
bool is_word(const Json& item) {
  return item.is(Json::Type::string) && !item.text().empty() &&
         std::all_of(item.text().begin(), item.text().end(), is_visible);
}

}  // namespace

std::optional<std::string> Identity::claim_text(std::string_view name, bool& bad) const {
  bad = false;
  const Json* claim = claims.find(name);
  if (!claim) return std::nullopt;
  switch (claim->type()) {
    case Json::Type::boolean: return claim->boolean() ? "true" : "false";
    case Json::Type::integer:
    case Json::Type::real: return claim->text();
    case Json::Type::string:
      if (is_field_text(claim->text())) return claim->text();
      break;
    case Json::Type::array:
      if (std::all_of(claim->items().begin(), claim->items().end(), is_word)) {
        std::string joined;
        for (const Json& item : claim->items()) {
          if (!joined.empty()) joined.push_back(' ');
          joined += item.text();
        }
        return joined;
      }
      break;
    default: break;
  }
  bad = true;
  return std::nullopt;
}

}  // namespace sluice::policy
