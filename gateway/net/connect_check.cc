#include "net/connect_check.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "event/loop.h"

namespace sluice::net {

namespace {

// Literals, so that nothing has to outlive the call.
const char* reason(int error) {
  switch (error) {
    case ECONNREFUSED: return "refused";
    case ECONNRESET: return "reset";
    case EHOSTUNREACH:
    case ENETUNREACH: return "unreachable";
    case ETIMEDOUT: return "timeout";
    case EMFILE:
    case ENFILE: return "no descriptors";
    default: return "failed";
  }
}

}  // namespace

ConnectCheck::ConnectCheck(event::Loop& loop, std::move_only_function<void(const char*)> done)
    : loop_(loop), done_(std::move(done)), deadline_(loop, [this] { finish(failure_ ? failure_ : "timeout"); }) {}

void ConnectCheck::start(const Address& address, Duration timeout, std::string preamble) {
  preamble_ = std::move(preamble);
  int error = 0;
  fd_ = connect_to(address, {}, error);
  if (!fd_) {
    failure_ = reason(error);
    return deadline_.arm(Duration::zero());
  }
  watch_.start(loop_, fd_.get(), *this);
  deadline_.arm(timeout);
}

void ConnectCheck::on_edge(event::Edge edge) {
  if (!edge.writable && !edge.closed) return;
  int error = socket_error(fd_.get());
  // A fresh socket takes so little whole.
  const bool said = error != 0 || preamble_.empty() ||
                    ::send(fd_.get(), preamble_.data(), preamble_.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(preamble_.size());
  if (!said) error = errno;
  finish(error == 0 ? nullptr : reason(error));
}

void ConnectCheck::finish(const char* failure) {
  deadline_.cancel();
  watch_.stop();
  fd_.reset();
  // Moved out first: what it holds may be what destroys this object.
  auto done = std::move(done_);
  done(failure);
}

}  // namespace sluice::net
