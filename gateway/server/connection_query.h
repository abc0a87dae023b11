// ConnectionQuery: which connections GET /api/v1/connections is asked for, by its query. Sans I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "session/connection_filter.h"

namespace sluice::server {

struct ConnectionQuery {
  static constexpr std::size_t kMostLimit = 10'000;

  std::size_t limit = 100;
  std::string subject, route, auth, method;
  std::string claim, value;  // of claim=name:value

  // `query`: behind the '?'. nullopt: a name that is not known (a filter is never ignored), one that comes twice, no value.
  static std::optional<ConnectionQuery> parse(std::string_view query);
  session::ConnectionFilter filter(std::uint64_t seed) const;
};

}  // namespace sluice::server
