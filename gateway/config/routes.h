// Routes: host + path → route. Exact host > wildcard host > none; then exact path > longest prefix.
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
  // The routes of one host. A prefix is kept with its trailing slash.
  struct Paths {
    Map<std::vector<std::uint32_t>> exact;
    Map<std::vector<std::uint32_t>> prefixes;
    std::size_t longest_prefix = 0;
  };

  int first(const std::vector<std::uint32_t>& candidates, std::string_view listener) const;
  int find(const Paths& paths, std::string_view listener, std::string_view path) const;

  const std::vector<RouteSettings>* routes_;
  std::vector<std::uint32_t> order_;  // indexes, the most specific first
  Map<Paths> hosts_;                  // exact names
  Map<Paths> wildcards_;              // ".example.com"
  Paths any_;
};

}  // namespace sluice::config
