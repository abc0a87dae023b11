// Checker: [[route.access]], [[route.message_rule]], and claims in the path of a [[route]].
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"

namespace sluice::config {
namespace {

using policy::ClaimRule;
using policy::Scalar;

constexpr std::size_t kMostRules = 64;
constexpr std::array<std::string_view, 7> kTests{"present", "equals", "contains", "any_of", "all_of", "min", "max"};

// Of a value that the decoder has let pass; nullopt: a number that is none of JSON ("nan").
std::optional<Scalar> scalar(const Node& node) {
  switch (node.kind) {
    case Node::Kind::text: return Scalar{Scalar::Kind::text, node.text};
    case Node::Kind::boolean: return Scalar{Scalar::Kind::boolean, node.integer != 0 ? "true" : "false"};
    case Node::Kind::integer: return Scalar{Scalar::Kind::number, std::to_string(node.integer)};
    default: break;
  }
  if (!Decimal::parse(node.text)) return std::nullopt;
  return Scalar{Scalar::Kind::number, node.text};
}

// The path with "*" in place of what claims decide.
std::string shape_of(const RouteSettings& route) {
  std::string why;
  const auto bound = policy::BoundPath::parse(route.path, why);
  return bound ? bound->shape : route.path;
}

// Every path of `route`, which is a prefix, is one of `binding`, which goes before it.
bool shadows(const RouteSettings& binding, const RouteSettings& route) {
  if (binding.bindings.empty() || !route.bindings.empty()) return false;
  if (!binding.path.ends_with("/*") || !route.path.ends_with("/*")) return false;
  const std::string shape = shape_of(binding);
  std::vector<std::string_view> wide = policy::path_segments(shape);
  const std::vector<std::string_view> narrow = policy::path_segments(route.path);
  wide.pop_back();
  return wide.size() < narrow.size() && std::equal(wide.begin(), wide.end(), narrow.begin(), [](auto one, auto other) {
           return one == "*" || one == other;
         });
}

bool overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return a.empty() || b.empty() ||
         std::ranges::any_of(a, [&](const auto& one) { return std::ranges::find(b, one) != b.end(); });
}

}  // namespace

void Checker::access(const Section& section, RouteSettings& out) {
  const bool open = out.auth.empty() && !section.has("auth");
  if (!out.bindings.empty() && open) {
    error(section.place("path"), fmt::format("'path' = \"{}\" binds a claim, but the route has no auth", shown(out.path)),
          "set auth, which says who the client is");
  }
  const std::vector<Section> rules = section.tables("access");
  if (rules.size() > kMostRules) error(rules[kMostRules].place(), fmt::format("more than {} rules", kMostRules));
  for (const Section& rule : rules) access_rule(rule, out, out.access.emplace_back());
}

void Checker::access_rule(const Section& section, const RouteSettings& route, policy::AccessRule& out) {
  const bool open = route.auth.empty();
  const bool claims = claim_rule(section, route, out);
  bool any = claims;
  for (const std::string_view key : {"scopes", "cidr", "origin", "subprotocol", "auth"}) {
    any = any || section.has(key);
    if (section.good(key) && section.texts(key).empty()) {
      error(section.place(key), fmt::format("'{}' is empty: nobody could ever be let in", key), "leave it out to ask nothing");
    }
  }
  if (!any) error(section.place(), "[[route.access]] asks nothing", "claim = \"role\" with equals = \"admin\", scopes, cidr, origin, ...");
  for (const std::string_view key : {"scopes", "auth"}) {
    if (open && section.has(key)) {
      error(section.place(key), fmt::format("'{}' can never hold: the route has no auth", key), "set auth, which says who the client is");
    }
  }
  for (const Text& text : section.texts("scopes")) {
    if (text.text.empty() || std::ranges::any_of(text.text, [](char c) { return c <= 0x20 || c > 0x7e || c == '"' || c == '\\'; })) {
      error(text.place, fmt::format("\"{}\" is no scope", shown(text.text)), "one word in each string (RFC 6749 §3.3)");
    }
    out.scopes.push_back(text.text);
  }
  out.cidr = blocks(section, "cidr");
  for (const Text& text : section.texts("origin")) {
    if (auto pattern = policy::OriginPattern::parse(text.text)) {
      out.origins.push_back(std::move(*pattern));
    } else {
      error(text.place, fmt::format("\"{}\" is no origin", shown(text.text)),
            "write \"https://chat.example.com\" or \"https://*.example.com\", without a path");
    }
  }
  for (const Text& text : section.texts("subprotocol")) {
    if (!is_token(text.text)) {
      error(text.place, fmt::format("\"{}\" is no subprotocol", shown(text.text)), "a token, without spaces and commas");
    }
    out.subprotocols.push_back(text.text);
  }
  for (const Text& text : section.texts("auth")) {
    if (!refers("access", "auth", text, auths_)) continue;
    if (!open && std::ranges::find(route.auth, text.text) == route.auth.end()) {
      error(text.place, fmt::format("auth '{}' is none of the route's", shown(text.text)), "a client never passes it here");
    }
    out.auths.push_back(text.text);
  }
}

Scalar Checker::value_of(const Node& node, std::string_view key) {
  auto read = scalar(node);
  if (!read) error(node.place, fmt::format("'{}' is no number of JSON", key));
  return read.value_or(Scalar{});
}

// Whether the rule is about a claim, rightly or wrongly.
bool Checker::claim_rule(const Section& section, const RouteSettings& route, policy::AccessRule& out) {
  using Test = ClaimRule::Test;
  std::vector<std::string_view> tests;
  for (const std::string_view key : kTests) {
    if (section.has(key)) tests.push_back(key);
  }
  if (!section.has("claim")) {
    for (const std::string_view key : tests) {
      error(section.place(key), fmt::format("'{}' needs 'claim'", key), "claim = \"role\"");
    }
    return !tests.empty();
  }
  if (route.auth.empty()) {
    error(section.place("claim"), "'claim' can never hold: the route has no auth", "set auth, which says who the client is");
  }
  const bool range = section.has("min") && section.has("max") && tests.size() == 2;
  if (tests.size() != 1 && !range) {
    error(section.place("claim"),
          tests.empty() ? "'claim' does not say what it has to be" : "'claim' is asked for several things at once",
          "one of present, equals, contains, any_of, all_of, or min and max; further rules are further tables");
    return true;
  }
  ClaimRule rule;
  if (const auto pointer = policy::claim_pointer(section.text("claim")); section.good("claim") && pointer) {
    rule.claim = *pointer;
  } else if (section.good("claim")) {
    error(section.place("claim"), fmt::format("\"{}\" is no JSON pointer", shown(section.text("claim"))),
          fmt::format("\"role\", or \"/realm_access/roles\" (RFC 6901) of at most {} names", JsonPointer::kMostTokens));
  }
  for (const std::string_view key : tests) {
    const Node* const node = section.node(key);
    if (node == nullptr) continue;
    if (key == "present") {
      if (!section.boolean(key)) error(node->place, "'present' can only be true");
    } else if (key == "min" || key == "max") {
      rule.test = Test::range;
      (key == "min" ? rule.least : rule.most) = Decimal::parse(value_of(*node, key).text);
    } else if (key == "equals" || key == "contains") {
      rule.test = key == "equals" ? Test::equals : Test::contains;
      rule.values.push_back(value_of(*node, key));
    } else {
      rule.test = key == "any_of" ? Test::any_of : Test::all_of;
      if (node->items.empty()) error(node->place, fmt::format("'{}' is empty: nobody could ever be let in", key));
      for (const Node& item : node->items) rule.values.push_back(value_of(item, key));
    }
  }
  if (rule.least && rule.most && *rule.most < *rule.least) error(section.place("max"), "'max' is less than 'min': no number is both");
  out.claim = std::move(rule);
  return true;
}

void Checker::message_rules(const Section& section, RouteSettings& out) {
  const std::vector<Section> rules = section.tables("message_rule");
  if (rules.empty()) return;
  if (rules.size() > kMostRules) error(rules[kMostRules].place(), fmt::format("more than {} rules", kMostRules));
  const upstream::BackendSettings* const backend = find_backend(out.backend);
  if (backend != nullptr && !backend->servers.empty() && upstream::bridged(backend->servers.front().scheme)) {
    error(rules[0].place(), fmt::format("[[route.message_rule]] is not for the tcp servers of backend '{}'", shown(backend->name)),
          "octets are no messages; max_message of [route.websocket] bounds those of the client");
  }
  for (const Section& rule : rules) message_rule(rule, out, out.message_rules.emplace_back());
}

void Checker::message_rule(const Section& section, const RouteSettings& route, policy::MessageAccess& out) {
  out.to_client = section.text("direction") == "server";
  if (section.good("opcode")) out.opcode = section.text("opcode") == "text" ? 1 : 2;
  if (section.good("max_size")) out.max_size = static_cast<std::uint32_t>(section.number("max_size"));
  out.action = section.text("action") == "drop" ? policy::MessageAccess::Action::drop : policy::MessageAccess::Action::close;
  const int tests = section.has("equals") + section.has("any_of") + section.has("equals_claim");
  if (!section.has("pointer")) {
    for (const std::string_view key : {"equals", "any_of", "equals_claim"}) {
      if (section.has(key)) error(section.place(key), fmt::format("'{}' needs 'pointer'", key), "pointer = \"/room\"");
    }
    if (tests == 0 && !section.has("opcode") && !section.has("max_size")) {
      error(section.place(), "[[route.message_rule]] asks nothing", "opcode, max_size, or pointer with equals, any_of or equals_claim");
    }
    return;
  }
  if (section.good("pointer")) out.pointer = JsonPointer::parse(section.text("pointer"));
  if (section.good("pointer") && !out.pointer) {
    error(section.place("pointer"), fmt::format("\"{}\" is no JSON pointer", shown(section.text("pointer"))),
          fmt::format("\"/method\", \"/params/0/room\" (RFC 6901), at most {} names", JsonPointer::kMostTokens));
  }
  if (tests != 1) {
    error(section.place("pointer"), "'pointer' needs one of 'equals', 'any_of' and 'equals_claim'",
          tests == 0 ? "" : "further rules are further tables");
  }
  if (out.opcode == 2) error(section.place("pointer"), "'pointer' reads text messages, and opcode = \"binary\"");
  if (const Node* const node = section.node("equals")) {
    out.values.push_back(value_of(*node, "equals"));
  }
  if (const Node* const node = section.node("any_of")) {
    if (node->items.empty()) error(node->place, "'any_of' is empty: no message could ever pass");
    for (const Node& item : node->items) out.values.push_back(value_of(item, "any_of"));
  }
  if (!section.good("equals_claim")) return;
  out.claim = policy::claim_pointer(section.text("equals_claim"));
  if (!out.claim) error(section.place("equals_claim"), fmt::format("\"{}\" is no JSON pointer", shown(section.text("equals_claim"))));
  if (route.auth.empty()) {
    error(section.place("equals_claim"), "'equals_claim' can never hold: the route has no auth", "set auth, which says who the client is");
  }
}

// Other paths of the same host that a path with claims is in the way of, or is the same as.
void Checker::path_beside(const Section& section, const RouteSettings& route) {
  for (const RouteSettings& other : settings_.routes) {
    if (other.host != route.host || !overlap(other.listeners, route.listeners)) continue;
    if (!route.bindings.empty() && !other.bindings.empty() && other.path != route.path && shape_of(other) == shape_of(route)) {
      error(section.place("path"), fmt::format("route '{}' can never match: '{}' differs only in the claims", shown(route.name),
                                               shown(other.path)),
            "one route for each path; access rules may ask for further claims");
    }
    const bool hides = shadows(route, other);
    if (!hides && !shadows(other, route)) continue;
    error(section.place("path"), fmt::format("route '{}' can never match: every path of it is one of '{}'",
                                             shown(hides ? other.name : route.name), shown(hides ? route.path : other.path)),
          "put the claim behind a segment of its own: \"/rooms/{claim:room}/*\"");
  }
}

}  // namespace sluice::config
