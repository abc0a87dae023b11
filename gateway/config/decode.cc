#include "config/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/result.h"
#include "config/units.h"

namespace sluice::config {
namespace {

const char* what(const Node& node) {
  switch (node.kind) {
    case Node::Kind::text: return "a string";
    case Node::Kind::integer: return "an integer";
    case Node::Kind::real: return "a floating-point number";
    case Node::Kind::boolean: return "a boolean";
    case Node::Kind::date: return "a date or time";
    case Node::Kind::array: return "a list";
    case Node::Kind::table: return "a table";
  }
  return "";
}

std::string listing(std::string_view values, std::string_view word) {
  std::string out;
  for (const std::string_view value : alternatives(values)) {
    out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", value);
  }
  if (!word.empty()) out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", word);
  return out;
}

bool holds(std::string_view list, std::string_view value) {
  const auto parts = alternatives(list);
  return std::find(parts.begin(), parts.end(), value) != parts.end();
}

const char* expected(const Key& key) {
  switch (key.type) {
    case Type::text:
    case Type::choice: return "a string";
    case Type::file: return "the path of a file";
    case Type::boolean: return "true or false";
    case Type::integer: return "an integer";
    case Type::duration: return "a duration such as \"30s\"";
    case Type::size: return "a size such as \"64KiB\"";
    case Type::amount: return "an integer, or a size such as \"64KiB\"";
    case Type::rate: return "a rate such as \"50/s\"";
    case Type::percent: return "a percentage such as \"125%\"";
    case Type::texts: return "a string or a list of strings";
    case Type::scalar: return "a string, a number or a boolean";
    case Type::number: return "a number";
    case Type::scalars: return "a list of strings, numbers and booleans";
    case Type::date: return "a date, a time and an offset such as 2027-01-01T00:00:00Z";
    case Type::table:
    case Type::free: return "a table";
    case Type::tables: return "a list of tables";
    case Type::named: return "a table of named tables";
    case Type::pairs: return "a table";
    case Type::entries: return "a list of strings or tables";
  }
  return "";
}

// Where in the schema a key of that name lives, for a key that stands in the wrong table.
const Table* home_of(const Table& table, std::string_view name) {
  for (const Key& key : table.keys) {
    if (key.table == nullptr) continue;
    if (key.type != Type::pairs && key.table->find(name) != nullptr) return key.table;
    if (const Table* found = home_of(*key.table, name)) return found;
  }
  return nullptr;
}

class Decoder {
 public:
  Decoder(const Table& top, Reporter& reporter) : top_(top), reporter_(reporter) {}

  void table(const Table& table, Node& node) {
    for (Member& member : node.members) {
      const Key* key = table.find(member.name);
      if (key == nullptr) {
        unknown(table, member);
      } else if (key->later == "*") {
        refuse(member.value, member.place,
               fmt::format("'{}' in {} is not yet supported", member.name, where(table)));
      } else {
        value(*key, member.value);
      }
    }
    for (const Key& key : table.keys) {
      if (key.required && node.find(key.name) == nullptr) {
        reporter_.error(node.place, fmt::format("{} needs '{}'", where(table), key.name),
                        key.example.empty() ? "" : fmt::format("{} = {}", key.name, key.example));
      }
    }
  }

 private:
  // "[[listener]]", "[backend.app.tls]": the table as the file writes it.
  std::string where(const Table& table) const {
    if (table.path.empty()) return "top level";
    std::string path(table.path);
    if (const std::size_t at = path.find("NAME"); at != std::string::npos) path.replace(at, 4, shown(name_));
    const bool listed = path == "listener" || path == "route" || path == "key" || path == "route.message" ||
                        path == "route.access" || path == "route.message_rule" || path == "listener.tls.certificate";
    return listed ? fmt::format("[[{}]]", path) : fmt::format("[{}]", path);
  }

  // The same of a table that some key belongs in, whatever its name.
  static std::string home(const Table& table) { return fmt::format("[{}]", table.path); }

  void refuse(Node& node, Place place, std::string message, std::string help = {}) {
    node.bad = true;
    reporter_.error(place, std::move(message), std::move(help));
  }

  void unknown(const Table& table, Member& member) {
    std::vector<std::string_view> names;
    for (const Key& key : table.keys) {
      if (key.later != "*") names.push_back(key.name);
    }
    std::string help = did_you_mean(member.name, names);
    const bool secret = member.name == "secret" || member.name == "password" || member.name == "token";
    if (secret && &top_ == &root()) {
      help = fmt::format("secrets come from files: {}_file", member.name);
    } else if (const Table* home_table = help.empty() ? home_of(top_, member.name) : nullptr) {
      help = fmt::format("'{}' belongs in {}", member.name, Decoder::home(*home_table));
    } else if (help.empty() && !names.empty() && names.size() <= 12) {
      help = fmt::format("known are {}", fmt::join(names, ", "));
    }
    refuse(member.value, member.place,
           fmt::format("unknown key '{}' in {}", shown(member.name), where(table)), std::move(help));
  }

  void wrong_type(const Key& key, Node& node) {
    std::string help;
    if (node.kind == Node::Kind::integer) {
      if (key.type == Type::duration)
        help = fmt::format("durations are strings with a unit: \"{}s\"", node.integer);
      if (key.type == Type::size) help = fmt::format("sizes are strings with a unit: \"{}B\"", node.integer);
      if (key.type == Type::percent) help = fmt::format("percentages are strings: \"{}%\"", node.integer);
      if (key.type == Type::rate) help = fmt::format("rates are strings with a time: \"{}/s\"", node.integer);
    }
    if (key.type == Type::tables && node.kind == Node::Kind::table)
      help = fmt::format("write [[{}]]", key.name);
    if (key.type == Type::table && node.kind == Node::Kind::array) help = fmt::format("write [{}]", key.name);
    const std::string word = key.word.empty() ? "" : fmt::format(" or \"{}\"", key.word);
    refuse(node, node.place,
           fmt::format("'{}' must be {}{}, found {}", key.name, expected(key), word, what(node)),
           std::move(help));
  }

  void range(const Key& key, Node& node) {
    if (node.number >= key.least && node.number <= key.most) return;
    const auto text = [&](std::int64_t number) {
      if (key.type == Type::duration) return duration_text(Duration(number));
      if (key.type == Type::size) return size_text(static_cast<std::uint64_t>(number));
      if (key.type == Type::percent) return std::to_string(number) + "%";
      return std::to_string(number);
    };
    std::string help;
    if (node.number < key.least && !key.word.empty()) help = fmt::format("use \"{}\"", key.word);
    const bool open = key.most == std::numeric_limits<std::int64_t>::max();
    refuse(node, node.place,
           open ? fmt::format("'{}' must be at least {}", key.name, text(key.least))
                : fmt::format("'{}' must be from {} to {}", key.name, text(key.least), text(key.most)),
           std::move(help));
  }

  void allowed(const Key& key, Node& node) {
    if (key.values.empty() || holds(key.values, node.text)) return;
    if (holds(key.later, node.text)) {
      refuse(node, node.place, fmt::format("'{}' = \"{}\" is not yet supported", key.name, node.text));
      return;
    }
    std::string help = did_you_mean(node.text, alternatives(key.values));
    refuse(node, node.place, fmt::format("'{}' has the unknown value \"{}\"", key.name, shown(node.text)),
           (help.empty() ? "" : help + " ") + "allowed: " + listing(key.values, key.word));
  }

  template <typename T>
  bool parsed(const Key& key, Node& node, const Parsed<T>& result) {
    if (result) return true;
    refuse(node, node.place, fmt::format("'{}': \"{}\" {}", key.name, shown(node.text), result.error()),
           fmt::format("write {}", expected(key)));
    return false;
  }

  void quantity(const Key& key, Node& node) {
    if (node.kind == Node::Kind::text && !key.word.empty() && node.text == key.word) return;
    const bool number =
        node.kind == Node::Kind::integer && (key.type == Type::integer || key.type == Type::amount);
    if (!number && (node.kind != Node::Kind::text || key.type == Type::integer)) return wrong_type(key, node);
    if (number) {
      node.number = node.integer;
    } else if (key.type == Type::duration) {
      const auto result = parse_duration(node.text);
      if (!parsed(key, node, result)) return;
      node.number = result->count();
    } else if (key.type == Type::percent) {
      const auto result = parse_percent(node.text);
      if (!parsed(key, node, result)) return;
      node.number = *result;
    } else if (key.type == Type::rate) {
      const auto result = parse_rate(node.text);
      if (!parsed(key, node, result)) return;
      node.number = result->amount;
      node.per = result->per;
      node.octets = result->octets;
    } else {
      const auto result = parse_size(node.text);
      if (!parsed(key, node, result)) return;
      node.number = *result;
      node.octets = true;
    }
    range(key, node);
  }

  void texts(const Key& key, Node& node) {
    if (node.kind == Node::Kind::text) return allowed(key, node);
    if (node.kind != Node::Kind::array) return wrong_type(key, node);
    for (Node& item : node.items) {
      if (item.bad) continue;
      if (item.kind == Node::Kind::text) {
        allowed(key, item);
      } else {
        refuse(item, item.place,
               fmt::format("'{}' must be a list of strings, found {} in it", key.name, what(item)));
      }
    }
  }

  static bool is_number(const Node& node) { return node.kind == Node::Kind::integer || node.kind == Node::Kind::real; }
  static bool is_scalar(const Node& node) {
    return node.kind == Node::Kind::text || node.kind == Node::Kind::boolean || is_number(node);
  }

  void scalars(const Key& key, Node& node) {
    if (node.kind != Node::Kind::array) return wrong_type(key, node);
    for (Node& item : node.items) {
      if (item.bad || is_scalar(item)) continue;
      refuse(item, item.place, fmt::format("'{}' must be {}, found {} in it", key.name, expected(key), what(item)));
    }
  }

  void list(const Key& key, Node& node) {
    if (node.kind != Node::Kind::array) return wrong_type(key, node);
    for (Node& item : node.items) {
      if (item.kind == Node::Kind::table) {
        table(*key.table, item);
      } else if (item.kind != Node::Kind::text || key.type != Type::entries) {
        refuse(item, item.place,
               fmt::format("'{}' must be {}, found {} in it", key.name, expected(key), what(item)));
      }
    }
  }

  void named(const Key& key, Node& node) {
    if (node.kind != Node::Kind::table) return wrong_type(key, node);
    for (Member& member : node.members) {
      if (member.value.kind == Node::Kind::table) {
        name_ = member.name;
        table(*key.table, member.value);
        continue;
      }
      refuse(member.value, member.place,
             fmt::format("'{}' in [{}] must be a table, found {}", shown(member.name), key.name,
                         what(member.value)),
             fmt::format("write [{}.NAME]", key.name));
    }
  }

  void pairs(const Key& key, Node& node) {
    if (node.kind != Node::Kind::table) return wrong_type(key, node);
    for (Member& member : node.members) {
      Node& value = member.value;
      bool fine = value.kind == Node::Kind::text || value.kind == Node::Kind::boolean;
      if (value.kind == Node::Kind::array) {
        fine = std::all_of(value.items.begin(), value.items.end(),
                           [](const Node& item) { return item.kind == Node::Kind::text; });
      }
      if (!fine) {
        refuse(value, value.place,
               fmt::format("'{}' in '{}' must be a string or a list of strings, found {}", shown(member.name),
                           key.name, what(value)));
      }
    }
  }

  void value(const Key& key, Node& node) {
    if (node.bad) return;  // its ${VAR} could not be expanded
    switch (key.type) {
      case Type::text:
      case Type::file:
        if (node.kind != Node::Kind::text) return wrong_type(key, node);
        if (node.text.empty()) return refuse(node, node.place, fmt::format("'{}' is empty", key.name));
        if (node.text.find('\0') != std::string::npos) {
          refuse(node, node.place, fmt::format("'{}' holds a NUL octet", key.name));
        }
        return;
      case Type::choice:
        if (node.kind == Node::Kind::table && key.table != nullptr) return table(*key.table, node);
        if (node.kind == Node::Kind::boolean && node.integer != 0 && holds(key.later, "true")) {
          return refuse(node, node.place, fmt::format("'{}' = true is not yet supported", key.name));
        }
        if (node.kind != Node::Kind::text) return wrong_type(key, node);
        return allowed(key, node);
      case Type::boolean:
        if (node.kind != Node::Kind::boolean) return wrong_type(key, node);
        node.number = node.integer;
        return;
      case Type::integer:
      case Type::duration:
      case Type::size:
      case Type::amount:
      case Type::rate:
      case Type::percent: return quantity(key, node);
      case Type::texts: return texts(key, node);
      case Type::scalar:
        if (!is_scalar(node)) wrong_type(key, node);
        return;
      case Type::number:
        if (!is_number(node)) wrong_type(key, node);
        return;
      case Type::scalars: return scalars(key, node);
      case Type::table:
        if (node.kind != Node::Kind::table) return wrong_type(key, node);
        return table(*key.table, node);
      case Type::tables:
      case Type::entries: return list(key, node);
      case Type::named: return named(key, node);
      case Type::pairs: return pairs(key, node);
      case Type::date:
        if (node.kind != Node::Kind::date || !node.instant) wrong_type(key, node);
        return;
      case Type::free:
        if (node.kind != Node::Kind::table) wrong_type(key, node);
        return;
    }
  }

  const Table& top_;
  Reporter& reporter_;
  std::string name_;  // of the [backend.NAME] that is being read
};

}  // namespace

void decode(const Table& table, Node& node, Reporter& reporter) { Decoder(table, reporter).table(table, node); }

}  // namespace sluice::config
