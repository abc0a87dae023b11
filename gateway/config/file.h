// Loads a configuration file: TOML → Settings. All faults are found in one run, each with its place in the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

struct Diagnostic {
  enum class Kind : std::uint8_t { error, warning };
  Kind kind = Kind::error;
  std::string file;
  std::uint32_t line = 0;    // 1-based; 0 = the file as a whole
  std::uint32_t column = 0;
  std::string message;       // "unknown key 'listner' in top level"
  std::string help;          // "did you mean 'listener'?"; may be empty

  // file:line:column: error: message, the line with a caret under it, and "  help: ...". Ends with a newline.
  std::string text() const;
  std::string source;        // the line of the file that it points at
};

struct Loaded {
  Settings settings;
  std::vector<Diagnostic> diagnostics;  // in file order
  bool ok() const;  // no errors (warnings do not count)
};

// Reads the file, its includes and every certificate, key, secret and token file that it names. Relative paths are
// relative to the file that names them. Never throws, never asks the network.
Loaded load(const std::string& path);
// The same of a text, as if it were the file `path` (tests, the demo).
Loaded load_text(std::string_view text, const std::string& path);

}  // namespace sluice::config
