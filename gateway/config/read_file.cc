#include "config/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "config/units.h"

namespace sluice::config {
namespace {

struct Closer {
  int fd;
  ~Closer() { ::close(fd); }
};

}  // namespace

FileContent read_file(const std::string& path, std::size_t most) {
  FileContent out;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    out.error = std::strerror(errno);
    return out;
  }
  const Closer closer{fd};
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) {
    out.error = std::strerror(errno);
    return out;
  }
  out.mode = facts.st_mode;
  if (!S_ISREG(facts.st_mode)) {
    out.error = S_ISDIR(facts.st_mode) ? "it is a folder" : "it is not a regular file";
    return out;
  }
  std::array<char, 65536> chunk;
  while (true) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      out.error = std::strerror(errno);
      break;
    }
    if (n == 0) return out;
    if (out.content.size() + static_cast<std::size_t>(n) > most) {
      out.error = fmt::format("it is larger than {}", size_text(most));
      break;
    }
    out.content.append(chunk.data(), static_cast<std::size_t>(n));
  }
  out.content.clear();
  return out;
}

}  // namespace sluice::config
