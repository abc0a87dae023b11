// Loop: one libevent event_base (no locks), owned and run by one thread. Everything that waits, waits here.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/time.h"

struct event_base;
struct timeval;

namespace sluice::event {

class Loop final : public Clock {
 public:
  // `clock` replaces the monotonic clock: for simulations, whose timers are not libevent's then.
  explicit Loop(const Clock* clock = nullptr);
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(); returns when stopped and what was deferred has run.
  void run();
  void stop();

  // Time of the current pass: read at its first callback, the same for everything that runs in the pass.
  Instant now() const override { return now_; }
  // The clock itself, to measure one piece of work inside a pass.
  Instant exactly_now() const;
  WallTime wall() const override;

  // Runs the task after the events of this pass, before the next wait. Tasks deferred by a task run in the next pass.
  void defer(std::move_only_function<void()> task);
  // Destroys what was deferred, unrun: for an owner that is destroyed before its loop.
  void drop_deferred() { deferred_.clear(); }
  // Destroys the object at the end of the pass, when no callback of it can be on the stack.
  template <typename T>
  void retire(std::unique_ptr<T> object) {
    graveyard_.push_back({object.release(), [](void* p) { delete static_cast<T*>(p); }});
  }

  event_base* raw() const { return base_; }
  // Reads the clock.
  void refresh();
  // Every trampoline from libevent (Watch, Timer, Signals) calls this first, so that now() is of this pass.
  void begin_callback();
  // The common-timeout queue of a duration (O(1) re-arming), made on first use; for durations used by many timers.
  const timeval* common_timeout(Duration duration);

 private:
  struct Grave {
    void* object;
    void (*bury)(void*);
  };
  void run_deferred();

  event_base* base_;
  const Clock* clock_;
  Instant now_{};
  bool stopping_ = false;
  bool pass_fresh_ = false;  // now_ was read in this pass
  std::vector<std::move_only_function<void()>> deferred_;
  std::vector<Grave> graveyard_;
  struct Common {
    Duration duration;
    const timeval* raw;
  };
  std::vector<Common> common_;
};

// Of libevent, as compiled and as loaded.
struct LibraryVersion {
  const char* built;
  const char* running;
};
LibraryVersion library_version();

}  // namespace sluice::event
