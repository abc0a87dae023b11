// LimitKey: the key of one limit for one request, as octets for the limiter's table, and the error when it refuses.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "policy/limiter.h"
#include "session/lane.h"
#include "session/opening.h"

namespace sluice::session {

class LimitKey {
 public:
  LimitKey(const policy::LimitSettings& limit, const Opening& opening, const config::ListenerSettings& listener,
           const std::string& route);
  Bytes octets() const { return as_bytes(text_); }
  Error refusal() const { return error_; }

 private:
  std::string text_;
  Error error_{};
};

// The error that a limit of this key means.
Errc limit_errc(policy::LimitSettings::Key key);

// Asks a limit that counts handshakes, requests or connections, and counts the answer. Zero: granted, and what is to be given
// back at the end has gone to `permits`; else the time after which it may be tried again.
Duration admitted(policy::Limiter& limiter, const LimitKey& key, Instant now, std::vector<policy::Permit>& permits);

Meter make_meter(const MeterRule& rule, Bytes key, Instant now);

}  // namespace sluice::session
