// The documents of the admin API that the main thread can tell by itself, as JSON text. No secrets: names,
// addresses, states and sums.
#pragma once

#include <string>

#include "base/time.h"
#include "config/snapshot.h"
#include "server/metrics.h"
#include "server/tallies.h"

namespace sluice::server {

// /api/v1/status: the process, its listeners and its routes.
std::string status_json(const ProcessFacts& facts, const config::Snapshot& snapshot, const Tallies& tallies,
                        WallTime now);
// /api/v1/backends: every server with its state.
std::string backends_json(const config::Snapshot& snapshot, Instant now);
// One of its servers.
std::string server_json(const upstream::Server& server, Instant now);

}  // namespace sluice::server
