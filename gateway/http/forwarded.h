// The field policy between client and upstream (RFC 9110 §7.6, RFC 7239): what is dropped, what is
// ours, and who the client is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"
#include "http/request.h"
#include "net/address.h"

namespace sluice::http {

// Two names are aliases when they are equal after folding case and '_', '.', '-' (some backends fold them).
bool same_alias(std::string_view a, std::string_view b);

// The client's address: when `peer` is inside `trusted`, the right-most X-Forwarded-For entry (or Forwarded for=) that is
// not itself trusted; else the peer. Garbage ends the walk at the last good address. Forwarded is read only when there
// is no X-Forwarded-For: two chains cannot be put in one order. The port is the entry's, 0 when it names none.
net::Address client_address(const Head& head, const net::Address& peer, std::span<const net::Cidr> trusted);

// The hops that those fields name, nearest first, up to the first entry that is not an address.
std::vector<net::Address> forwarded_chain(const Head& head);

// The options of the Connection field(s), as received: "close", "upgrade" and the names of fields that are for this hop
// only. Errc::bad_header when it nominates Host, Authorization or any Sec-WebSocket-* field, holds
// something other than tokens, or more options than a head may have fields.
Result<std::vector<std::string_view>> connection_options(const Head& head);

// Errc::dup_header when a field that decides who asks for what comes twice: Authorization,
// Content-Length, Host, Origin, Sec-WebSocket-Key, Sec-WebSocket-Version, X-Api-Key.
Result<void> check_single_fields(const Head& head);

// Which fields tell a backend who the client is.
enum class ForwardedStyle : std::uint8_t { x_forwarded, forwarded, both };

struct FieldRules {
  std::span<const std::string> owned;  // names that the gateway sets (identity headers): client copies and aliases go
  std::span<const std::string> dropped;  // further names to drop, exact (case-insensitive), e.g. Authorization when it was the carrier
  bool trusted = false;  // the peer is a trusted proxy: its tracestate may pass
};

// The client's fields that may pass upstream, in order: without hop-by-hop and nominated fields, Host, Content-Length,
// Sec-WebSocket-*, names outside [A-Za-z0-9-], every alias of a gateway-owned name (X-Forwarded-*, Forwarded, X-Real-IP,
// X-Request-Id, Via, traceparent, X-Sluice-* and `rules.owned`), and `rules.dropped`. tracestate passes when `rules.trusted`
// and it and its traceparent are valid (W3C Trace Context). Errors: those of connection_options().
Result<std::vector<Field>> passing_fields(const Head& head, const FieldRules& rules);

// What the gateway adds. By `style` X-Forwarded-For (appended to the trusted proxy's chain, else replaced), -Proto, -Host
// and -Port, or Forwarded (RFC 7239) with the same chain, proto and host, or both; always X-Real-IP, X-Request-Id, Via
// "1.1 sluice" and traceparent. `trusted` is whether request.peer is trusted: then its X-Forwarded-Proto and -Port are
// taken over when they are valid. The host is always the request's own, for many load balancers pass the client's
// X-Forwarded-Host on unseen. A peer on a unix socket has no address to add.
std::vector<std::pair<std::string, std::string>> forwarded_fields(const Request& request, bool trusted,
                                                                  ForwardedStyle style = ForwardedStyle::x_forwarded);

// Names that no rule of a configuration may set or remove: fields of one hop, of framing and of the handshake, names outside
// [A-Za-z0-9-] (which never pass), and on the way up those that the gateway writes itself (X-Forwarded-*, Via and so on).
bool reserved_request_field(std::string_view name);
bool reserved_response_field(std::string_view name);

// X-Request-Id of the client when the peer is trusted and the value is 1-128 visible token octets; else a fresh one
// (32 hex digits).
std::string request_id(const Head& head, bool trusted);

// Backend's response fields that may pass to the client beside a 101 or with a refusal: without hop-by-hop fields and
// those that it nominates, Sec-WebSocket-*, Content-Length, Transfer-Encoding. Errors: be_bad_head, Side::upstream.
Result<std::vector<Field>> passing_response_fields(const Head& head);

}  // namespace sluice::http
