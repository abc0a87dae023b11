// reference_toml and reference_markdown: the schema as a configuration file and as a page.
#include <fmt/format.h>

#include "config/schema.h"
#include "config/units.h"

namespace sluice::config {
namespace {

bool is_container(const Key& key) {
  return key.type == Type::table || key.type == Type::tables || key.type == Type::named;
}

// Breaks a comment at 110 columns.
std::string wrapped(std::string_view text, std::string_view start) {
  std::string out;
  std::string line(start);
  bool empty = true;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
    if (!empty && line.size() + 1 + word.size() > 110) {
      out += line + "\n";
      line = start;
      empty = true;
    }
    line += ' ';
    line += word;
    empty = false;
  }
  return out + line + "\n";
}

std::string bounds(const Key& key) {
  const auto text = [&key](std::int64_t number) {
    if (key.type == Type::duration) return duration_text(Duration(number));
    if (key.type == Type::size) return size_text(static_cast<std::uint64_t>(number));
    return std::to_string(number);
  };
  const bool numeric = key.type == Type::integer || key.type == Type::duration || key.type == Type::size;
  if (!numeric || key.name == "version") return "";
  if (key.most != std::numeric_limits<std::int64_t>::max()) {
    return fmt::format("{} to {}", text(key.least), text(key.most));
  }
  return key.least > 0 ? fmt::format("at least {}", text(key.least)) : "";
}

std::string value_of(const Key& key) {
  return std::string(!key.fallback.empty() && (key.fallback != "[]" || key.example.empty()) ? key.fallback
                     : key.example.empty()                                                  ? "[]"
                                                                                            : key.example);
}

// What the configuration says when the key is live in the minimal one.
bool is_live(const Table& table, const Key& key) {
  if (table.path == "listener") return key.name == "bind";
  if (table.path == "route") return key.name == "path" || key.name == "backend";
  return table.path == "backend.NAME" && key.name == "servers";
}

std::string header_of(const Table& table, const Key& key) {
  std::string path(table.path);
  if (const std::size_t at = path.find("NAME"); at != std::string::npos) {
    path.replace(at, 4,
                 path.starts_with("auth")         ? "users"
                 : path.starts_with("rate_limit") ? "handshakes"
                                                  : "app");
  }
  return key.type == Type::tables ? fmt::format("[[{}]]", path) : fmt::format("[{}]", path);
}

void write_key(const Table& table, const Key& key, std::string& out) {
  out += wrapped(key.meaning, "#");
  std::string more;
  if (!key.values.empty() && key.type != Type::texts) {
    for (const std::string_view value : alternatives(key.values)) {
      more += fmt::format("{}\"{}\"", more.empty() ? "One of " : ", ", value);
    }
    more += ". ";
  } else if (!key.values.empty()) {
    for (const std::string_view value : alternatives(key.values)) {
      more += fmt::format("{}{}", more.empty() ? "Any of " : ", ", value);
    }
    more += ". ";
  }
  if (const std::string range = bounds(key); !range.empty()) more += fmt::format("Range: {}. ", range);
  if (!key.word.empty()) more += fmt::format("Or \"{}\". ", key.word);
  if (key.required) {
    more += "Required.";
  } else if (key.fallback.empty()) {
    more += "No default; an example:";
  } else if (key.fallback == "[]" && !key.example.empty()) {
    more += "Default: []; an example:";
  } else {
    more += "Default:";
  }
  out += wrapped(more, "#");
  out += fmt::format("{}{} = {}\n", is_live(table, key) ? "" : "# ", key.name,
                     table.path == "route" && key.name == "backend" ? "\"app\"" : value_of(key));
}

void write_table(const Table& table, std::string& out) {
  for (const Key& key : table.keys) {
    if (key.later == "*" || is_container(key)) continue;
    if (key.type == Type::pairs) {
      out += wrapped(key.table->meaning, "#") + fmt::format("# {} = {}\n", key.name, key.example);
    } else {
      write_key(table, key, out);
    }
    out += "\n";
  }
  for (const Key& key : table.keys) {
    if (key.later == "*" || key.table == nullptr || key.type == Type::pairs) continue;
    if (key.type == Type::entries) continue;  // { url, weight } is said with the list itself
    const bool live =
        key.table->path == "listener" || key.table->path == "route" || key.table->path == "backend.NAME";
    out += "# " + std::string(92, '-') + "\n";
    out += wrapped(key.table->meaning, "#");
    out += fmt::format("{}{}\n\n", live ? "" : "# ", header_of(*key.table, key));
    write_table(*key.table, out);
  }
}

const char* type_name(const Key& key) {
  switch (key.type) {
    case Type::text: return "string";
    case Type::file: return "file";
    case Type::boolean: return "boolean";
    case Type::integer: return "integer";
    case Type::duration: return "duration";
    case Type::size: return "size";
    case Type::amount: return "integer or size";
    case Type::rate: return "rate";
    case Type::percent: return "percentage";
    case Type::choice: return key.table != nullptr ? "string or table" : "string";
    case Type::texts: return "string or list";
    case Type::scalar: return "string, number or boolean";
    case Type::number: return "number";
    case Type::scalars: return "list of strings, numbers, booleans";
    case Type::pairs: return "table";
    case Type::entries: return "list";
    default: return "table";
  }
}

// A cell of a Markdown table: '|' would end it.
std::string code(std::string_view text) { return text.empty() ? "" : fmt::format("`{}`", text); }

void write_page(const Table& table, std::string& out) {
  std::string rows;
  for (const Key& key : table.keys) {
    if (key.later == "*" || is_container(key)) continue;
    std::string allowed;
    for (const std::string_view value : alternatives(key.values)) {
      allowed += fmt::format("{}`{}`", allowed.empty() ? "" : ", ", value);
    }
    if (const std::string range = bounds(key); !range.empty()) allowed += range;
    if (!key.word.empty()) allowed += fmt::format("{}or `{}`", allowed.empty() ? "" : ", ", key.word);
    rows += fmt::format("| `{}`{} | {} | {} | {} | {} |\n", key.name, key.required ? " (required)" : "",
                        type_name(key), code(key.fallback), allowed,
                        key.type == Type::pairs ? key.table->meaning : key.meaning);
  }
  const bool listed =
      table.path == "listener" || table.path == "route" || table.path == "listener.tls.certificate";
  if (table.path.empty()) {
    out += "## Top level\n\n";
  } else {
    out += listed ? fmt::format("## `[[{}]]`\n\n", table.path) : fmt::format("## `[{}]`\n\n", table.path);
    out += fmt::format("{}\n\n", table.meaning);
  }
  if (!rows.empty())
    out += "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n" + rows + "\n";
  for (const Key& key : table.keys) {
    if (key.later != "*" && key.table != nullptr && key.type != Type::pairs) write_page(*key.table, out);
  }
}

void write_later(const Table& table, std::string& out) {
  for (const Key& key : table.keys) {
    const std::string path =
        table.path.empty() ? std::string(key.name) : fmt::format("{}.{}", table.path, key.name);
    if (key.later == "*") {
      out += fmt::format("- `{}`\n", path);
      continue;
    }
    for (const std::string_view value : alternatives(key.later)) {
      out += value == "true" ? fmt::format("- `{} = true`\n", path)
                             : fmt::format("- `{} = \"{}\"`\n", path, value);
    }
    if (key.table != nullptr) write_later(*key.table, out);
  }
}

}  // namespace

std::string reference_toml() {
  std::string out =
      "# Every key of a Sluice configuration, each with its meaning and default. Generated from the schema.\n"
      "# The lines without '#' are a configuration that loads; take over others as needed.\n"
      "#\n"
      "# Durations, sizes and rates are strings with a unit: \"250ms\" \"30s\" \"5m\" \"1h\" \"1d\", "
      "\"512B\" \"64KiB\"\n"
      "# \"1MiB\" \"1GB\", \"50/s\" \"10/m\" \"100GiB/s\". ${VAR} and ${VAR:-default} expand in strings. "
      "Paths are relative\n"
      "# to the file that names them.\n\n";
  write_table(root(), out);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string reference_markdown() {
  std::string out =
      "# Configuration reference\n\n"
      "Generated from the schema table (`gateway/config/schema.cc`); `conf/reference.toml` is the same as a "
      "file.\n"
      "After a change of the schema, `SLUICE_WRITE_REFERENCE=1 unit_config` writes both anew.\n\n"
      "A configuration is TOML 1.0. Unknown keys are errors. Every fault is reported in one run, with its "
      "file, line and\n"
      "column; `sluice check` does so without starting.\n\n"
      "- **duration**: `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"`; a bare number is refused.\n"
      "- **size**: `\"512B\"`, `\"64KiB\"`, `\"1MiB\"`, `\"1GiB\"`, `\"1MB\"` (10^6); a bare number is "
      "refused.\n"
      "- **rate**: `\"50/s\"`, `\"10/m\"`, `\"5/h\"`, and of bytes `\"100GiB/s\"`.\n"
      "- **file**: a path, relative to the file that names it. Certificates, keys and secrets are watched "
      "for changes.\n"
      "- `${VAR}` and `${VAR:-default}` expand in string values, after parsing; `$${` stands for `${`. A "
      "variable that is\n"
      "  missing is an error.\n\n";
  write_page(root(), out);
  out +=
      "## Not yet supported\n\n"
      "These are known, and refused by name:\n\n";
  write_later(root(), out);
  out +=
      "- `backend.NAME.balance.unit = \"message\"` before `tcp://` servers\n"
      "- a listener on a unix socket\n";
  return out;
}

}  // namespace sluice::config
