// Reporter: collects the diagnostics of one load and knows the text of every file, so that each can show its
// line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/file.h"
#include "config/node.h"

namespace sluice::config {

class Reporter {
 public:
  // More errors than this are counted, not kept.
  static constexpr std::size_t kMost = 200;

  // A file that places may point into; returns its index. `name` is how diagnostics call it.
  std::uint32_t add_source(std::string name, std::string text);
  const std::string& name(std::uint32_t file) const { return sources_[file].name; }
  const std::string& text(std::uint32_t file) const { return sources_[file].text; }
  // The folder of the file with a trailing slash, or "": what relative paths in it are relative to.
  std::string folder(std::uint32_t file) const;

  void error(Place place, std::string message, std::string help = {});
  void warning(Place place, std::string message, std::string help = {});
  std::size_t errors() const { return errors_; }

  // In file order, by line and column.
  std::vector<Diagnostic> take();

 private:
  struct Source {
    std::string name;
    std::string text;
    std::vector<std::size_t> lines;  // offsets of line starts
  };
  struct Entry {
    Place place;
    Diagnostic diagnostic;
  };
  void add(Diagnostic::Kind kind, Place place, std::string message, std::string help);
  std::string line(Place place) const;

  std::vector<Source> sources_;
  std::vector<Entry> entries_;
  std::size_t errors_ = 0;
  std::size_t left_out_ = 0;
};

// "did you mean 'listener'?" for the nearest candidate, or "" when none is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);

// Text of the configuration for a message: control octets replaced, cut at 80 octets.
std::string shown(std::string_view text);

}  // namespace sluice::config
