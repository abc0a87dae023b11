// EndpointSettings: [auth.NAME.endpoints], the paths below which the gateway itself answers for one [auth].
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "policy/access.h"

namespace sluice::policy {

struct EndpointSettings {
  enum class Kind : std::uint8_t {
    ticket,   // a credential is exchanged for a one-time ticket
    refresh,  // a live connection is given a newer credential
    logout,   // the issuer says that somebody has logged out
  };
  // As in the configuration.
  static constexpr std::array<std::string_view, 3> kKindNames{"ticket", "refresh", "logout"};

  std::array<std::string, kKindNames.size()> paths;  // [Kind]; empty: there is none
  std::vector<OriginPattern> origins;   // of pages that may ask; empty: those of the same host
  std::vector<std::string> listeners;   // names; empty: all
  std::string host;                     // empty: any
  Duration ticket_ttl = std::chrono::seconds(30);
  bool ticket_bind_ip = false;          // a ticket is good for the address that it was issued to
  Duration logout_ttl = std::chrono::hours(24);  // for how long a logout stands

  const std::string& path(Kind kind) const { return paths[static_cast<std::size_t>(kind)]; }
  bool any() const {
    return std::ranges::any_of(paths, [](const std::string& path) { return !path.empty(); });
  }
};

}  // namespace sluice::policy
