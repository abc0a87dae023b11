#include "policy/header_rules.h"

#include <algorithm>
#include <array>

namespace sluice::policy {

namespace {

bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

// The placeholder at the front of `text`, braces included; empty when there is none.
std::string_view placeholder(std::string_view text) {
  if (text.size() < 2 || text[0] != '{' || !is_letter(text[1])) return {};
  const std::size_t end = text.find('}');
  return end == std::string_view::npos ? std::string_view{} : text.substr(0, end + 1);
}

}  // namespace

std::optional<FieldValue> FieldValue::parse(std::string_view text, std::string& why) {
  using Kind = Part::Kind;
  constexpr std::array<std::pair<std::string_view, Kind>, 3> kKnown = {
      {{"client_ip", Kind::client_ip}, {"request_id", Kind::request_id}, {"host", Kind::host}}};
  const bool printable = std::ranges::all_of(text, [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
  if (!printable) {
    why = "holds an octet that no field may hold";
    return std::nullopt;
  }
  if (!text.empty() && (text.front() <= ' ' || text.back() <= ' ')) {
    why = "has white space at its end";
    return std::nullopt;
  }
  FieldValue value;
  value.source_ = text;
  std::string plain;
  const auto add = [&](Kind kind, std::string_view word) {
    if (!plain.empty()) value.parts_.push_back({Kind::text, std::move(plain)});
    plain.clear();
    value.parts_.push_back({kind, std::string(word)});
  };
  while (!text.empty()) {
    const std::string_view found = placeholder(text);
    if (found.empty()) {
      plain.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(found.size());
    const std::string_view word = found.substr(1, found.size() - 2);
    constexpr std::string_view kClaim = "claim:";
    const auto* const known = std::ranges::find(kKnown, word, &std::pair<std::string_view, Kind>::first);
    if (known != kKnown.end()) {
      add(known->second, {});
    } else if (word.starts_with(kClaim) && word.size() > kClaim.size()) {
      add(Kind::claim, word.substr(kClaim.size()));
    } else {
      why = "has the unknown placeholder " + std::string(found);
      return std::nullopt;
    }
  }
  if (!plain.empty()) value.parts_.push_back({Kind::text, std::move(plain)});
  return value;
}

bool FieldValue::plain() const {
  return std::ranges::all_of(parts_, [](const Part& part) { return part.kind == Part::Kind::text; });
}

bool FieldValue::asks_claim() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.kind == Part::Kind::claim; });
}

Result<std::optional<std::string>> FieldValue::text(const http::Request& request, const Identity& identity) const {
  std::string text;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Part::Kind::text: text += part.word; break;
      case Part::Kind::client_ip: text += request.client.ip(); break;
      case Part::Kind::request_id: text += request.id; break;
      case Part::Kind::host: text += request.host.host; break;
      case Part::Kind::claim: {
        bool bad = false;
        const auto claim = identity.claim_text(part.word, bad);
        if (bad) return fail(Errc::bad_claim, Side::client, "a claim of a header rule cannot stand in a header");
        if (!claim) return std::optional<std::string>();
        text += *claim;
        break;
      }
    }
  }
  return text;
}

bool HeaderRules::drops(std::string_view name) const {
  return std::ranges::any_of(remove, [&](const auto& other) { return http::same_name(other, name); }) ||
         std::ranges::any_of(set, [&](const auto& other) { return http::same_name(other.first, name); });
}

Result<FieldList> HeaderRules::values(const http::Request& request, const Identity& identity) const {
  FieldList values;
  for (const auto& [name, value] : set) {
    if (auto text = TRY(value.text(request, identity))) values.emplace_back(name, std::move(*text));
  }
  return values;
}

void apply(const HeaderRules& rules, const FieldList& values, FieldList& fields) {
  if (rules.empty()) return;
  std::erase_if(fields, [&](const auto& field) { return rules.drops(field.first); });
  fields.insert(fields.end(), values.begin(), values.end());
}

}  // namespace sluice::policy
