// Decode: holds a file's tree against the schema (names, types, units, ranges, values) and lets the checker
// read it with the schema's defaults filled in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/node.h"
#include "config/reporter.h"
#include "config/schema.h"

namespace sluice::config {

// Replaces ${VAR} and ${VAR:-x} in every string value; "$${" stands for "${".
void expand_environment(Node& node, Reporter& reporter);

// Reports everything that the schema forbids and fills in Node::number and its kin.
void decode(const Table& table, Node& node, Reporter& reporter);

struct Text {
  std::string text;
  Place place;
};

// One table of the configuration, there or not, with typed access by key. Asking for a key that the schema
// lacks is an impossible state. A key whose value was refused reads as its default.
class Section {
 public:
  Section(const Table& table, const Node* node, Place place) : table_(&table), node_(node), place_(place) {}

  explicit operator bool() const { return node_ != nullptr; }
  bool bad() const { return node_ != nullptr && node_->bad; }
  Place place() const { return place_; }
  Place place(std::string_view key) const;   // of the value; of the table when it is absent
  bool has(std::string_view key) const;      // written in the file, rightly or wrongly
  bool refused(std::string_view key) const;  // written, but an error was reported
  bool good(std::string_view key) const { return has(key) && !refused(key); }

  std::string text(std::string_view key) const;
  std::int64_t number(
      std::string_view key) const;  // integer, boolean, size, amount, rate; 0 for the key's word
  Duration duration(std::string_view key) const { return Duration(number(key)); }
  bool boolean(std::string_view key) const { return number(key) != 0; }
  bool is_word(std::string_view key) const;  // the word ("off") was written, or is the default
  std::vector<Text> texts(std::string_view key) const;
  const Node* node(std::string_view key) const;  // nullptr when absent or refused

  Section table(std::string_view key) const;
  std::vector<Section> tables(std::string_view key) const;
  std::vector<std::pair<std::string, Section>> named(std::string_view key) const;

 private:
  const Key& key(std::string_view name) const;
  const Table* table_;
  const Node* node_;
  Place place_;
};

}  // namespace sluice::config
