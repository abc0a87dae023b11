// The heads that go up: regenerated, never the client's bytes. What an upgrade and a plain request have in common stands
// first, so that every rule of a route holds for both.
#pragma once

#include "http/h1_writer.h"
#include "session/leg.h"
#include "session/opening.h"

namespace sluice::session {

// The target without what must not go up (a stripped prefix, tokens in the query), and the Host field.
std::string target_upstream(const Opening& opening);
std::string host_upstream(const Opening& opening);
// Adds all other fields that are not of this hop: the client's that may pass, the gateway's, the identity's, the route's
// rules. Errors: bad_header.
Result<void> add_fields_upstream(http::HeadWriter& out, const config::CompiledRoute& route, const Opening& opening);

// Errors: bad_header, internal. The plan's views die with `opening`.
Result<LegPlan> make_leg_plan(const RouteRuntime& route, const Opening& opening,
                              const std::vector<std::string_view>& subprotocols,
                              const std::vector<std::string_view>& extensions);

}  // namespace sluice::session
