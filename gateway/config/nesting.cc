#include "config/nesting.h"

namespace sluice::config {
namespace {

constexpr int kDeepest = 32;   // brackets inside each other; the schema needs four
constexpr int kMostDots = 32;  // of one key, [a.b.c] included; the schema needs three

// Knows of TOML only what hides brackets and dots: comments and the four kinds of string.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Place> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        continue;
      }
      if (deeper(c)) return place_;
      step();
    }
    return std::nullopt;
  }

 private:
  bool deeper(char c) {
    switch (c) {
      case '[':
      case '{': dots_ = 0; return ++depth_ > kDeepest;
      case ']':
      case '}':
        dots_ = 0;
        if (depth_ > 0) --depth_;
        return false;
      case '.': return ++dots_ > kMostDots;
      case '\n':
      case '=':
      case ',': dots_ = 0; return false;
      default: return false;
    }
  }

  void step() {
    if (text_[at_] == '\n') {
      ++place_.line;
      place_.column = 1;
    } else if ((static_cast<unsigned char>(text_[at_]) & 0xC0U) != 0x80U) {
      ++place_.column;
    }
    ++at_;
  }

  void skip_string(char quote) {
    const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
    const bool many_lines = text_.substr(at_).starts_with(triple);
    for (std::size_t i = 0; i < (many_lines ? 3U : 1U); ++i) step();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"' && at_ + 1 < text_.size()) {
        step();
        step();
        continue;
      }
      if (many_lines && text_.substr(at_).starts_with(triple)) {
        for (std::size_t i = 0; i < 3; ++i) step();
        return;
      }
      if (!many_lines && c == '\n') return;  // unterminated: the parser will say so
      step();
      if (!many_lines && c == quote) return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Place place_{0, 1, 1};
  int depth_ = 0;
  int dots_ = 0;
};

}  // namespace

std::optional<Place> too_deep(std::string_view text) { return Scanner(text).run(); }

}  // namespace sluice::config
