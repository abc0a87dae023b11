// The PROXY header that goes to an upstream ahead of everything else (net/proxy_protocol.h).
#pragma once

#include "session/opening.h"

namespace sluice::session {

// Empty where the backend wants none. Error: internal, when what it is to say does not fit.
Result<std::string> proxy_header(const upstream::ProxySettings& wanted, const Opening& opening);

}  // namespace sluice::session
