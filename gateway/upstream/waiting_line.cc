#include "upstream/waiting_line.h"

namespace sluice::upstream {

bool WaitingLine::enter(const void* of, Waiter& waiter, std::uint32_t most) {
  const std::lock_guard lock(mutex_);
  if (size() >= most) return false;
  size_.fetch_add(1, std::memory_order_acq_rel);
  std::list<Waiter*>& line = lines_[of];
  waiter.place_ = line.insert(line.end(), &waiter);
  return true;
}

void WaitingLine::leave(const void* of, Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  size_.fetch_sub(1, std::memory_order_acq_rel);
  const auto line = lines_.find(of);
  const bool was_first = line->second.front() == &waiter;
  line->second.erase(waiter.place_);
  if (line->second.empty()) {
    lines_.erase(line);
  } else if (was_first) {
    line->second.front()->call();
  }
}

bool WaitingLine::first(const void* of, const Waiter& waiter) const {
  const std::lock_guard lock(mutex_);
  return lines_.find(of)->second.front() == &waiter;
}

bool WaitingLine::any(const void* of) const {
  if (size() == 0) return false;
  const std::lock_guard lock(mutex_);
  return lines_.contains(of);
}

// Adding nothing puts this in one order with every enter(): either whoever waits is seen here, or it sees what was changed
// before.
void WaitingLine::call_first() {
  if (size_.fetch_add(0, std::memory_order_acq_rel) == 0) return;
  const std::lock_guard lock(mutex_);
  for (const auto& [of, line] : lines_) line.front()->call();
}

}  // namespace sluice::upstream
