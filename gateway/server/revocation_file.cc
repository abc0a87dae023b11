#include "server/revocation_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/json.h"
#include "server/revocation_text.h"

namespace sluice::server {

namespace {

using policy::Revocation;

constexpr std::string_view kHeader = "sluice-revocations 1\n";
constexpr std::size_t kSum = 16;           // digits
constexpr std::size_t kMostLine = 32 * 1024;

std::string sum_of(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(kSum, '0');
  std::uint64_t sum = hash64(text);
  for (std::size_t i = kSum; i-- > 0; sum >>= 4) out[i] = kDigits[sum & 15];
  return out;
}

std::string line_of(const std::string& json) { return sum_of(json) + " " + json + "\n"; }

// One line without its end, taken into `held`.
bool take_line(std::string_view line, std::map<std::string, Revocation>& held) {
  if (line.size() <= kSum || line[kSum] != ' ') return false;
  const std::string_view text = line.substr(kSum + 1);
  if (sum_of(text) != line.substr(0, kSum)) return false;
  const auto json = Json::parse(text, {.octets = kMostLine, .depth = 2, .members = 16});
  if (!json || !json->is(Json::Type::object)) return false;
  if (const Json* const removed = json->find("removed")) {
    held.erase(removed->text());
    return removed->is(Json::Type::string);
  }
  auto what = revocation_of(*json);
  if (!what) return false;
  std::string id = what->id;
  held.insert_or_assign(std::move(id), std::move(*what));
  return true;
}

// The file's name is on the disk, too.
bool sync_folder(const std::string& path, const DiskCalls& calls) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const net::Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && calls.sync(fd.get()) == 0;
}

}  // namespace

bool RevocationFile::fail() {
  error_ = errno;
  behind_ = true;
  return false;
}

bool RevocationFile::open(const std::string& path, std::vector<Revocation>& held, std::string& why) {
  path_ = path;
  fd_ = net::Fd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  struct stat file{};
  if (!fd_ || ::fstat(fd_.get(), &file) != 0) return why = path + ": " + std::strerror(errno), false;
  if (!S_ISREG(file.st_mode)) return why = path + ": it is no regular file", false;
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    why = path + (errno == EWOULDBLOCK ? ": another process uses it" : std::string(": ") + std::strerror(errno));
    return false;
  }
  struct stat named{};
  // It may have been written anew between the two calls.
  if (::stat(path.c_str(), &named) != 0 || named.st_ino != file.st_ino || named.st_dev != file.st_dev) {
    return why = path + ": another process uses it", false;
  }
  std::map<std::string, Revocation> found;
  if (!parse(found, why)) return false;
  for (auto& [id, what] : found) held.push_back(std::move(what));
  return true;
}

// Line by line: it may be large.
bool RevocationFile::parse(std::map<std::string, Revocation>& held, std::string& why) {
  std::string text;
  std::array<char, 64 * 1024> part;
  std::size_t number = 0;  // of the line
  off_t at = 0;            // where `text` begins
  std::size_t bad = 0;     // the first line that is not right; 0: none
  off_t bad_at = 0;
  for (bool end = false; !end;) {
    const ssize_t n = ::pread(fd_.get(), part.data(), part.size(), at + static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return why = path_ + ": " + std::strerror(errno), false;
    end = n == 0;
    text.append(part.data(), static_cast<std::size_t>(n));
    std::size_t from = 0;
    for (std::size_t stop; (stop = text.find('\n', from)) != std::string::npos; from = stop + 1) {
      const std::string_view line = std::string_view(text).substr(from, stop - from);
      ++number;
      const bool right = number == 1 ? line == kHeader.substr(0, kHeader.size() - 1) : take_line(line, held);
      // What stands behind it shows that it is not the one that was being written.
      if (bad != 0) break;
      if (!right) {
        bad = number;
        bad_at = at + static_cast<off_t>(from);
      }
    }
    at += static_cast<off_t>(from);
    text.erase(0, from);
    if (bad != 0 && number > bad) break;
    if (text.size() > kMostLine && bad == 0) {
      bad = number + 1;
      bad_at = at;
      break;
    }
  }
  const bool rest = !text.empty();
  const bool last = bad == 0 || (bad == number && !rest);
  if (!last || bad == 1 || (number == 0 && rest)) {
    why = path_ + ": damaged at octet " + std::to_string(number == 0 ? 0 : bad_at) + " (line " +
          std::to_string(std::max<std::size_t>(bad, 1)) + "); restore it, or move it away to start without revocations";
    return false;
  }
  size_ = bad != 0 ? bad_at : at;
  torn_ = bad != 0 ? static_cast<std::size_t>(at - bad_at) : text.size();
  lines_ = number > 0 ? number - 1 : 0;
  behind_ = torn_ > 0 || number == 0;
  return true;
}

bool RevocationFile::write_all(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t n = calls_.write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return false;
    octets.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool RevocationFile::append(const std::string& line) {
  if (behind_) return false;
  if (!write_all(fd_.get(), line) || calls_.sync(fd_.get()) != 0) {
    fail();
    // What came after a part of a line would be lost with it. If that does not help either, rewrite() does.
    [[maybe_unused]] const int cut = calls_.truncate(fd_.get(), size_);
    return false;
  }
  size_ += static_cast<off_t>(line.size());
  ++lines_;
  return true;
}

bool RevocationFile::add(const Revocation& revocation) { return append(line_of(revocation_text(revocation))); }

bool RevocationFile::remove(const std::string& id) {
  JsonWriter out;
  out.begin_object().field("removed", id).end_object();
  return append(line_of(out.text()));
}

bool RevocationFile::rewrite(const std::vector<const Revocation*>& live) {
  const std::string beside = path_ + ".new";
  ::unlink(beside.c_str());  // of a process that ended while it wrote
  net::Fd fd(::open(beside.c_str(), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail();
  std::string text(kHeader);
  std::size_t size = 0;
  bool good = true;
  for (const Revocation* const one : live) {
    text += line_of(revocation_text(*one));
    if (text.size() < kMostLine) continue;
    good = good && write_all(fd.get(), text);
    size += std::exchange(text, {}).size();
  }
  good = good && write_all(fd.get(), text);
  size += text.size();
  if (!good || calls_.sync(fd.get()) != 0 || calls_.rename(beside.c_str(), path_.c_str()) != 0) {
    fail();
    ::unlink(beside.c_str());
    return false;
  }
  fd_ = std::move(fd);
  size_ = static_cast<off_t>(size);
  lines_ = live.size();
  if (!sync_folder(path_, calls_)) return fail();
  behind_ = false;
  return true;
}

}  // namespace sluice::server
