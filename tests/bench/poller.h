// Poller: one epoll set, each descriptor registered once, edge-triggered. And the clock of the benchmark.
#pragma once

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "fail.h"

namespace bench {

inline std::uint64_t now_ns() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(ts.tv_nsec);
}

class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_ready(std::uint32_t events) = 0;
};

class Poller {
 public:
  Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) fail_errno("epoll_create1");
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller() { ::close(fd_); }

  void add(int fd, Pollable& owner, std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &owner;
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl");
  }

  // One pass. An owner must live until the pass is over.
  void poll(int timeout_ms) {
    const int n = epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    if (n < 0 && errno != EINTR) fail_errno("epoll_wait");
    for (int i = 0; i < n; ++i) static_cast<Pollable*>(events_[i].data.ptr)->on_ready(events_[i].events);
  }

 private:
  int fd_;
  std::array<epoll_event, 256> events_{};
};

}  // namespace bench
