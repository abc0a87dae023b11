// RevocationFile: revocations on disk, so that they outlive the process. Only added to; written anew (beside it, then put in its
// place) when it has grown to twice what is in force. One process at a time: it is locked. Main thread; calls block on the disk.
//
//     sluice-revocations 1
//     <XXH3-64 of the rest, 16 hex digits> {"id":…, "kind":…, "value":…, "made":…, "expires":…}      in force
//     <…> {"removed": id}                                                                           no more
//
// The newest line of an id counts. Times are milliseconds since 1970.
#pragma once

#include <stdio.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/socket.h"
#include "policy/revocations.h"

namespace sluice::server {

// The calls that may fail late, so that a test can make them.
struct DiskCalls {
  std::function<ssize_t(int, const void*, std::size_t)> write = ::write;
  std::function<int(int)> sync = ::fsync;
  std::function<int(int, off_t)> truncate = ::ftruncate;
  std::function<int(const char*, const char*)> rename = ::rename;
};

class RevocationFile {
 public:
  explicit RevocationFile(DiskCalls calls = {}) : calls_(std::move(calls)) {}

  // Reads what it holds, which may have ended already; a file that is not there is made. False and `why`: it cannot be had,
  // another process has it, or it is damaged. Octets of a last line that is not whole are left out and counted in torn(): the
  // process ended while it wrote, and nobody was told that they are there.
  bool open(const std::string& path, std::vector<policy::Revocation>& held, std::string& why);
  std::size_t torn() const { return torn_; }

  // True once it is on the disk. After a failure nothing is added any more until rewrite() has put all of it right.
  bool add(const policy::Revocation& revocation);
  bool remove(const std::string& id);
  // As many lines as would be worth a rewrite() when `live` are in force; or it must be, after a failure.
  bool worn(std::size_t live) const { return behind_ || lines_ > 2 * live + kSpare; }
  bool behind() const { return behind_; }
  // All of it anew. False: what was there stays.
  bool rewrite(const std::vector<const policy::Revocation*>& live);
  // Why the last call failed.
  int error() const { return error_; }

 private:
  static constexpr std::size_t kSpare = 64;

  bool parse(std::map<std::string, policy::Revocation>& held, std::string& why);
  bool append(const std::string& line);
  bool write_all(int fd, std::string_view octets);
  bool fail();

  DiskCalls calls_;
  std::string path_;
  net::Fd fd_;
  off_t size_ = 0;         // of what is whole
  std::size_t lines_ = 0;
  std::size_t torn_ = 0;
  bool behind_ = false;    // it lacks something
  int error_ = 0;
};

}  // namespace sluice::server
