#include "event/loop.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <time.h>

#include <utility>

#include "base/result.h"

namespace sluice::event {

namespace {

constexpr std::size_t kMostQueues = 256;  // of common timeouts in one event_base; libevent complains beyond them

}  // namespace

Loop::Loop(const Clock* clock) : clock_(clock) {
  event_config* config = event_config_new();
  check(config != nullptr, "event_config_new");
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
  base_ = event_base_new_with_config(config);
  event_config_free(config);
  check(base_ != nullptr, "no event backend with edge triggering");
  refresh();
}

Loop::~Loop() {
  run_deferred();
  event_base_free(base_);
}

Instant Loop::exactly_now() const {
  if (clock_) return clock_->now();
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

void Loop::refresh() { now_ = exactly_now(); }

WallTime Loop::wall() const {
  if (clock_) return clock_->wall();
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

void Loop::run() {
  while (!stopping_) {
    const bool busy = !deferred_.empty() || !graveyard_.empty();
    event_base_loop(base_, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0));
    run_deferred();
    pass_fresh_ = false;
  }
  stopping_ = false;
}

void Loop::stop() {
  stopping_ = true;
  event_base_loopbreak(base_);
}

void Loop::begin_callback() {
  if (pass_fresh_) return;
  pass_fresh_ = true;
  refresh();
}

void Loop::defer(std::move_only_function<void()> task) { deferred_.push_back(std::move(task)); }

void Loop::run_deferred() {
  begin_callback();
  auto tasks = std::exchange(deferred_, {});
  for (auto& task : tasks) task();
  // Burying may retire more (an owner's destructor): again until nothing is left.
  while (!graveyard_.empty()) {
    auto graves = std::exchange(graveyard_, {});
    for (const Grave& grave : graves) grave.bury(grave.object);
  }
}

LibraryVersion library_version() { return {LIBEVENT_VERSION, event_get_version()}; }

const timeval* Loop::common_timeout(Duration duration) {
  for (const Common& common : common_) {
    if (common.duration == duration) return common.raw;
  }
  if (common_.size() == kMostQueues) return nullptr;  // the caller falls back to the heap
  timeval wanted{};
  wanted.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  wanted.tv_usec = std::chrono::duration_cast<std::chrono::microseconds>(duration % std::chrono::seconds(1)).count();
  const timeval* raw = event_base_init_common_timeout(base_, &wanted);
  if (raw) common_.push_back({duration, raw});
  return raw;
}

}  // namespace sluice::event
