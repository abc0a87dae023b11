// FileWatch: says when one of a set of files was written, replaced or re-linked. It watches the folders (inotify), so
// that atomic renames and Kubernetes' ..data symlinks are seen. Bursts within 200 ms come as one call.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "event/timer.h"
#include "event/watch.h"

namespace sluice::event {

class FileWatch final : private WatchHandler {
 public:
  FileWatch(Loop& loop, std::move_only_function<void()> changed);
  ~FileWatch();
  // Replaces the set. Folders that do not exist are skipped.
  void set(const std::vector<std::string>& files);

 private:
  void on_edge(Edge) override;
  bool concerns(const std::string& name) const;
  int fd_;
  Watch watch_;
  Timer settle_;
  std::move_only_function<void()> changed_;
  std::map<int, std::string> folders_;
  std::set<std::string> names_;  // of the files, without their folders
};

}  // namespace sluice::event
