// ConnectionFilter: which of the live connections somebody wants to see. Parts that are empty ask nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "session/standing.h"

namespace sluice::session {

struct ConnectionFilter {
  std::string subject = {};
  std::string route = {};
  std::string auth = {};
  std::string method = {};
  std::optional<policy::ClaimMark> claim = {};

  // `standing`: null for who has no identity.
  bool takes(std::string_view its_route, std::string_view its_subject, const Standing* standing) const {
    if (!route.empty() && route != its_route) return false;
    if (!subject.empty() && subject != its_subject) return false;
    if (auth.empty() && method.empty() && !claim) return true;
    return standing && (auth.empty() || auth == standing->auth()) && (method.empty() || method == standing->method()) &&
           (!claim || standing->has(*claim));
  }
};

}  // namespace sluice::session
