// nesting: refuses text that would make a TOML parser recurse without bound, before one sees it.
#pragma once

#include <optional>
#include <string_view>

#include "config/node.h"

namespace sluice::config {

// Place (line and column) of the first bracket or dotted key beyond the depth that any configuration needs.
std::optional<Place> too_deep(std::string_view text);

}  // namespace sluice::config
