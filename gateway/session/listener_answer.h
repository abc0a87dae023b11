// What a listener answers by itself, before any route is looked for: the redirect to https, and the answers to ACME
// challenges (RFC 8555 §8.3). Both only after the request has been read and found good, so the host in a Location is one
// that the client asked for, in canonical form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "config/settings.h"
#include "http/request.h"

namespace sluice::session {

struct ListenerAnswer {
  int status = 0;
  std::string octets;  // the whole answer, of 200 and 308
  Error refusal{};     // of any other status
};

// nullopt: the routes decide.
std::optional<ListenerAnswer> listener_answer(const config::ListenerSettings& listener, const http::Request& request);

// The content of the challenge file of that token below the webroot; nullopt: there is none, or none that is served. Reads at
// most 64 KiB from a regular file that is reached without a symbolic link, and never waits: on the worker's thread, which
// is no hot path, for a challenge is asked for a few times in a certificate's life.
std::optional<std::string> read_challenge(const std::string& webroot, std::string_view token);

}  // namespace sluice::session
