#include "policy/key_source.h"

#include <utility>

namespace sluice::policy {

std::shared_ptr<const KeySource::Keys> KeySource::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

std::size_t KeySource::waiting() const {
  const std::lock_guard lock(mutex_);
  return waits_.size();
}

void KeySource::ask() {
  if (asked_.exchange(true)) return;
  const std::lock_guard lock(mutex_);
  if (on_asked_) on_asked_();
}

std::unique_ptr<KeySource::Wait> KeySource::wait(Instant now, Waker waker) {
  std::unique_ptr<Wait> wait;
  {
    const std::lock_guard lock(mutex_);
    const bool in_vain = rests_until_ > now + kMostWait;
    if (on_asked_ && !in_vain && waits_.size() < kMostWaiters) {
      wait = std::make_unique<Wait>(shared_from_this(), std::move(waker));
      wait->slot_ = waits_.insert(wait.get());
    }
  }
  // Behind its place, so that no answer can come between. What may not be fetched now is fetched when it may be.
  ask();
  return wait;
}

KeySource::Wait::~Wait() {
  const std::lock_guard lock(source_->mutex_);
  source_->waits_.erase(slot_);
}

void KeySource::on_asked(std::function<void()> asked) {
  const std::lock_guard lock(mutex_);
  on_asked_ = std::move(asked);
  asked_.store(false);  // whoever asked before was heard by nobody
}

void KeySource::change(std::shared_ptr<const Keys> keys, std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  generation_.store(generation, std::memory_order_release);
}

void KeySource::publish(std::string text) {
  const std::uint64_t next = generation() + 1;
  change(std::make_shared<const Keys>(Keys{std::move(text), next}), next);
}

void KeySource::withdraw() { change(nullptr, generation() + 1); }

void KeySource::answered() {
  const std::lock_guard lock(mutex_);
  asked_.store(false);
  rests_until_ = Instant::min();
  wake();
}

void KeySource::rest(Instant until) {
  const std::lock_guard lock(mutex_);
  rests_until_ = until;
  wake();
}

// Under the lock, so that a place which is being given up on its own thread is either found whole or not at all.
void KeySource::wake() {
  for (std::size_t i = 0; i < waits_.places(); ++i) {
    Wait* wait = waits_.at(i);
    if (!wait) continue;
    waits_.erase(wait->slot_);
    wait->over_.store(true, std::memory_order_release);
    if (wait->waker_) std::exchange(wait->waker_, nullptr)();
  }
}

}  // namespace sluice::policy
