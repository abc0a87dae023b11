// Runs a real Loop until something is so, or a deadline has passed: tests wait on the loop, they do not sleep.
#pragma once

#include <functional>

#include "event/loop.h"
#include "event/timer.h"

namespace sluice {

inline bool run_until(event::Loop& loop, const std::function<bool()>& so,
                      Duration deadline = std::chrono::seconds(60)) {
  if (so()) return true;
  bool late = false;
  event::Timer limit(loop, [&] {
    late = true;
    loop.stop();
  });
  event::Timer* again = nullptr;
  event::Timer look(loop, [&] {
    if (so()) {
      loop.stop();
    } else {
      again->arm(std::chrono::milliseconds(1));
    }
  });
  again = &look;
  limit.arm(deadline);
  look.arm(Duration::zero());
  loop.run();
  return !late || so();
}

}  // namespace sluice
