#include "base/log_target.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace sluice::log {

namespace {

constexpr int kPollMilliseconds = 20;

bool is_regular(int fd) {
  struct stat facts {};
  return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

}  // namespace

std::unique_ptr<LogTarget> LogTarget::open(const std::string& name, std::string& why) {
  if (name == "stdout") return std::make_unique<LogTarget>(name, STDOUT_FILENO, false);
  if (name == "stderr") return std::make_unique<LogTarget>(name, STDERR_FILENO, false);
  // O_NONBLOCK: a FIFO without a reader is an error at once instead of a start that hangs.
  const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
  if (fd < 0) {
    why = name + ": " + std::strerror(errno);
    return nullptr;
  }
  return std::make_unique<LogTarget>(name, fd, true);
}

LogTarget::LogTarget(std::string name, int fd, bool owned)
    : name_(std::move(name)), fd_(fd), owned_(owned), regular_(is_regular(fd)) {}

LogTarget::~LogTarget() {
  if (owned_) ::close(fd_);
}

bool LogTarget::wait_writable(const std::function<bool()>& give_up) const {
  while (true) {
    pollfd ready{fd_, POLLOUT, 0};
    const int n = poll(&ready, 1, kPollMilliseconds);
    if (n > 0) return true;  // POLLERR and POLLHUP too: the write that follows says what it is
    if (give_up()) return false;
  }
}

// What one write may carry. A pipe that is writable takes PIPE_BUF octets without waiting (pipe(7)), and whole lines of
// that size are not mixed with those of other writers.
std::size_t LogTarget::piece(std::string_view rest) const {
  if (regular_ || rest.size() <= PIPE_BUF) return rest.size();
  const std::size_t newline = rest.rfind('\n', PIPE_BUF - 1);
  return newline == std::string_view::npos ? PIPE_BUF : newline + 1;
}

// Gives the line at `written` up if it was begun; returns where the next one starts.
std::size_t LogTarget::abandon(std::string_view lines, std::size_t written) {
  if (written == 0 || lines[written - 1] == '\n') return written;
  ++lost_;
  return lines.find('\n', written) + 1;
}

std::size_t LogTarget::write(std::string_view lines, const std::function<bool()>& give_up) {
  std::size_t written = 0;
  while (written < lines.size()) {
    if (!regular_ && !wait_writable(give_up)) return abandon(lines, written);
    // A line torn by an earlier failure is ended first, so that the next one parses.
    const std::string_view rest = torn_ && written == 0 ? std::string_view("\n") : lines.substr(written);
    const ssize_t n = ::write(fd_, rest.data(), piece(rest));
    if (n < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      const std::size_t whole = abandon(lines, written);
      const std::string_view refused = lines.substr(whole);
      lost_ += static_cast<std::uint64_t>(std::count(refused.begin(), refused.end(), '\n'));
      return lines.size();
    }
    if (n == 0) continue;
    const bool ended_torn_line = torn_ && written == 0;
    torn_ = rest[static_cast<std::size_t>(n) - 1] != '\n';
    if (!ended_torn_line) written += static_cast<std::size_t>(n);
  }
  return lines.size();
}

}  // namespace sluice::log
