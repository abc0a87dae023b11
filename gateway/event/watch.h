// Watch: edge-triggered readiness of one descriptor. Registered once with EV_READ|EV_WRITE|EV_CLOSED|EV_ET|EV_PERSIST
// and never modified: there is no pause and no resume, who is not interested does not act.
#pragma once

#include <array>
#include <cstdint>

struct event;

namespace sluice::event {

class Loop;

struct Edge {
  bool readable = false;
  bool writable = false;
  bool closed = false;  // the other end has finished or reset: a short receive does not mean that nothing more comes
};

class WatchHandler {
 public:
  virtual void on_edge(Edge edge) = 0;

 protected:
  ~WatchHandler() = default;
};

// Does not own the descriptor; must be stopped (or destroyed) before it is closed.
class Watch {
 public:
  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }

  void start(Loop& loop, int fd, WatchHandler& handler);
  void stop();
  bool started() const { return handler_ != nullptr; }

 private:
  static void on_event(int, short, void*);
  ::event* raw() { return reinterpret_cast<::event*>(storage_.data()); }

  // libevent's struct event, in place: one allocation less for each connection. watch.cc checks that it fits.
  alignas(8) std::array<unsigned char, 128> storage_;
  Loop* loop_ = nullptr;
  WatchHandler* handler_ = nullptr;  // null: not started
};

}  // namespace sluice::event
