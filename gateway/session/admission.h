// Admission: one accepted connection in the counts, from accept to close. RAII; moves from Arrival to Front.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "session/tally.h"

namespace sluice::session {

class Admission {
 public:
  // `total` counts the connections of the whole process; `first` is what the connection begins with.
  Admission(std::atomic<std::uint64_t>& total, ListenerTally& listener, WorkerTally& worker, Protocol first)
      : total_(&total), listener_(&listener), worker_(&worker), protocol_(first) {
    total_->fetch_add(1, std::memory_order_relaxed);
    gauge().add();
    listener_->accepted.add();
    worker_->handshaking.add();
  }
  Admission(Admission&& other) noexcept
      : total_(std::exchange(other.total_, nullptr)),
        listener_(other.listener_),
        worker_(other.worker_),
        protocol_(other.protocol_),
        handshaking_(other.handshaking_) {}
  Admission& operator=(Admission&&) = delete;
  ~Admission() {
    if (!total_) return;
    settled();
    total_->fetch_sub(1, std::memory_order_relaxed);
    gauge().sub();
  }
  // websocket, tcp: it is no unfinished handshake any more, and stays what it is.
  void speaks(Protocol now) {
    if (protocol_ == now) return;
    gauge().sub();
    protocol_ = now;
    gauge().add();
    if (now == Protocol::websocket || now == Protocol::tcp) settled();
  }
  // It is no unfinished handshake any more: a backend serves it.
  void settled() {
    if (handshaking_) worker_->handshaking.sub();
    handshaking_ = false;
  }

 private:
  Gauge& gauge() { return listener_->connections[static_cast<std::size_t>(protocol_)]; }

  std::atomic<std::uint64_t>* total_;
  ListenerTally* listener_;
  WorkerTally* worker_;
  Protocol protocol_;
  bool handshaking_ = true;
};

}  // namespace sluice::session
