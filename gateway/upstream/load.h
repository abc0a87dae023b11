// Load: what one backend carries now, of all workers and all configurations that name it: connections, clients that wait for
// one, and its circuit breaker. Kept over reloads by the registry. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/breaker.h"
#include "upstream/waiting_line.h"

namespace sluice::upstream {

// One more of at most `most` (0: any number); never one too many, however many threads ask at once.
inline bool take_one(std::atomic<std::uint32_t>& count, std::uint32_t most) {
  std::uint32_t now = count.load(std::memory_order_relaxed);
  do {
    if (most != 0 && now >= most) return false;
  } while (!count.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

struct Load {
  std::atomic<std::uint32_t> active{0};  // connections (legs) to its servers
  std::atomic<std::uint32_t> held{0};    // of these and of those that rest in pools (upstream/pool.h)
  WaitingLine line;                      // of clients that wait for one
  Breaker breaker;
};

}  // namespace sluice::upstream
