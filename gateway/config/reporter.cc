#include "config/reporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

namespace sluice::config {
namespace {

constexpr std::size_t kWidest = 160;  // of a source line that is shown

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}  // an octet inside a code point

// What a file says is shown on terminals: control octets become '?', and so do those of C1, of which U+009B begins an escape
// sequence as ESC [ does.
std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool c1 = octet == 0xC2 && next >= 0x80 && next < 0xA0;
    out += c1 || (octet < 0x20 && octet != '\t') || octet == 0x7F ? '?' : text[i];
    if (c1) ++i;
  }
  return out;
}

// A line that sets a secret in the clear must not be repeated into a log: what stands behind its '=' is
// replaced.
std::string masked(std::string line) {
  for (const std::string_view word : {"secret", "password", "token"}) {
    for (std::size_t at = line.find(word); at != std::string::npos; at = line.find(word, at + 1)) {
      const std::size_t equals = line.find_first_not_of(" \t\"'", at + word.size());
      if (equals == std::string::npos || line[equals] != '=') continue;
      return line.substr(0, equals + 1) + " ********";
    }
  }
  // Nor an API key, which may have been pasted where its digest belongs.
  constexpr std::string_view kKey = "sk_";
  for (std::size_t at = line.find(kKey); at != std::string::npos; at = line.find(kKey, at + 1)) {
    const std::size_t end = std::min(line.find_first_of(" \t\"',]}", at), line.size());
    line.replace(at + kKey.size(), end - at - kKey.size(), "********");
  }
  // Nor the password of a URL: //USER:PASSWORD@HOST.
  for (std::size_t at = line.find("://"); at != std::string::npos; at = line.find("://", at + 3)) {
    const std::size_t end = line.rfind('@');
    const std::size_t colon = line.find(':', at + 3);
    if (end == std::string::npos || colon > end) continue;
    line.replace(colon + 1, end - colon - 1, "********");
  }
  return line;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::vector<std::size_t> two_before(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) before[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({before[j] + 1, row[j - 1] + 1, change});
      // Two letters swapped count as one slip.
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_before[j - 2] + 1);
      }
    }
    two_before = before;
    before = row;
  }
  return before[b.size()];
}

}  // namespace

std::string Diagnostic::text() const {
  std::string out = printable(file);
  out += line == 0 ? ": " : fmt::format(":{}:{}: ", line, column);
  out += fmt::format("{}: {}\n", kind == Kind::error ? "error" : "warning", printable(message));
  if (line != 0 && !source.empty()) {
    std::string shown_line = source;
    std::size_t before = column > 0 ? column - 1 : 0;  // code points in front of the caret
    // A long line is shown from a little before the place on.
    std::size_t start = 0;
    if (before > kWidest - 40) {
      std::size_t skip = before - 40;
      before = 40;
      while (start < shown_line.size() && skip > 0) {
        ++start;
        while (start < shown_line.size() && continues(shown_line[start])) ++start;
        --skip;
      }
    }
    shown_line = shown_line.substr(start, kWidest);
    while (!shown_line.empty() && start + shown_line.size() < source.size() &&
           continues(source[start + shown_line.size()])) {
      shown_line.pop_back();
    }
    std::string pad;
    for (std::size_t i = 0; i < shown_line.size() && before > 0; ++i) {
      if (continues(shown_line[i])) continue;
      pad += shown_line[i] == '\t' ? '\t' : ' ';
      --before;
    }
    pad.append(before, ' ');
    const std::string number = std::to_string(line);
    out += fmt::format("  {} | {}\n", number, shown_line);
    out += fmt::format("  {} | {}^\n", std::string(number.size(), ' '), pad);
  }
  if (!help.empty()) out += fmt::format("  help: {}\n", printable(help));
  return out;
}

std::uint32_t Reporter::add_source(std::string name, std::string text) {
  Source source{std::move(name), std::move(text), {0}};
  for (std::size_t i = 0; i < source.text.size(); ++i) {
    if (source.text[i] == '\n') source.lines.push_back(i + 1);
  }
  sources_.push_back(std::move(source));
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

std::string Reporter::folder(std::uint32_t file) const {
  const std::string& path = sources_[file].name;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

std::string Reporter::line(Place place) const {
  const Source& source = sources_[place.file];
  if (place.line == 0 || place.line > source.lines.size()) return {};
  const std::size_t begin = source.lines[place.line - 1];
  std::size_t end = source.text.find('\n', begin);
  if (end == std::string::npos) end = source.text.size();
  // More than can be shown is never copied for each of many diagnostics on one huge line.
  const std::size_t most = place.column * std::size_t{4} + 4 * kWidest;
  std::string text = source.text.substr(begin, std::min(end - begin, most));
  std::ranges::replace(text, '\r', ' ');
  return masked(printable(text));
}

void Reporter::add(Diagnostic::Kind kind, Place place, std::string message, std::string help) {
  if (kind == Diagnostic::Kind::error) ++errors_;
  if (entries_.size() >= kMost) {
    ++left_out_;
    return;
  }
  Diagnostic diagnostic;
  diagnostic.kind = kind;
  diagnostic.file = sources_[place.file].name;
  diagnostic.line = place.line;
  diagnostic.column = place.column;
  diagnostic.message = std::move(message);
  diagnostic.help = std::move(help);
  diagnostic.source = line(place);
  entries_.push_back({place, std::move(diagnostic)});
}

void Reporter::error(Place place, std::string message, std::string help) {
  add(Diagnostic::Kind::error, place, std::move(message), std::move(help));
}

void Reporter::warning(Place place, std::string message, std::string help) {
  add(Diagnostic::Kind::warning, place, std::move(message), std::move(help));
}

std::vector<Diagnostic> Reporter::take() {
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.place.file, a.place.line, a.place.column) <
           std::tie(b.place.file, b.place.line, b.place.column);
  });
  std::vector<Diagnostic> out;
  out.reserve(entries_.size() + 1);
  for (Entry& entry : entries_) out.push_back(std::move(entry.diagnostic));
  if (left_out_ > 0) {
    Diagnostic rest;
    rest.file = sources_.front().name;
    rest.message = fmt::format("{} further faults are not listed", left_out_);
    out.push_back(std::move(rest));
  }
  entries_.clear();
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > 64) return {};
  std::string_view best;
  std::size_t nearest = std::numeric_limits<std::size_t>::max();
  for (const std::string_view candidate : candidates) {
    const std::size_t gap =
        candidate.size() > word.size() ? candidate.size() - word.size() : word.size() - candidate.size();
    if (candidate.size() > 64 || gap > 3) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < nearest) {
      nearest = distance;
      best = candidate;
    }
  }
  // Half of a short word changed is another word.
  const std::size_t allowed = std::clamp<std::size_t>((std::max(word.size(), best.size()) + 1) / 3, 1, 3);
  if (nearest > allowed || best.empty()) return {};
  return fmt::format("did you mean '{}'?", best);
}

std::string shown(std::string_view text) {
  std::string out = printable(text.substr(0, 80));
  if (text.size() > 80) out += "...";
  return out;
}

}  // namespace sluice::config
