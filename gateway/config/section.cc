// Section and the expansion of ${VAR}: the reading half of decode.h.
#include <fmt/format.h>

#include <cstdlib>

#include "base/result.h"
#include "config/decode.h"
#include "config/units.h"

namespace sluice::config {
namespace {

bool is_name(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  for (const char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  }
  return true;
}

void expand_text(Node& node, Reporter& reporter) {
  std::string out;
  std::string_view rest = node.text;
  while (!rest.empty()) {
    const std::size_t at = rest.find("${");
    out += rest.substr(0, at);
    if (at == std::string_view::npos) break;
    if (at > 0 && rest[at - 1] == '$') {  // "$${" is a literal "${"
      out += '{';
      rest.remove_prefix(at + 2);
      continue;
    }
    const std::size_t end = rest.find('}', at);
    if (end == std::string_view::npos) {
      node.bad = true;
      return reporter.error(node.place, "'${' has no '}'", "\"$${\" stands for the characters ${");
    }
    const std::string_view inside = rest.substr(at + 2, end - at - 2);
    const std::size_t dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    if (!is_name(name)) {
      node.bad = true;
      return reporter.error(node.place,
                            fmt::format("'{}' is no name of an environment variable", shown(name)));
    }
    const char* value = std::getenv(name.c_str());
    if (dash != std::string_view::npos && (value == nullptr || *value == '\0')) {
      out += inside.substr(dash + 2);
    } else if (value != nullptr) {
      out += value;
    } else {
      node.bad = true;
      return reporter.error(node.place, fmt::format("the environment variable '{}' is not set", name),
                            fmt::format("a default is written ${{{}:-x}}", name));
    }
    rest.remove_prefix(end + 1);
  }
  node.text = std::move(out);
}

// A default of the schema, as a node that was never in a file.
Node default_of(const Key& key) {
  Node node;
  std::string_view text = key.fallback;
  if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
  node.kind = Node::Kind::text;
  node.text = text;
  if (text.empty() || text == key.word) return node;
  switch (key.type) {
    case Type::boolean: node.number = text == "true" ? 1 : 0; break;
    case Type::integer: node.number = std::strtoll(node.text.c_str(), nullptr, 10); break;
    case Type::duration: node.number = parse_duration(text).value_or(Duration{}).count(); break;
    case Type::size: node.number = parse_size(text).value_or(0); break;
    case Type::percent: node.number = parse_percent(text).value_or(0); break;
    case Type::rate: {
      const RateValue rate = parse_rate(text).value_or(RateValue{});
      node.number = rate.amount;
      node.per = rate.per;
      break;
    }
    default: break;
  }
  return node;
}

}  // namespace

void expand_environment(Node& node, Reporter& reporter) {
  if (node.kind == Node::Kind::text) expand_text(node, reporter);
  for (Node& item : node.items) expand_environment(item, reporter);
  for (Member& member : node.members) expand_environment(member.value, reporter);
}

const Key& Section::key(std::string_view name) const {
  const Key* found = table_->find(name);
  check(found != nullptr, "a key that the schema lacks was asked for");
  return *found;
}

Place Section::place(std::string_view name) const {
  const Member* member = node_ != nullptr ? node_->find(name) : nullptr;
  return member != nullptr ? member->value.place : place_;
}

bool Section::has(std::string_view name) const {
  key(name);
  return node_ != nullptr && node_->find(name) != nullptr;
}

bool Section::refused(std::string_view name) const {
  key(name);
  const Member* member = node_ != nullptr ? node_->find(name) : nullptr;
  return member != nullptr && member->value.bad;
}

const Node* Section::node(std::string_view name) const {
  key(name);
  const Member* member = node_ != nullptr ? node_->find(name) : nullptr;
  return member != nullptr && !member->value.bad ? &member->value : nullptr;
}

std::string Section::text(std::string_view name) const {
  const Node* found = node(name);
  return found != nullptr ? found->text : default_of(key(name)).text;
}

std::int64_t Section::number(std::string_view name) const {
  const Node* found = node(name);
  return found != nullptr ? found->number : default_of(key(name)).number;
}

bool Section::is_word(std::string_view name) const {
  return !key(name).word.empty() && text(name) == key(name).word;
}

std::vector<Text> Section::texts(std::string_view name) const {
  std::vector<Text> out;
  const Node* found = node(name);
  if (found == nullptr) {
    // A list's default: ["a"] or [].
    std::string_view rest = key(name).fallback;
    for (std::size_t open = rest.find('"'); open != std::string_view::npos; open = rest.find('"')) {
      const std::size_t close = rest.find('"', open + 1);
      out.push_back({std::string(rest.substr(open + 1, close - open - 1)), place_});
      rest.remove_prefix(close + 1);
    }
    return out;
  }
  if (found->kind == Node::Kind::text) return {{found->text, found->place}};
  for (const Node& item : found->items) {
    if (!item.bad) out.push_back({item.text, item.place});
  }
  return out;
}

Section Section::table(std::string_view name) const {
  const Key& wanted = key(name);
  const Node* found = node(name);
  if (found != nullptr && found->kind != Node::Kind::table) found = nullptr;
  return {*wanted.table, found, found != nullptr ? found->place : place_};
}

std::vector<Section> Section::tables(std::string_view name) const {
  std::vector<Section> out;
  if (const Node* found = node(name)) {
    for (const Node& item : found->items) {
      if (!item.bad) out.emplace_back(*key(name).table, &item, item.place);
    }
  }
  return out;
}

std::vector<std::pair<std::string, Section>> Section::named(std::string_view name) const {
  std::vector<std::pair<std::string, Section>> out;
  if (const Node* found = node(name)) {
    for (const Member& member : found->members) {
      if (!member.value.bad)
        out.emplace_back(member.name, Section(*key(name).table, &member.value, member.value.place));
    }
  }
  return out;
}

}  // namespace sluice::config
