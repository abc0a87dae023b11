#include "config/file.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "config/check.h"
#include "config/decode.h"
#include "config/document.h"
#include "config/read_file.h"
#include "config/schema.h"

namespace sluice::config {
namespace {

constexpr std::size_t kLargest = 8 * 1024 * 1024;  // octets of one file
constexpr std::size_t kMostFiles = 512;
constexpr int kDeepestInclude = 8;

std::string canonical(const std::string& path) {
  std::error_code failure;
  const auto found = std::filesystem::weakly_canonical(path, failure);
  return failure ? path : found.string();
}

// Reads one file and its includes into one tree.
class Loader {
 public:
  Loader(Reporter& reporter, Settings& settings) : reporter_(reporter), settings_(settings) {}

  Node& tree() { return tree_; }

  void text(std::string name, std::string content, int depth) {
    settings_.files.push_back(name);
    open_.push_back(canonical(name));
    const std::uint32_t file = reporter_.add_source(std::move(name), std::move(content));
    Node node;
    if (parse_document(file, reporter_, node)) {
      expand_environment(node, reporter_);
      const std::vector<Text> patterns = take_includes(node);
      merge(tree_, std::move(node), root());
      for (const Text& pattern : patterns) include(pattern, depth);
    }
    open_.pop_back();
  }

 private:
  // The patterns of `include`, which stays in the tree for the decoder to judge.
  static std::vector<Text> take_includes(const Node& node) {
    const Member* member = node.find("include");
    if (member == nullptr || member->value.bad) return {};
    if (member->value.kind == Node::Kind::text) return {{member->value.text, member->value.place}};
    std::vector<Text> out;
    for (const Node& item : member->value.items) {
      if (item.kind == Node::Kind::text && !item.bad) out.push_back({item.text, item.place});
    }
    return out;
  }

  void include(const Text& pattern, int depth) {
    std::string full = pattern.text;
    if (!full.starts_with('/')) {
      std::string folder;
      for (const char c : reporter_.folder(pattern.place.file)) {
        if (std::string_view("*?[\\").find(c) != std::string_view::npos) folder += '\\';
        folder += c;
      }
      full = folder + full;
    }
    glob_t found{};
    const int result = ::glob(full.c_str(), 0, nullptr, &found);
    std::vector<std::string> paths;
    for (std::size_t i = 0; result == 0 && i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    // A folder of includes may be empty; one file that was named must be there.
    if (paths.empty() && pattern.text.find_first_of("*?[") == std::string::npos) {
      reporter_.error(pattern.place, fmt::format("include: there is no file {}", shown(pattern.text)));
    }
    for (const std::string& path : paths) include_file(path, pattern, depth);
  }

  void include_file(const std::string& path, const Text& pattern, int depth) {
    const std::string real = canonical(path);
    if (std::find(open_.begin(), open_.end(), real) != open_.end()) {
      return reporter_.error(pattern.place, fmt::format("include: {} includes itself", shown(path)));
    }
    if (depth + 1 > kDeepestInclude) {
      return reporter_.error(pattern.place, fmt::format("include: more than {} files deep", kDeepestInclude));
    }
    if (settings_.files.size() >= kMostFiles) {
      return reporter_.error(pattern.place, fmt::format("include: more than {} files", kMostFiles));
    }
    FileContent content = read_file(path, kLargest);
    if (!content.error.empty()) {
      return reporter_.error(pattern.place,
                             fmt::format("include: cannot read {}: {}", shown(path), content.error));
    }
    text(path, std::move(content.content), depth + 1);
  }

  // Adds the tables of one file to those of the others: lists are joined, tables by name, nothing may be said
  // twice.
  void merge(Node& into, Node&& from, const Table& table) {
    for (Member& member : from.members) {
      const Key* key = table.find(member.name);
      const auto there = std::find_if(into.members.begin(), into.members.end(),
                                      [&](const Member& other) { return other.name == member.name; });
      if (there == into.members.end()) {
        into.members.push_back(std::move(member));
        continue;
      }
      const bool lists = there->value.kind == Node::Kind::array && member.value.kind == Node::Kind::array;
      const bool tables = there->value.kind == Node::Kind::table && member.value.kind == Node::Kind::table;
      if (key != nullptr && (key->type == Type::tables || key->name == "include") && lists) {
        std::move(member.value.items.begin(), member.value.items.end(),
                  std::back_inserter(there->value.items));
      } else if (key != nullptr && (key->type == Type::named || key->type == Type::table) && tables &&
                 key->table != nullptr) {
        static const Table kNames{"", "", {}};  // names are free, and each is said once
        merge(there->value, std::move(member.value), key->type == Type::named ? kNames : *key->table);
      } else if (key == nullptr || (key->name != "version" && key->name != "include")) {
        reporter_.error(
            member.place, fmt::format("'{}' is defined twice", shown(member.name)),
            fmt::format("it stands in {}:{} already", reporter_.name(there->place.file), there->place.line));
      } else if (key->name == "version") {
        there->value = std::move(member.value);
      }
    }
  }

  Reporter& reporter_;
  Settings& settings_;
  Node tree_;
  std::vector<std::string> open_;  // canonical paths of the files that are being read
};

Loaded finish(const std::string& path, std::string content) {
  Loaded out;
  out.settings.file = path;
  Reporter reporter;
  Loader loader(reporter, out.settings);
  loader.text(path, std::move(content), 0);
  if (reporter.errors() == 0 || !loader.tree().members.empty()) {
    decode(root(), loader.tree(), reporter);
    interpret(Section(root(), &loader.tree(), {}), reporter, out.settings);
  }
  out.diagnostics = reporter.take();
  return out;
}

}  // namespace

bool Loaded::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(),
                      [](const Diagnostic& one) { return one.kind == Diagnostic::Kind::error; });
}

Loaded load(const std::string& path) {
  FileContent file = read_file(path, kLargest);
  if (file.error.empty()) return finish(path, std::move(file.content));
  Loaded out;
  out.settings.file = path;
  Diagnostic fault;
  fault.file = path;
  fault.message = fmt::format("cannot be read: {}", file.error);
  out.diagnostics.push_back(std::move(fault));
  return out;
}

Loaded load_text(std::string_view text, const std::string& path) {
  if (text.size() <= kLargest) return finish(path, std::string(text));
  Loaded out;
  out.settings.file = path;
  Diagnostic fault;
  fault.file = path;
  fault.message = "cannot be read: it is larger than 8MiB";
  out.diagnostics.push_back(std::move(fault));
  return out;
}

}  // namespace sluice::config
