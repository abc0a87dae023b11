// Backoff: how long to wait before the next attempt at something that failed: twice as long each time, up to a bound, and a
// random part of up to half of it less, so that many who lost the same thing do not come back together. Starts anew once an
// attempt has held for a while.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace sluice::store {

class Backoff {
 public:
  Backoff(Duration first, Duration most) : first_(first), most_(most), next_(first) {}

  // `random`: any 64 bits.
  Duration next(std::uint64_t random) {
    const Duration whole = next_;
    next_ = std::min(2 * next_, most_);
    return whole - Duration(static_cast<std::int64_t>(random % static_cast<std::uint64_t>(whole.count() / 2 + 1)));
  }
  // What succeeded has ended again after so long.
  void held(Duration lasted) {
    if (lasted >= most_) next_ = first_;
  }

 private:
  Duration first_;
  Duration most_;
  Duration next_;
};

}  // namespace sluice::store
