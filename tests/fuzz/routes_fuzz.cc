// Routes: the index finds what a walk over all routes finds that knows the rules and nothing of maps. Input: lines; the first
// is "host path" of the request, each further one "host path" of a route ("-" for no host).
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "config/routes.h"

using namespace sluice;
using namespace sluice::config;

namespace {

bool host_matches(const std::string& pattern, std::string_view host) {
  if (pattern.empty() || pattern == host) return !pattern.starts_with("*.") || pattern.empty();
  if (!pattern.starts_with("*.")) return false;
  const std::string_view suffix = std::string_view(pattern).substr(1);
  return host.size() > suffix.size() && host.ends_with(suffix);
}

bool path_matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with("/*")) return pattern == path;
  return path.starts_with(pattern.substr(0, pattern.size() - 1));
}

// Exact host before the longest wildcard before none, then exact path before the longest prefix, then the file's order.
int plain_find(const std::vector<RouteSettings>& routes, std::string_view host, std::string_view path) {
  int best = -1;
  std::tuple<int, std::size_t, bool, std::size_t> best_rank;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const RouteSettings& route = routes[i];
    if (!host_matches(route.host, host) || !path_matches(route.path, path)) continue;
    const int kind = route.host.empty() ? 0 : route.host.starts_with("*.") ? 1 : 2;
    const std::tuple rank{kind, kind == 1 ? route.host.size() : 0, !route.path.ends_with("/*"), route.path.size()};
    if (best >= 0 && rank <= best_rank) continue;
    best = static_cast<int>(i);
    best_rank = rank;
  }
  return best;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = as_text(Bytes(data, size));
  std::string host;
  std::string path;
  std::vector<RouteSettings> routes;
  for (bool first = true; !rest.empty(); first = false) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || !line.substr(space + 1).starts_with('/')) return 0;
    RouteSettings route;
    if (line.substr(0, space) != "-") route.host = line.substr(0, space);
    route.path = line.substr(space + 1);
    if (first) {
      host = route.host;
      path = route.path;
    } else {
      routes.push_back(std::move(route));
    }
    if (routes.size() > 64) return 0;
  }
  if (host.starts_with("*.")) return 0;  // '*' is in no host that a request names
  const Routes index(routes);
  check(index.find("any", host, path) == plain_find(routes, host, path), "another route");
  check(index.order().size() == routes.size(), "a route is lost");
  return 0;
}
