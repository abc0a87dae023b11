// Admission: one accepted connection in the counts, from accept to close. RAII; moves from Arrival to Front.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "session/tally.h"

namespace sluice::session {

class Admission {
 public:
  // `total` counts the connections of the whole process.
  Admission(std::atomic<std::uint64_t>& total, ListenerTally& listener, WorkerTally& worker)
      : total_(&total), listener_(&listener), worker_(&worker) {
    total_->fetch_add(1, std::memory_order_relaxed);
    listener_->connections.add();
    listener_->accepted.add();
    worker_->handshaking.add();
  }
  Admission(Admission&& other) noexcept
      : total_(std::exchange(other.total_, nullptr)),
        listener_(other.listener_),
        worker_(other.worker_),
        established_(other.established_) {}
  Admission& operator=(Admission&&) = delete;
  ~Admission() {
    if (!total_) return;
    established();
    total_->fetch_sub(1, std::memory_order_relaxed);
    listener_->connections.sub();
  }
  // It is no unfinished handshake any more.
  void established() {
    if (std::exchange(established_, true)) return;
    worker_->handshaking.sub();
  }

 private:
  std::atomic<std::uint64_t>* total_;
  ListenerTally* listener_;
  WorkerTally* worker_;
  bool established_ = false;
};

}  // namespace sluice::session
