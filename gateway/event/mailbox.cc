#include "event/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/result.h"
#include "event/loop.h"

namespace sluice::event {

Mailbox::Mailbox(Loop& loop) : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  check(fd_ >= 0, "eventfd");
  watch_.start(loop, fd_, *this);
}

Mailbox::~Mailbox() {
  watch_.stop();
  ::close(fd_);
}

void Mailbox::post(std::move_only_function<void()> task) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (!first) return;  // who found it empty has rung, or is about to
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the owner is being woken anyway.
  [[maybe_unused]] const ssize_t n = ::write(fd_, &one, sizeof one);
}

void Mailbox::on_edge(Edge edge) {
  if (!edge.readable) return;
  std::uint64_t rings;
  [[maybe_unused]] const ssize_t n = ::read(fd_, &rings, sizeof rings);
  {
    const std::lock_guard lock(mutex_);
    running_.swap(posted_);
  }
  for (auto& task : running_) task();
  running_.clear();
}

}  // namespace sluice::event
