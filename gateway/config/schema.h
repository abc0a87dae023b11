// The schema: one table that says which keys a configuration may hold, where, of which type, unit, range and
// default, and what they mean. It drives the decoder, the suggestions, conf/reference.toml and
// docs/reference/config.md.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

enum class Type : std::uint8_t {
  text,
  file,  // path of a file, relative to the file that names it
  boolean,
  integer,
  duration,  // "30s"
  size,      // "64KiB"
  amount,    // an integer or a size
  rate,      // "50/s"
  percent,   // "125%"
  date,      // an instant: 2027-01-01T00:00:00Z
  choice,    // one of `values`; also a table of `table` when that is set
  texts,     // a string or a list of strings, each one of `values` when these are set
  scalar,    // a string, a number or a boolean
  number,    // an integer or a number with a fraction
  scalars,   // a list of strings, numbers and booleans
  table,     // [name]
  tables,    // [[name]]
  named,     // [name.NAME]
  pairs,     // a table whose names are free; its values are strings, lists of strings or true
  free,      // a table that whoever reads it judges
  entries,   // a list of strings or tables
};

struct Table;

struct Key {
  std::string_view name;
  Type type = Type::text;
  std::string_view fallback = {};  // the default as TOML; empty: none
  std::string_view meaning = {};
  std::string_view values = {};  // "off|optional|required"
  std::string_view later = {};   // values that are known and not yet supported; "*": the key itself
  std::string_view word = {};    // a word that may stand for the number 0: "off", "unlimited", "auto"
  std::int64_t least = 0;        // range, in ns, octets or units
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const Table* table = nullptr;
  std::string_view example = {};  // as TOML, for a key without default
  bool required = false;
};

struct Table {
  std::string_view path;  // "route.websocket", "backend.NAME.tls"; "" is the top level
  std::string_view meaning;
  std::span<const Key> keys;

  const Key* find(std::string_view name) const;
};

const Table& root();

// The parts of "a|b|c".
std::vector<std::string_view> alternatives(std::string_view list);

// A configuration file with every key, each commented with its default and meaning; the live lines are a
// minimal configuration that loads. The committed conf/reference.toml is this text; `SLUICE_WRITE_REFERENCE=1
// unit_config` rewrites it and docs/reference/config.md.
std::string reference_toml();
std::string reference_markdown();

}  // namespace sluice::config
