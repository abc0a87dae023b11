#include "proc.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <fstream>
#include <map>
#include <sstream>

#include "fail.h"

namespace bench {
namespace {

// The threads of a process, as /proc/PID/task names them.
std::vector<std::string> tasks_of(pid_t pid) {
  const std::string directory = "/proc/" + std::to_string(pid) + "/task";
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) fail("no process " + std::to_string(pid));
  std::vector<std::string> tasks;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') tasks.push_back(directory + "/" + entry->d_name);
  }
  closedir(dir);
  return tasks;
}

std::uint64_t task_ns(const std::string& task) {
  std::uint64_t ns = 0;
  if (std::ifstream schedstat(task + "/schedstat"); schedstat >> ns) return ns;
  std::ifstream stat(task + "/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;  // utime is field 14, stime field 15
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  if (!(fields >> user >> system)) return 0;
  return (user + system) * (1'000'000'000U / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

std::uint64_t value_of(pid_t pid, const std::string& file, const std::string& name) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1));
  }
  fail("no " + name + " in " + file + " of process " + std::to_string(pid));
}

bool traced(pid_t pid) {
  for (const std::string& task : tasks_of(pid)) {
    std::ifstream in(task + "/status");
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("TracerPid:") && std::stoul(line.substr(10)) == 0) return false;
    }
  }
  return true;
}

// The parent of a process; 0 when it has gone meanwhile.
pid_t parent_of(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  std::string line;
  if (!std::getline(in, line)) return 0;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string state;
  pid_t parent = 0;
  fields >> state >> parent;
  return parent;
}

}  // namespace

std::vector<pid_t> with_children(std::vector<pid_t> pids) {
  std::multimap<pid_t, pid_t> children;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) fail("no /proc");
  while (const dirent* entry = readdir(dir)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    children.emplace(parent_of(entry->d_name), static_cast<pid_t>(std::stol(entry->d_name)));
  }
  closedir(dir);
  for (std::size_t i = 0; i < pids.size(); ++i) {
    const auto [first, last] = children.equal_range(pids[i]);
    for (auto child = first; child != last; ++child) pids.push_back(child->second);
  }
  return pids;
}

std::uint64_t cpu_ns(const std::vector<pid_t>& pids) {
  if (pids.empty()) fail("--pids is required");
  std::uint64_t sum = 0;
  for (const pid_t pid : pids) {
    for (const std::string& task : tasks_of(pid)) sum += task_ns(task);
  }
  return sum;
}

std::uint64_t pss_kib(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (const pid_t pid : pids) sum += value_of(pid, "smaps_rollup", "Pss");
  return sum;
}

SyscallCount::SyscallCount(const std::vector<pid_t>& pids, std::string report) : report_(std::move(report)) {
  std::vector<std::string> words = {"strace", "-q", "-c", "-f", "-o", report_};
  for (const pid_t pid : pids) {
    words.push_back("-p");
    words.push_back(std::to_string(pid));
  }
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGINT);  // a run that is cut short leaves nobody traced
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  for (const pid_t pid : pids) {
    for (int i = 0; !traced(pid); ++i) {
      if (i == 500) fail("strace does not attach to process " + std::to_string(pid));
      usleep(10'000);
    }
  }
}

std::uint64_t SyscallCount::stop() {
  kill(child_, SIGINT);
  waitpid(child_, nullptr, 0);
  // "100.00    0.123456           1     12345        12 total"; the errors column may be empty.
  std::ifstream in(report_);
  for (std::string line; std::getline(in, line);) {
    if (!line.ends_with(" total")) continue;
    std::istringstream fields(line);
    std::string percent, seconds, per_call;
    std::uint64_t calls = 0;
    if (fields >> percent >> seconds >> per_call >> calls) return calls;
  }
  fail("no total in " + report_);
}

}  // namespace bench
