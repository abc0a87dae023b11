// Listener: one listening socket on one worker. Accepts a bounded number per wake-up, pauses for 100 ms when descriptors
// run out (EMFILE, ENFILE), and empties its queue before it closes, so that nobody who was let in is reset.
#pragma once

#include <functional>

#include "event/timer.h"
#include "event/watch.h"
#include "net/socket.h"

namespace sluice::net {

class Listener final : private event::WatchHandler {
 public:
  using Accepted = std::move_only_function<void(Fd, const Address& peer)>;
  using Failed = std::move_only_function<void(int error)>;  // accept() failed: EMFILE and the like

  Listener(event::Loop& loop, Fd fd, Accepted accepted, Failed failed);
  ~Listener() { stop(); }

  // Accepts what waits, then closes. Idempotent.
  void stop();
  bool listening() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

 private:
  void on_edge(event::Edge edge) override;
  void accept_some(int budget);

  event::Loop& loop_;
  Fd fd_;
  event::Watch watch_;
  event::Timer pause_;
  Accepted accepted_;
  Failed failed_;
};

}  // namespace sluice::net
