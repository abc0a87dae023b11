// The opening handshake (RFC 6455 §4), both roles. The two sides are independent: the gateway answers the client's key
// itself, sends a fresh key upstream and verifies that answer. Sans I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"

namespace sluice::ws {

// base64(SHA-1(key + GUID)), 28 characters.
std::string accept_value(std::string_view key);
// 16 random octets in base64, 24 characters.
std::string fresh_key();

struct Offer {
  std::string_view key;
  std::vector<std::string_view> subprotocols;  // in the client's order, at most 16
  std::vector<std::string_view> extensions;    // each offered element with its parameters, trimmed, at most 16; without
                                               // permessage-deflate offers that RFC 7692 §7 says to decline
};

// Whether the request asks for a WebSocket at all: GET (or another method: then read_offer refuses) with an Upgrade
// field that lists "websocket" and a Connection field that lists "upgrade". HTTP/1.0 never does (RFC 9110 §7.8).
bool wants_websocket(const http::Head& head);

// Checks RFC 6455 §4.2.1: method other than GET → method (405); version other than 13 → ws_version
// (426), missing or twice → ws_handshake; key not 24 characters of base64 for 16 octets, missing or twice → ws_key;
// empty or repeated or more than 16 subprotocols, or one that is not a token → ws_subprotocol; broken extension list
// → ws_handshake; a body (Content-Length other than 0, any Transfer-Encoding) → body_on_upgrade (T01).
// The views die with the head.
Result<Offer> read_offer(const http::Head& head);

// Whether an extension element is a permessage-deflate offer or answer.
bool is_deflate(std::string_view element);

struct Agreement {
  std::string subprotocol;  // empty: none
  std::string extensions;   // the answer's field value; empty: none
  bool deflate = false;
};

// Checks the upstream's 101 against what the gateway sent (RFC 6455 §4.1): status 101, HTTP/1.1, Upgrade: websocket,
// Connection: upgrade, exactly one Accept that matches `key`, a subprotocol out of `subprotocols` or none, extensions
// that name only what `extensions` offered (permessage-deflate parameters valid by RFC 7692 §7.1). Else be_bad_101.
Result<Agreement> check_answer(const http::Head& head, std::string_view key,
                               const std::vector<std::string_view>& subprotocols,
                               const std::vector<std::string_view>& extensions);

}  // namespace sluice::ws
