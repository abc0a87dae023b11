// AdminReply: the answer to an admin request that has one of its own; AdminRefusal: fixed words where it has none.
#pragma once

#include <string>
#include <string_view>

namespace sluice::server {

struct AdminRefusal {
  int status = 400;
  std::string_view error;  // a literal
  std::string_view allow = "GET, HEAD";  // of a 405
};

struct AdminReply {
  int status = 200;
  std::string json;
};

}  // namespace sluice::server
