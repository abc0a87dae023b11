// Random octets from the kernel's generator (getrandom), fetched in batches per thread: mask keys, handshake keys,
// request ids, jitter.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace sluice {

void random_fill(MutableBytes out);
std::uint64_t random_u64();
// Uniform in [0, bound); bound > 0.
std::uint64_t random_below(std::uint64_t bound);

}  // namespace sluice
