// Node: one value of a configuration file with its place, free of any TOML library. Made by file.cc,
// annotated by decode.cc, read through Section by check*.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace sluice::config {

struct Place {
  std::uint32_t file = 0;  // index into the Reporter's sources
  std::uint32_t line = 0;  // 1-based; 0 = the file as a whole
  std::uint32_t column = 0;
};

struct Member;

struct Node {
  enum class Kind : std::uint8_t { text, integer, real, boolean, date, array, table };
  Kind kind = Kind::table;
  Place place;
  std::string text;             // Kind::text, after ${VAR} was expanded; Kind::real, the shortest way to write it
  std::int64_t integer = 0;     // Kind::integer and boolean
  std::optional<WallTime> instant;  // Kind::date: what it names, when that does not depend on where it is read
  std::vector<Node> items;      // Kind::array
  std::vector<Member> members;  // Kind::table, in file order

  // Filled in by the decoder.
  std::int64_t number = 0;  // a duration in ns, a size in octets, a count, a rate's amount
  Duration per{};           // of a rate
  bool octets = false;      // a rate or an amount that was written as a size
  bool bad = false;         // an error was reported: use the default, report nothing further

  const Member* find(std::string_view name) const;
};

struct Member {
  std::string name;
  Place place;  // of the key
  Node value;
};

inline const Member* Node::find(std::string_view name) const {
  for (const Member& member : members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

}  // namespace sluice::config
