#include "session/limit_key.h"

namespace sluice::session {

namespace {

using Key = policy::LimitSettings::Key;

std::string address_key(const net::Address& address) { return std::string(as_text(address.subscriber())); }

}  // namespace

Errc limit_errc(Key key) {
  switch (key) {
    case Key::connection: return Errc::rl_connection;
    case Key::ip: return Errc::rl_ip;
    case Key::claim: return Errc::rl_user;
    case Key::route: return Errc::rl_route;
    case Key::listener: return Errc::rl_listener;
  }
  return Errc::rl_connection;
}

LimitKey::LimitKey(const policy::LimitSettings& limit, const Opening& opening,
                   const config::ListenerSettings& listener, const std::string& route)
    : error_{limit_errc(limit.key), Side::client, false, ""} {
  switch (limit.key) {
    case Key::connection: break;
    case Key::ip: text_ = address_key(opening.request.client); break;
    case Key::route: text_ = route; break;
    case Key::listener: text_ = listener.name; break;
    case Key::claim: {
      bool bad = false;
      const auto claim = opening.authenticated.identity.claim_text(limit.claim, bad);
      // Who has no such claim shares a budget with the others at that address: leaving it out must not lift the limit.
      text_ = claim ? "c" + *claim : "a" + address_key(opening.request.client);
      break;
    }
  }
}

Duration admitted(policy::Limiter& limiter, const LimitKey& key, Instant now, std::vector<policy::Permit>& permits) {
  Duration wait{};
  if (limiter.settings().unit == policy::LimitSettings::Unit::connections) {
    bool granted = false;
    policy::Permit permit = limiter.acquire(key.octets(), now, granted);
    if (granted) permits.push_back(std::move(permit));
    if (!granted) wait = std::chrono::seconds(1);
  } else {
    wait = limiter.take(key.octets(), 1, now);
  }
  wait == Duration::zero() ? limiter.count_allowed() : limiter.count_refused();
  return wait;
}

Meter make_meter(const MeterRule& rule, Bytes key, Instant now) {
  Meter meter;
  meter.rule = &rule;
  if (!rule.own) meter.bucket = rule.limiter->bucket(key, now);
  return meter;
}

}  // namespace sluice::session
