// Routes: host + path → route. Exact host > wildcard host > none; then exact path > path with bindings > longest prefix.
// The settings behind it must outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

class Routes {
 public:
  // Indexes into `routes`; the settings must outlive this.
  explicit Routes(const std::vector<RouteSettings>& routes);
  // Index of the route, or -1. `host` in lower case without port, `path` canonical, `listener` a name.
  int find(std::string_view listener, std::string_view host, std::string_view path) const;

  // Indexes of all routes, the most specific first: what `sluice check --dump` prints.
  const std::vector<std::uint32_t>& order() const { return order_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename T>
  using Map = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  // A path with segments that claims decide, "*" here, which stand for any that are not empty.
  struct BoundPath {
    std::vector<std::string> segments;
    bool prefix = false;                // and something below
    std::uint32_t route = 0;
    bool matches(const std::vector<std::string_view>& path) const;
  };
  // The routes of one host. A prefix is kept with its trailing slash.
  struct Paths {
    Map<std::vector<std::uint32_t>> exact;
    std::vector<BoundPath> bound;  // the most specific first
    Map<std::vector<std::uint32_t>> prefixes;
    std::size_t longest_prefix = 0;
  };

  static BoundPath bound_path(const RouteSettings& route, std::uint32_t index);
  bool on(std::uint32_t index, std::string_view listener) const;
  int first(const std::vector<std::uint32_t>& candidates, std::string_view listener) const;
  int find(const Paths& paths, std::string_view listener, std::string_view path) const;

  const std::vector<RouteSettings>* routes_;
  std::vector<std::uint32_t> order_;  // indexes, the most specific first
  Map<Paths> hosts_;                  // exact names
  Map<Paths> wildcards_;              // ".example.com"
  Paths any_;
};

}  // namespace sluice::config
