// Whether a client whose identity is known may have what it asks for: the paths that claims bind and the access rules of a
// route, counted by what refused. One judgement for a handshake, a plain request, a first message and a renewed identity.
#pragma once

#include "base/result.h"
#include "policy/access_rules.h"
#include "session/runtime.h"

namespace sluice::session {

struct Opening;

// Errors: access_denied.
Result<void> check_access(const RouteRuntime& route, const policy::AccessQuestion& question);
// Of a request, whoever makes it.
Result<void> check_access(const RouteRuntime& route, const Opening& opening);

}  // namespace sluice::session
