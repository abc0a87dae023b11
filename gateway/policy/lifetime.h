// For how long an identity still counts.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/time.h"
#include "policy/identity.h"

namespace sluice::policy {

// From `now` to its expiry and the leeway behind it; zero when that is over, a century at most: dates such as the certificates'
// 9999-12-31 (RFC 5280 §4.1.2.5) lie further away than a Duration reaches. Of an identity that expires.
inline Duration left_of(const Identity& identity, std::int64_t leeway_seconds, WallTime now) {
  using Milliseconds = std::chrono::milliseconds;
  constexpr Milliseconds kMost = std::chrono::hours(24 * 36525);
  const auto left = std::chrono::duration_cast<Milliseconds>(identity.expiry - now) + std::chrono::seconds(leeway_seconds);
  return std::clamp<Milliseconds>(left, Milliseconds(0), kMost);
}

}  // namespace sluice::policy
