// The access lines of a connection (docs/reference/access-log.md): http or ws_open once its request is answered, ws_close when it
// ends. No token, no header value, no raw query.
#pragma once

#include "session/exchange.h"
#include "session/opening.h"
#include "session/runtime.h"

namespace sluice::session {

struct Opened {
  int status = 0;
  const Error* error = nullptr;
  const RouteRuntime* route = nullptr;  // null: no route was found
  const Leg* leg = nullptr;
  const Exchange* exchange = nullptr;   // of a plain request that reached a backend
};

void log_opening(const Opened& opened, const Opening& opening, const Record& record, const ListenerRuntime& listener,
                 WallTime wall, Instant now);
void log_closing(const Record& record, const RouteRuntime& route, const ListenerRuntime& listener, const Leg* leg,
                 WallTime wall, Duration age);

}  // namespace sluice::session
