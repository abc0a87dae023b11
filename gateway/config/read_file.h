// read_file: a whole regular file, bounded.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace sluice::config {

struct FileContent {
  std::string content;
  mode_t mode = 0;
  std::string error;  // "No such file or directory"; empty: it was read
};

// Refuses what is not a regular file and what is larger than `most` octets. Never blocks on a pipe.
FileContent read_file(const std::string& path, std::size_t most);

}  // namespace sluice::config
