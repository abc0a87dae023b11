#include "net/listener.h"

#include <cerrno>

#include "event/loop.h"

namespace sluice::net {

namespace {

constexpr int kBudget = 32;  // a wake-up; more would hurt the latency of who is connected
constexpr int kFinalBudget = 4096;
constexpr auto kPause = std::chrono::milliseconds(100);

}  // namespace

Listener::Listener(event::Loop& loop, Fd fd, Accepted accepted, Failed failed)
    : loop_(loop),
      fd_(std::move(fd)),
      pause_(loop, [this] { accept_some(kBudget); }),
      accepted_(std::move(accepted)),
      failed_(std::move(failed)) {
  watch_.start(loop_, fd_.get(), *this);
}

void Listener::on_edge(event::Edge edge) {
  if (edge.readable && !pause_.armed()) accept_some(kBudget);
}

void Listener::accept_some(int budget) {
  while (fd_ && budget-- > 0) {
    Address peer;
    int error = 0;
    Fd fd = accept_from(fd_.get(), peer, error);
    if (fd) {
      accepted_(std::move(fd), peer);
      continue;
    }
    if (error == EAGAIN || error == EWOULDBLOCK) return;
    if (error == ECONNABORTED || error == EINTR || error == EPROTO) continue;
    failed_(error);
    pause_.arm(kPause);
    return;
  }
  // The queue may hold more, and an edge was already spent: look again in the next pass.
  if (fd_) pause_.arm(Duration::zero());
}

void Listener::stop() {
  if (!fd_) return;
  pause_.cancel();
  accept_some(kFinalBudget);
  pause_.cancel();
  watch_.stop();
  fd_.reset();
}

}  // namespace sluice::net
