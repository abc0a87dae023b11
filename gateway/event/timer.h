// Timer: one re-armable deadline. Fires once per arming, on its loop's thread. For short phases; what every connection
// waits for all its life (ping, idle) is swept instead (server/worker).
#pragma once

#include <functional>

#include "base/time.h"

struct event;

namespace sluice::event {

class Loop;

class Timer {
 public:
  Timer(Loop& loop, std::move_only_function<void()> fire);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  void arm(Duration after);         // any duration (min-heap)
  void arm_common(Duration after);  // a duration that many timers share (O(1) queue)
  void cancel();
  bool armed() const;
  Instant due() const { return due_; }  // while armed

 private:
  static void on_fire(int, short, void*);
  void due_in(Duration after);
  Loop& loop_;
  ::event* raw_;
  std::move_only_function<void()> fire_;
  Instant due_{};  // never fires before it by the loop's clock
};

}  // namespace sluice::event
