// What the kernel knows of the proxy under test: CPU time, memory and, by strace, system calls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

// CPU time of all threads, user and system, in nanoseconds (schedstat; utime + stime where the kernel keeps
// none). A process that is not there ends the run: it would silently cost nothing.
std::uint64_t cpu_ns(const std::vector<pid_t>& pids);

// These processes and all that they have started, as far as it lives.
std::vector<pid_t> with_children(std::vector<pid_t> pids);

// User memory in KiB: the proportional set size of smaps_rollup, summed.
std::uint64_t pss_kib(const std::vector<pid_t>& pids);

// strace -c -f over the processes from construction to stop().
class SyscallCount {
 public:
  // `report` is the file that strace writes its table to.
  SyscallCount(const std::vector<pid_t>& pids, std::string report);
  // Detaches; the number of calls that were made meanwhile.
  std::uint64_t stop();

 private:
  pid_t child_ = -1;
  std::string report_;
};

}  // namespace bench
