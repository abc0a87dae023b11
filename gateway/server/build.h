// What was built: for --version, the metrics and the admin listener.
#pragma once

#include <string>

namespace sluice::server {

struct Build {
  std::string version;
  std::string revision;  // the commit, with "-dirty" behind it when files differ from it; empty when not known
};

// Of the program: written by each build (gateway/revision.cmake).
const char* revision();

}  // namespace sluice::server
