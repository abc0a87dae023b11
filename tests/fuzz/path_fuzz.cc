// Request targets, authorities, queries and cookies: canonical forms are fixed points and hold nothing that they must not.
#include <string>

#include "base/result.h"
#include "http/path.h"

using namespace sluice;
using namespace sluice::http;

namespace {

void check_path(const std::string& path) {
  check(canonical_path(path) == path, "canon(canon(p)) differs from canon(p)");
  check(path.front() == '/' && path.find("//") == std::string::npos, "a canonical path with an empty segment");
  const std::string closed = path + '/';
  check(closed.find("/../") == std::string::npos && closed.find("/./") == std::string::npos, "a dot segment remained");
  check(path.find_first_of(";\\?# \t\r\n") == std::string::npos, "an octet that a path must not hold");
  for (const char* const escape : {"%00", "%2F", "%5C", "%3B", "%3F", "%23", "%2E", "%2f", "%0A"}) {
    check(path.find(escape) == std::string::npos, "an escape that a path must not hold");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  if (const auto target = canonical_target(raw)) {
    check_path(target->path);
    if (const auto stripped = strip_prefix(target->path, "/api")) {
      check_path(*stripped);
      check("/api" + *stripped == target->path || (target->path == "/api" && *stripped == "/"), "another path was stripped");
    } else {
      check(target->path != "/api" && !target->path.starts_with("/api/"), "a path under the prefix was refused");
    }
    const auto again = canonical_target(target->text());
    check(again && again->path == target->path && again->query == target->query && again->has_query == target->has_query,
          "the forwarded target reads differently");
  }
  if (const auto path = canonical_path(raw)) check_path(*path);
  if (const auto authority = parse_authority(raw)) {
    check(parse_authority(authority->text()) == *authority, "an authority has another canonical form");
  }
  check(query_value(without_query(raw, "token"), "token").count == 0, "a query parameter survived");
  check(cookie_value(without_cookie(raw, "sid"), "sid").count == 0, "a cookie survived");
  check(query_value(raw, "token").count > 0 || without_query(raw, "token") == raw, "another query parameter changed");
  return 0;
}
