// Stickiness: the value of a cookie that brings a client back to the server that it was joined to. Pure functions of the
// settings: any worker, and any gateway with the same secret, comes to the same answer.
//
// A value is base64url(nonce ‖ sealed ‖ signature), always 80 characters:
//   nonce      12 random octets
//   sealed     16 octets, when it runs out and which server, under a pad that HMAC-SHA-256 makes of the nonce
//   signature  HMAC-SHA-256 over nonce, sealed, the backend's name and the server's URL
// So it reveals nothing: no address, no expiry, and not whether two clients share a server. Whoever has no secret can
// make none, and one of another backend, or for a URL that is not configured any more, counts as none.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "upstream/backend.h"

namespace sluice::upstream {

Secret fresh_sticky_secret();

std::string sticky_value(const StickySettings& settings, std::string_view backend, const Server& server, WallTime now);

struct StickyServer {
  std::shared_ptr<const Server> server;  // null: forged, run out, or for a server that is none of these
  bool renew = false;              // good, but more than half of its time has passed, or the ttl is another one now
};
StickyServer read_sticky(const StickySettings& settings, std::string_view backend,
                         std::span<const std::shared_ptr<Server>> servers, std::string_view value, WallTime now);

// The whole Set-Cookie field (RFC 6265 §4.1) for that value. `tls`: the client came by TLS.
std::string sticky_field(const StickySettings& settings, std::string_view value, bool tls);

}  // namespace sluice::upstream
