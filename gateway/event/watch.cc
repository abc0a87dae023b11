#include "event/watch.h"

#include <event2/event.h>

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

void Watch::start(Loop& loop, int fd, WatchHandler& handler) {
  check(!raw_, "a Watch started twice");
  loop_ = &loop;
  handler_ = &handler;
  raw_ = event_new(loop.raw(), fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event, this);
  check(raw_ && event_add(raw_, nullptr) == 0, "epoll registration");
}

void Watch::stop() {
  if (!raw_) return;
  event_free(raw_);
  raw_ = nullptr;
}

}  // namespace sluice::event
