#include "event/timer.h"

#include <event2/event.h>

#include "base/result.h"
#include "event/loop.h"

namespace sluice::event {

namespace {

timeval to_timeval(Duration duration) {
  if (duration < Duration::zero()) duration = Duration::zero();
  // Rounded up: a timer never fires before its time.
  const auto micro = std::chrono::ceil<std::chrono::microseconds>(duration).count();
  timeval raw{};
  raw.tv_sec = micro / 1'000'000;
  raw.tv_usec = micro % 1'000'000;
  return raw;
}

}  // namespace

void Timer::on_fire(int, short, void* self) {
  Timer& timer = *static_cast<Timer*>(self);
  timer.loop_.begin_callback();
  // libevent counts by the coarse clock, which lags the loop's by up to a tick: too early, then, and once more.
  if (const Duration left = timer.due_ - timer.loop_.now(); left > Duration::zero()) {
    const timeval raw = to_timeval(left);
    check(evtimer_add(timer.raw_, &raw) == 0, "evtimer_add");
    return;
  }
  timer.fire_();  // may destroy the Timer
}

Timer::Timer(Loop& loop, std::move_only_function<void()> fire) : loop_(loop), fire_(std::move(fire)) {
  raw_ = evtimer_new(loop.raw(), on_fire, this);
  check(raw_ != nullptr, "evtimer_new");
}

Timer::~Timer() { event_free(raw_); }

void Timer::due_in(Duration after) {
  const Instant now = loop_.now();
  due_ = after < kNever - now ? now + after : kNever;
}

void Timer::arm(Duration after) {
  due_in(after);
  const timeval raw = to_timeval(after);
  check(evtimer_add(raw_, &raw) == 0, "evtimer_add");
}

void Timer::arm_common(Duration after) {
  const timeval* raw = loop_.common_timeout(after);
  if (!raw) return arm(after);
  due_in(after);
  check(evtimer_add(raw_, raw) == 0, "evtimer_add");
}

void Timer::cancel() { evtimer_del(raw_); }
bool Timer::armed() const { return evtimer_pending(raw_, nullptr) != 0; }

}  // namespace sluice::event
