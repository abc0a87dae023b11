// Mailbox: the only door between threads. Any thread posts a task; the owner's loop runs it, in order.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "event/watch.h"

namespace sluice::event {

class Loop;

class Mailbox final : private WatchHandler {
 public:
  explicit Mailbox(Loop& loop);
  ~Mailbox();
  // From any thread. After the owner's loop has ended tasks are destroyed unrun.
  void post(std::move_only_function<void()> task);

 private:
  void on_edge(Edge) override;
  int fd_;  // eventfd
  Watch watch_;
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> posted_;
  std::vector<std::move_only_function<void()>> running_;
};

}  // namespace sluice::event
