// What a sticky backend does with one request and its answer, upgrade or not: the cookie is read and taken out of what
// goes up, and the answer sets one when the client was joined to another server than the cookie names.
#pragma once

#include <optional>
#include <string>

#include "session/opening.h"
#include "upstream/cluster.h"

namespace sluice::session {

// Fills opening.sticky and takes the cookie out of what goes up. Nothing where the backend is not sticky.
void read_sticky_cookie(const upstream::Cluster& cluster, Opening& opening, WallTime now);

// The value of the answer's Set-Cookie field once the request has gone to `server`; nullopt: the client needs none.
std::optional<std::string> sticky_cookie(const upstream::Cluster& cluster, const Opening& opening,
                                         const upstream::Server& server, WallTime now);

}  // namespace sluice::session
