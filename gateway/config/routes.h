// Routes: host + path → route. Exact host > wildcard host > none; then exact path > longest prefix (decisions.md).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

class Routes {
 public:
  // Indexes into `routes`; the settings must outlive this.
  explicit Routes(const std::vector<RouteSettings>& routes);
  // Index of the route, or -1. `host` in lower case without port, `path` canonical, `listener` a name.
  int find(std::string_view listener, std::string_view host, std::string_view path) const;

 private:
  const std::vector<RouteSettings>* routes_;
  std::vector<std::uint32_t> order_;  // indexes, the most specific first
};

}  // namespace sluice::config
