#include "event/watch.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/result.h"
#include "event/loop.h"

namespace sluice::event {

void Watch::on_event(int, short what, void* self) {
  Watch& watch = *static_cast<Watch*>(self);
  watch.loop_->begin_callback();
  Edge edge;
  edge.readable = (what & EV_READ) != 0;
  edge.writable = (what & EV_WRITE) != 0;
  edge.closed = (what & EV_CLOSED) != 0;
  // The end of the stream is something to read, too.
  edge.readable |= edge.closed;
  watch.handler_->on_edge(edge);  // may destroy the Watch
}

static_assert(sizeof(::event) <= 128 && alignof(::event) <= 8, "Watch::storage_");

void Watch::start(Loop& loop, int fd, WatchHandler& handler) {
  check(!handler_, "a Watch started twice");
  loop_ = &loop;
  handler_ = &handler;
  const bool good =
      event_assign(raw(), loop.raw(), fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event, this) == 0 &&
      event_add(raw(), nullptr) == 0;
  check(good, "epoll registration");
}

void Watch::stop() {
  if (!handler_) return;
  event_del(raw());
  handler_ = nullptr;
}

}  // namespace sluice::event
