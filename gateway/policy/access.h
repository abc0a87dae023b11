// Access: allow and deny by Origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/head.h"

namespace sluice::policy {

// One allowed origin: "https://chat.example.com", "https://*.example.com" (one or more labels on the left), with or
// without port. Parsed once by config/.
struct OriginPattern {
  std::string scheme;
  std::string host;    // lower case; for a wildcard the suffix with its leading dot
  std::uint16_t port = 0;
  bool wildcard = false;
  static std::optional<OriginPattern> parse(std::string_view text);
};

// Allowed: no Origin at all; or exactly one that matches a pattern. An empty pattern list allows every Origin, except
// that with `same_host` set (cookie carriers without `origins`) its host and port must equal the request's Host.
// `null`, two Origin fields, or one that cannot be parsed, when they are checked → origin. Never reflects it.
Result<void> check_origin(const http::Head& head, const std::vector<OriginPattern>& allowed, bool same_host);

}  // namespace sluice::policy
