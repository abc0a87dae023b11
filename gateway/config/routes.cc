#include "config/routes.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace sluice::config {
namespace {

constexpr std::string_view kAny = "*";  // no path of a request or a configuration has such a segment to itself

bool is_prefix(const std::string& path) { return path.ends_with("/*"); }

// The leftmost segment in the highest bit: of two paths of one length the one is more specific whose first binding stands
// further to the right.
std::uint64_t bound_segments(const RouteSettings& route) {
  std::uint64_t mask = 0;
  for (const policy::PathBinding& binding : route.bindings) mask |= std::uint64_t{1} << (63 - binding.segment);
  return mask;
}

// Smaller is more specific: exact host, wildcard host by length, none; exact path, path with bindings (exact before prefix,
// then by segments), prefix by length; a route that is bound to listeners before one that is not; file order.
auto rank(const RouteSettings& route) {
  const int host = route.host.empty() ? 2 : route.host.starts_with("*.") ? 1 : 0;
  const auto host_size = host == 1 ? -static_cast<std::int64_t>(route.host.size()) : 0;
  const bool prefix = is_prefix(route.path);
  const int kind = !route.bindings.empty() ? 1 : prefix ? 2 : 0;
  const auto segments = static_cast<std::int64_t>(kind == 1 ? policy::path_segments(route.path).size() : 0);
  const auto path_size = kind == 2 ? -static_cast<std::int64_t>(route.path.size()) : 0;
  return std::make_tuple(host, host_size, kind, prefix, -segments, bound_segments(route), path_size, route.listeners.empty());
}

}  // namespace

Routes::Routes(const std::vector<RouteSettings>& routes) : routes_(&routes), order_(routes.size()) {
  std::iota(order_.begin(), order_.end(), 0U);
  std::stable_sort(order_.begin(), order_.end(),
                   [&routes](std::uint32_t a, std::uint32_t b) { return rank(routes[a]) < rank(routes[b]); });
  for (const std::uint32_t index : order_) {
    const RouteSettings& route = routes[index];
    Paths& paths = route.host.empty()             ? any_
                   : route.host.starts_with("*.") ? wildcards_[route.host.substr(1)]
                                                  : hosts_[route.host];
    if (!route.bindings.empty()) {
      paths.bound.push_back(bound_path(route, index));
    } else if (is_prefix(route.path)) {
      const std::string prefix = route.path.substr(0, route.path.size() - 1);
      paths.longest_prefix = std::max(paths.longest_prefix, prefix.size());
      paths.prefixes[prefix].push_back(index);
    } else {
      paths.exact[route.path].push_back(index);
    }
  }
}

Routes::BoundPath Routes::bound_path(const RouteSettings& route, std::uint32_t index) {
  BoundPath bound;
  const std::vector<std::string_view> segments = policy::path_segments(route.path);
  bound.segments.assign(segments.begin(), segments.end());
  bound.prefix = is_prefix(route.path);
  bound.route = index;
  if (bound.prefix) bound.segments.pop_back();
  for (const policy::PathBinding& binding : route.bindings) bound.segments[binding.segment] = kAny;
  return bound;
}

bool Routes::BoundPath::matches(const std::vector<std::string_view>& path) const {
  if (prefix ? path.size() <= segments.size() : path.size() != segments.size()) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i] == kAny ? path[i].empty() : path[i] != segments[i]) return false;
  }
  return true;
}

bool Routes::on(std::uint32_t index, std::string_view listener) const {
  const std::vector<std::string>& only = (*routes_)[index].listeners;
  return only.empty() || std::find(only.begin(), only.end(), listener) != only.end();
}

int Routes::first(const std::vector<std::uint32_t>& candidates, std::string_view listener) const {
  for (const std::uint32_t index : candidates) {
    if (on(index, listener)) return static_cast<int>(index);
  }
  return -1;
}

int Routes::find(const Paths& paths, std::string_view listener, std::string_view path) const {
  if (const auto exact = paths.exact.find(path); exact != paths.exact.end()) {
    if (const int index = first(exact->second, listener); index >= 0) return index;
  }
  if (!paths.bound.empty()) {
    const std::vector<std::string_view> segments = policy::path_segments(path);
    for (const BoundPath& bound : paths.bound) {
      if (on(bound.route, listener) && bound.matches(segments)) return static_cast<int>(bound.route);
    }
  }
  // Every slash ends a possible prefix; none longer than the longest that is configured is tried.
  std::size_t end = std::min(path.size(), paths.longest_prefix);
  while (end > 0) {
    const std::size_t slash = path.rfind('/', end - 1);
    if (slash == std::string_view::npos) break;
    const auto prefix = paths.prefixes.find(path.substr(0, slash + 1));
    if (prefix != paths.prefixes.end()) {
      if (const int index = first(prefix->second, listener); index >= 0) return index;
    }
    end = slash;
  }
  return -1;
}

int Routes::find(std::string_view listener, std::string_view host, std::string_view path) const {
  if (const auto exact = hosts_.find(host); exact != hosts_.end()) {
    if (const int index = find(exact->second, listener, path); index >= 0) return index;
  }
  if (!wildcards_.empty()) {
    // "a.b.example.com": ".b.example.com" before ".example.com" before ".com"; a label must stand before the
    // dot.
    for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      const auto wildcard = wildcards_.find(host.substr(dot));
      if (wildcard == wildcards_.end()) continue;
      if (const int index = find(wildcard->second, listener, path); index >= 0) return index;
    }
  }
  return find(any_, listener, path);
}

}  // namespace sluice::config
