// PathBinding: a segment of a route's path that a claim decides: "/rooms/{claim:room}" is for who may be in that room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/identity.h"

namespace sluice::policy {

struct PathBinding {
  std::uint32_t segment = 0;  // of the path, from 0
  std::string claim;          // at the top of the claims
  bool operator==(const PathBinding&) const = default;
};

// The segments of a path that begins with '/': "/a/b" has two, "/a/" has a second one that is empty.
std::vector<std::string_view> path_segments(std::string_view path);

// A route's path with "*" in place of each segment that is a binding, and those.
struct BoundPath {
  static constexpr std::size_t kMostSegments = 32;
  std::string shape;
  std::vector<PathBinding> bindings;

  // Errors in words, a clause: a brace elsewhere than around a whole segment, something else in it, too many segments. The
  // rest of the path is not judged. Without a brace the shape is the path.
  static std::optional<BoundPath> parse(std::string_view path, std::string& why);
};

// Whether each bound segment of the canonical path, percent-decoded, is what the claim says or one of a list; numbers and
// booleans as they are written. An absent claim binds nothing.
bool bound(const std::vector<PathBinding>& bindings, std::string_view path, const Identity& identity);

}  // namespace sluice::policy
