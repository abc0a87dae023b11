#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

// Fields of /proc/self/stat from the third on (state), see proc(5). The second may hold blanks and brackets.
std::vector<double> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  std::vector<double> fields;
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos) return fields;
  std::istringstream rest(line.substr(end + 1));
  for (std::string word; rest >> word;) {
    double value = 0;  // the state is a letter: 0
    std::from_chars(word.data(), word.data() + word.size(), value);
    fields.push_back(value);
  }
  return fields;
}

// When the machine started, seconds since 1970; 0 when it cannot be known.
double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

std::uint64_t open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (!folder) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.';
  ::closedir(folder);
  return count > 0 ? count - 1 : 0;  // without the folder's own
}

}  // namespace

void add_process(Families& out) {
  constexpr std::size_t kUser = 11, kSystem = 12, kThreads = 17, kStart = 19, kVirtual = 20, kResident = 21;
  static const double boot = boot_time();
  const std::vector<double> stat = stat_fields();
  if (stat.size() > kResident) {
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    out.counter("process_cpu_seconds_total", "User and system CPU time spent.")
        .add({}, (stat[kUser] + stat[kSystem]) / ticks);
    out.gauge("process_resident_memory_bytes", "Resident memory.").add({}, stat[kResident] * page);
    out.gauge("process_virtual_memory_bytes", "Virtual memory.").add({}, stat[kVirtual]);
    out.gauge("process_threads", "Threads.").add({}, stat[kThreads]);
    out.gauge("process_start_time_seconds", "Start of the process, seconds since 1970.")
        .add({}, boot + stat[kStart] / ticks);
  }
  out.gauge("process_open_fds", "Open file descriptors.").add({}, open_descriptors());
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    out.gauge("process_max_fds", "File descriptors that may be open.").add({}, std::uint64_t{files.rlim_cur});
  }
}

}  // namespace sluice::server
