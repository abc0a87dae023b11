// LogTarget: where log lines end: stdout, stderr or a file opened by name. Writes whole lines and never waits longer
// than its caller agrees to. Used by one thread, the writer of base/log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::log {

class LogTarget {
 public:
  // "stdout", "stderr" or a path (appended to, made with mode 0640). Null when it cannot be opened; `why` says why.
  static std::unique_ptr<LogTarget> open(const std::string& name, std::string& why);
  // On a descriptor of the caller's, who keeps it open.
  LogTarget(std::string name, int fd, bool owned);
  LogTarget(const LogTarget&) = delete;
  LogTarget& operator=(const LogTarget&) = delete;
  ~LogTarget();

  const std::string& name() const { return name_; }
  // Whether closing and opening by name yields another file: not so for stdout and stderr.
  bool has_path() const { return owned_; }

  // Writes lines, each with its newline. Returns the octets that are done with: all of them, or fewer when `give_up`
  // said yes while a pipe was full; the rest starts at a line. A line that was begun and could not be ended counts as
  // lost, and so do those that the device refuses (a full disk): they are not tried again.
  std::size_t write(std::string_view lines, const std::function<bool()>& give_up);
  std::uint64_t lost() const { return lost_; }

 private:
  bool wait_writable(const std::function<bool()>& give_up) const;
  std::size_t piece(std::string_view rest) const;
  std::size_t abandon(std::string_view lines, std::size_t written);

  std::string name_;
  int fd_;
  bool owned_;
  bool regular_;       // a regular file takes what it is given; anything else may be full
  bool torn_ = false;  // the last octet written was not a newline
  std::uint64_t lost_ = 0;
};

}  // namespace sluice::log
