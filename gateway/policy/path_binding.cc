#include "policy/path_binding.h"

#include <algorithm>

#include "policy/claim_values.h"

namespace sluice::policy {
namespace {

constexpr std::string_view kOpening = "{claim:";

int hex(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

// Of a canonical path: its escapes are well-formed, and none stands for a slash.
std::string decoded(std::string_view segment) {
  std::string text;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '%' && i + 2 < segment.size()) {
      text.push_back(static_cast<char>(hex(segment[i + 1]) << 4 | hex(segment[i + 2])));
      i += 2;
    } else {
      text.push_back(segment[i]);
    }
  }
  return text;
}

}  // namespace

std::vector<std::string_view> path_segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

std::optional<BoundPath> BoundPath::parse(std::string_view path, std::string& why) {
  BoundPath out;
  if (path.find_first_of("{}") == std::string_view::npos) {
    out.shape = path;
    return out;
  }
  const std::vector<std::string_view> segments = path_segments(path);
  if (segments.size() > kMostSegments) {
    why = "has too many segments for one that binds claims";
    return std::nullopt;
  }
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string_view segment = segments[i];
    out.shape += '/';
    if (segment.find_first_of("{}") == std::string_view::npos) {
      out.shape += segment;
      continue;
    }
    if (!segment.starts_with(kOpening) || !segment.ends_with('}')) {
      why = "has a brace that no {claim:NAME} between two slashes accounts for";
      return std::nullopt;
    }
    const std::string_view name = segment.substr(kOpening.size(), segment.size() - kOpening.size() - 1);
    if (name.empty() || name.find_first_of("{}") != std::string_view::npos) {
      why = "names no claim in {claim:NAME}";
      return std::nullopt;
    }
    out.shape += '*';
    out.bindings.push_back({static_cast<std::uint32_t>(i), std::string(name)});
  }
  return out;
}

bool bound(const std::vector<PathBinding>& bindings, std::string_view path, const Identity& identity) {
  if (bindings.empty()) return true;
  const std::vector<std::string_view> segments = path_segments(path);
  return std::ranges::all_of(bindings, [&](const PathBinding& binding) {
    if (binding.segment >= segments.size()) return false;
    const std::string segment = decoded(segments[binding.segment]);
    const auto claim = claim_pointer(binding.claim);
    return claim && !segment.empty() && std::ranges::any_of(claim_values(identity, *claim).items, [&](const Scalar& value) {
      return value.text == segment;
    });
  });
}

}  // namespace sluice::policy
