// The committed references are the generated text. SLUICE_WRITE_REFERENCE=1 rewrites them instead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "config/check.h"
#include "config/schema.h"
#include "loading.h"

namespace sluice::config {
namespace {

void expect_committed(const std::string& path, const std::string& text) {
  if (std::getenv("SLUICE_WRITE_REFERENCE") != nullptr) std::ofstream(path, std::ios::binary) << text;
  EXPECT_TRUE(content_of(path) == text)
      << path << " is stale: SLUICE_WRITE_REFERENCE=1 unit_config writes it anew";
}

TEST(Reference, CommittedFilesAreTheGeneratedText) {
  expect_committed(kProject + "conf/reference.toml", reference_toml());
  expect_committed(kProject + "docs/reference/config.md", reference_markdown());
}

TEST(Reference, ShippedConfigurationsLoad) {
  for (const char* name : {"minimal", "edge-jwt", "tcp-bridge", "reference"}) {
    const Loaded loaded = load(kProject + "conf/" + name + ".toml");
    EXPECT_TRUE(loaded.ok()) << text_of(loaded);
    EXPECT_TRUE(loaded.diagnostics.empty()) << text_of(loaded);
  }
}

// Every commented line is a key that the decoder takes in that place, with a value of the right type.
TEST(Reference, EveryCommentedKeyIsAccepted) {
  std::stringstream lines(reference_toml());
  std::string live;
  for (std::string line; std::getline(lines, line);) {
    const bool key = line.starts_with("# ") && line.find(" = ") != std::string::npos && line[2] >= 'a' &&
                     line[2] <= 'z' && line.find(' ', 2) == line.find(" = ");
    const bool table = line.starts_with("# [");
    if (line.starts_with("# balance = ")) continue;  // the short form; the long one follows as a table
    live += (key || table ? line.substr(2) : line) + "\n";
  }
  const Loaded loaded = load_text(live, "/nonexistent/reference.toml");
  for (const Diagnostic& one : loaded.diagnostics) {
    for (const char* wrong : {"unknown", "must be", "not TOML", "twice", "needs '", "not yet"}) {
      // `burst` and `limit` cannot both suit the unit; those judgements are not the decoder's.
      EXPECT_EQ(one.message.find(wrong), std::string::npos) << one.text();
    }
  }
}

void expect_complete(const Table& table, std::set<std::string_view>& seen) {
  std::set<std::string_view> names;
  for (const Key& key : table.keys) {
    EXPECT_TRUE(names.insert(key.name).second) << table.path << " has " << key.name << " twice";
    if (key.later == "*") continue;
    EXPECT_TRUE(!key.meaning.empty() || key.table != nullptr)
        << table.path << "." << key.name << " has no meaning";
    const bool container = key.type == Type::table || key.type == Type::tables || key.type == Type::named;
    EXPECT_TRUE(container || !key.fallback.empty() || !key.example.empty())
        << table.path << "." << key.name << " has neither default nor example";
    if (key.table != nullptr && seen.insert(key.table->path).second) expect_complete(*key.table, seen);
  }
}

TEST(Reference, EveryKeyOfTheSchemaIsExplained) {
  std::set<std::string_view> seen;
  expect_complete(root(), seen);
  EXPECT_GT(seen.size(), 12U);
}

}  // namespace
}  // namespace sluice::config
