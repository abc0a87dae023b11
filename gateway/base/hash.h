// Seeded hashing (xxHash's XXH3): for hash tables keyed by untrusted input and for balancing. Not cryptographic.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace sluice {

std::uint64_t hash64(Bytes bytes, std::uint64_t seed = 0);
inline std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0) { return hash64(as_bytes(text), seed); }

}  // namespace sluice
