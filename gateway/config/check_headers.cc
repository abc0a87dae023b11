// Checker: request_headers, response_headers and strip_prefix of a [[route]].
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"
#include "http/forwarded.h"
#include "http/path.h"

namespace sluice::config {
namespace {

constexpr std::string_view kOnePlace = "the gateway sets and removes such fields by rules of its own";

bool twice(const policy::HeaderRules& rules, std::string_view name) {
  return std::ranges::count_if(rules.set, [&](const auto& one) { return http::same_name(one.first, name); }) +
             std::ranges::count_if(rules.remove, [&](const auto& one) { return http::same_name(one, name); }) >
         0;
}

}  // namespace

// Whether a rule may name the field; reports where it may not.
bool Checker::ruled_field(const Text& name, bool request, bool set) {
  if (!is_token(name.text)) {
    error(name.place, fmt::format("\"{}\" is no name of a field", shown(name.text)));
    return false;
  }
  if (request && set && http::same_name(name.text, "Host")) return true;  // the backend may know itself by another name
  if (!(request ? http::reserved_request_field(name.text) : http::reserved_response_field(name.text))) {
    const bool identity = request && std::ranges::any_of(settings_.auths, [&](const policy::AuthSettings& auth) {
      return std::ranges::any_of(auth.forward, [&](const auto& one) { return http::same_alias(one.second, name.text); });
    });
    if (!identity) return true;
  }
  error(name.place, fmt::format("'{}' cannot be {} by a rule", shown(name.text), set ? "set" : "removed"),
        std::string(kOnePlace));
  return false;
}

void Checker::header_rules(const Section& section, bool request, const RouteSettings& route, policy::HeaderRules& out) {
  if (!section) return;
  if (const Node* set = section.node("set")) {
    for (const Member& member : set->members) {
      const Node& value = member.value;
      if (value.bad || !ruled_field({member.name, member.place}, request, true)) continue;
      if (value.kind != Node::Kind::text) {
        error(value.place, fmt::format("the value of '{}' must be a string", shown(member.name)));
        continue;
      }
      std::string why;
      auto parsed = policy::FieldValue::parse(value.text, why);
      const bool host = request && http::same_name(member.name, "Host");
      if (!parsed) {
        error(value.place, fmt::format("the value of '{}' {}", shown(member.name), why),
              "placeholders are {client_ip}, {request_id}, {host} and {claim:NAME}");
      } else if (parsed->asks_claim() && route.auth.empty()) {
        error(value.place, fmt::format("the value of '{}' asks for a claim, but the route has no auth", shown(member.name)));
      } else if (host && (!parsed->plain() || !http::parse_authority(value.text))) {
        error(value.place, fmt::format("\"{}\" is no host", shown(value.text)), "write a name, with a port if need be");
      } else if (twice(out, member.name)) {
        error(member.place, fmt::format("'{}' stands in the rules twice", shown(member.name)));
      } else {
        out.set.emplace_back(member.name, std::move(*parsed));
      }
    }
  }
  for (const Text& name : section.texts("remove")) {
    if (!ruled_field(name, request, false)) continue;
    if (twice(out, name.text)) {
      error(name.place, fmt::format("'{}' stands in the rules twice", shown(name.text)));
    } else {
      out.remove.push_back(name.text);
    }
  }
}

// A prefix that covers all that the route serves: no request of the route can stand beside it.
void Checker::strip_prefix(const Section& section, RouteSettings& out) {
  if (!section.good("strip_prefix") || out.path.empty()) return;
  const std::string prefix = section.text("strip_prefix");
  const auto canonical = http::canonical_path(prefix);
  if (!canonical || *canonical != prefix || prefix.ends_with('/')) {
    error(section.place("strip_prefix"), fmt::format("'strip_prefix' = \"{}\" is no prefix in canonical form", shown(prefix)),
          "write \"/api\", without a slash at the end");
  } else if (!out.path.starts_with(prefix + "/") && out.path != prefix) {
    error(section.place("strip_prefix"),
          fmt::format("'strip_prefix' = \"{}\" is not the beginning of 'path' = \"{}\"", shown(prefix), shown(out.path)),
          fmt::format("write path = \"{}/*\"", prefix));
  } else {
    out.strip_prefix = prefix;
  }
}

}  // namespace sluice::config
