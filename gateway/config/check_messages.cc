// Checker: [[route.message]].
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/hex.h"
#include "config/check.h"

namespace sluice::config {
namespace {

using upstream::Aim;
using upstream::MessageMatch;

constexpr std::size_t kMostRules = 64;
constexpr std::size_t kMostBytes = 256;  // of the first octets that a rule compares

bool is_tcp(const upstream::BackendSettings& backend) {
  return !backend.servers.empty() && upstream::bridged(backend.servers.front().scheme);
}

}  // namespace

void Checker::messages(const Section& section, RouteSettings& out) {
  out.inspect = static_cast<std::uint32_t>(section.number("inspect"));
  out.close_oversized = section.text("oversize") == "close";
  const std::vector<Section> rules = section.tables("message");
  const upstream::BackendSettings* own = find_backend(out.backend);
  if (rules.empty()) {
    const bool guarded = !section.tables("message_rule").empty();
    for (const std::string_view key : {"inspect", "oversize"}) {
      if (!section.has(key) || own == nullptr || own->keyed_by_content() || (guarded && key == "inspect")) continue;
      reporter_.warning(section.place(key), fmt::format("'{}' has no effect: no message of this route is read", key),
                        "rules ([[route.message]], [[route.message_rule]]) and keys (\"json:/room\") read messages");
    }
    return;
  }
  if (own != nullptr && own->unit != upstream::Unit::message) {
    error(rules[0].place(), fmt::format("[[route.message]] needs unit = \"message\" in backend '{}'", shown(out.backend)),
          "balance = { unit = \"message\", policy = \"round_robin\" }");
  }
  if (rules.size() > kMostRules) error(rules[kMostRules].place(), fmt::format("more than {} rules", kMostRules));
  std::set<std::string> names{"fallback"};
  bool everything = false;
  for (std::size_t i = 0; i < rules.size() && i < kMostRules; ++i) {
    upstream::MessageRule rule;
    rule.name = rules[i].good("name") ? rules[i].text("name") : std::to_string(i + 1);
    if (rules[i].has("name") && std::ranges::any_of(rule.name, [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
      error(rules[i].place("name"), "'name' holds a control character");
    }
    if (!names.insert(rule.name).second) {
      error(rules[i].has("name") ? rules[i].place("name") : rules[i].place(),
            fmt::format("rule '{}' is defined twice", shown(rule.name)),
            rule.name == "fallback" ? "'fallback' stands for messages that no rule matches" : "");
    }
    if (everything) {
      error(rules[i].place(), fmt::format("rule '{}' can never match: the one before it matches every message", shown(rule.name)));
      break;
    }
    everything = message_rule(rules[i], out, rule);
    out.messages.push_back(std::move(rule));
  }
  message_legs(section, out);
}

// True when it matches every message.
bool Checker::message_rule(const Section& section, const RouteSettings& route, upstream::MessageRule& out) {
  const std::string to = section.text("to");
  out.aim = to == "all" ? Aim::all : to == "race" ? Aim::race : Aim::one;
  if (section.good("backend")) {
    const Text name{section.text("backend"), section.place("backend")};
    if (refers(fmt::format("rule '{}'", shown(out.name)), "backend", name, backends_)) out.backend = name.text;
  }
  if (out.backend == route.backend) out.backend.clear();
  const upstream::BackendSettings* own = find_backend(route.backend);
  const upstream::BackendSettings* other = find_backend(out.backend);
  if (own != nullptr && other != nullptr && (is_tcp(*own) || is_tcp(*other))) {
    error(section.place("backend"), "messages cannot go to a tcp backend and to another one",
          "rules over tcp servers stay within the route's own backend");
  }
  const Section match = section.table("match");
  if (!match) return true;
  message_match(match, out.match);
  const MessageMatch& what = out.match;
  if (match.bad() || what.opcode != 0 || !what.bytes.empty() || what.pointer) return false;
  const bool faulty = match.has("bytes") || match.has("hex") || match.has("pointer") || match.has("opcode");
  if (!faulty) error(match.place(), "'match' is empty", "leave it out to match every message");
  return false;
}

void Checker::message_match(const Section& section, MessageMatch& out) {
  if (section.good("opcode")) out.opcode = section.text("opcode") == "text" ? 1 : 2;
  if (section.good("bytes")) out.bytes = section.text("bytes");
  if (section.has("bytes") && section.has("hex")) error(section.place("hex"), "'hex' stands in place of 'bytes'");
  if (section.good("hex")) {
    if (const auto octets = from_hex(section.text("hex"))) {
      out.bytes += *octets;
    } else {
      error(section.place("hex"), fmt::format("'hex' = \"{}\" is no list of octets", shown(section.text("hex"))),
            "two hexadecimal digits for each: \"01ff\"");
    }
  }
  if (out.bytes.size() > kMostBytes) {
    error(section.place(section.has("hex") ? "hex" : "bytes"), fmt::format("more than {} octets", kMostBytes));
  }
  const int tests = section.has("exists") + section.has("equals") + section.has("prefix");
  if (!section.has("pointer")) {
    for (const std::string_view key : {"exists", "equals", "prefix"}) {
      if (section.has(key)) error(section.place(key), fmt::format("'{}' needs 'pointer'", key));
    }
    return;
  }
  if (tests > 1) error(section.place("pointer"), "only one of 'exists', 'equals' and 'prefix'");
  if (section.good("exists") && !section.boolean("exists")) {
    error(section.place("exists"), "'exists' can only be true", "rules are asked in their order: put the one for messages "
          "that have the value first");
  }
  if (section.good("equals") || section.good("prefix")) {
    out.test = section.good("equals") ? MessageMatch::Test::equals : MessageMatch::Test::prefix;
    out.value = section.text(section.good("equals") ? "equals" : "prefix");
  }
  if (section.good("pointer")) out.pointer = JsonPointer::parse(section.text("pointer"));
  if (section.good("pointer") && !out.pointer) {
    error(section.place("pointer"), fmt::format("\"{}\" is no JSON pointer", shown(section.text("pointer"))),
          fmt::format("\"/method\", \"/params/0/room\" (RFC 6901), at most {} names", JsonPointer::kMostTokens));
  }
  if (out.opcode == 2) error(section.place("pointer"), "'pointer' reads text messages, and opcode = \"binary\"");
}

// Every backend of the rules must be able to have a leg.
void Checker::message_legs(const Section& section, const RouteSettings& route) {
  const upstream::BackendSettings* own = find_backend(route.backend);
  std::set<std::string> backends{route.backend};
  for (const upstream::MessageRule& rule : route.messages) {
    if (!rule.backend.empty()) backends.insert(rule.backend);
  }
  if (own != nullptr && own->max_legs != 0 && own->max_legs < backends.size()) {
    error(section.place("backend"), fmt::format("max_legs = {} of backend '{}' is less than the {} backends of route '{}'",
                                                own->max_legs, shown(own->name), backends.size(), shown(route.name)));
  }
}

}  // namespace sluice::config
