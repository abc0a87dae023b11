// Freshness: for how long an answer may be used before it is asked for again (RFC 9111 §4.2), as its sender says. For a
// private cache of one answer at a time; rules of shared caches (s-maxage) do not apply. Sans I/O.
#pragma once

#include <optional>

#include "base/time.h"
#include "http/head.h"

namespace sluice::http {

// From now on: max-age less Age, never negative. Zero for no-store, no-cache and for a max-age that cannot be read
// (§4.2.1: such an answer counts as stale); the smallest of several. nullopt when the sender does not say.
std::optional<Duration> freshness(const Head& head);

}  // namespace sluice::http
