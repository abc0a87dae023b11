#include "event/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <set>

#include "base/result.h"

namespace sluice::event {

namespace {

constexpr std::uint32_t kMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_ONLYDIR;
constexpr auto kSettle = std::chrono::milliseconds(200);

std::string folder_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : file.substr(0, slash);
}

}  // namespace

FileWatch::FileWatch(Loop& loop, std::move_only_function<void()> changed)
    : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      settle_(loop, [this] { changed_(); }),
      changed_(std::move(changed)) {
  check(fd_ >= 0, "inotify_init1");
  watch_.start(loop, fd_, *this);
}

FileWatch::~FileWatch() {
  watch_.stop();
  ::close(fd_);
}

void FileWatch::set(const std::vector<std::string>& files) {
  std::set<std::string> wanted;
  names_.clear();
  for (const std::string& file : files) {
    const std::string folder = folder_of(file);
    wanted.insert(folder);
    names_.insert(folder.substr(folder.rfind('/') + 1));  // it may be made later, inside one that is watched
    names_.insert(file.substr(file.rfind('/') + 1));
  }
  for (auto it = folders_.begin(); it != folders_.end();) {
    if (wanted.erase(it->second) > 0) {
      ++it;
      continue;
    }
    inotify_rm_watch(fd_, it->first);
    it = folders_.erase(it);
  }
  for (const std::string& folder : wanted) {
    const int id = inotify_add_watch(fd_, folder.c_str(), kMask);
    if (id >= 0) folders_[id] = folder;
  }
}

// Whether a change of that name in a watched folder may change one of the files: logs and other neighbours do not.
bool FileWatch::concerns(const std::string& name) const {
  // The folder itself, or the link that Kubernetes swaps to replace all files of a volume at once.
  return name.empty() || name == "..data" || names_.contains(name);
}

void FileWatch::on_edge(Edge edge) {
  if (!edge.readable) return;
  alignas(inotify_event) std::array<char, 8192> events;
  bool any = false;
  for (ssize_t n; (n = ::read(fd_, events.data(), events.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_IGNORED) != 0) {
        // The kernel has dropped the watch: the folder is gone (said by an event of its own), or set() let go of it.
        folders_.erase(event->wd);
      } else if (concerns(event->len > 0 ? event->name : "")) {
        any = true;
      }
    }
  }
  // A burst (write, rename, chmod) settles first.
  if (any) settle_.arm(kSettle);
}

}  // namespace sluice::event
