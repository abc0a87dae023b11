// The upgrade head that goes up: regenerated, never the client's bytes.
#pragma once

#include "session/leg.h"
#include "session/opening.h"

namespace sluice::session {

// Errors: bad_header, internal. The plan's views die with `opening`.
Result<LegPlan> make_leg_plan(const RouteRuntime& route, const Opening& opening,
                              const std::vector<std::string_view>& subprotocols,
                              const std::vector<std::string_view>& extensions);

}  // namespace sluice::session
