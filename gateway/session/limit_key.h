// LimitKey: the key of one limit for one request, as octets for the limiter's table, and the error when it refuses.
#pragma once

#include <string>

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

Meter make_meter(const MeterRule& rule, Bytes key, Instant now);

}  // namespace sluice::session
