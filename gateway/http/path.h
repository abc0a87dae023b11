// The one canonicaliser of request targets: router, policies, logs and the forwarded request all use
// its result and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/head.h"

namespace sluice::http {

struct Target {
  std::string path;       // canonical, starts with '/': unreserved octets decoded, hex upper-case, no dot segments, no '//'
  // As received, without '?'; validated: no control octets, no '#', escapes well-formed, only octets that RFC 3986 allows
  // and those that browsers leave as they are in a query (WHATWG URL §1.3): [ ] { } | ^ `
  std::string query;
  std::string authority;  // of an absolute-form target; empty for origin-form
  bool has_query = false;

  // path, and '?' + query if there was one: what goes upstream.
  std::string text() const;
};

// Errc::path for: %00 and every other escaped control octet, %2f %5c %3b %3f %23, '\', '#', ';' in a segment, bad %-hex, control octets, '..' above the root,
// octets >= 0x80, invalid UTF-8 after decoding, a target that is neither origin-form nor absolute-form http(s)/ws(s).
Result<Target> canonical_target(std::string_view raw);

// Idempotent on its own result. Used again after a prefix was stripped; what does not start with '/' is an Error.
Result<std::string> canonical_path(std::string_view raw);

// A canonical path without `prefix` ("/api", no slash at its end), canonical once more: "/api/x" → "/x", "/api" → "/".
// Errc::path where it does not lie under the prefix, or where what is left is not what it says.
Result<std::string> strip_prefix(std::string_view path, std::string_view prefix);

// Value of the first query parameter of that name, percent-decoded ('+' stays '+'); `count` says how many there are.
// Names are compared decoded: "%74oken" is "token".
struct QueryValue {
  std::string value;
  std::size_t count = 0;
};
QueryValue query_value(std::string_view query, std::string_view name);
// The query without every parameter of that name.
std::string without_query(std::string_view query, std::string_view name);

// Host header or authority, in lower case; userinfo, path, '%', more than 255 octets, a bad port, an
// empty host or an empty label → Errc::host. A host name's root dot ("a.test.") is dropped: it names the same host.
struct Authority {
  std::string host;  // lower case, IPv6 in brackets
  std::uint16_t port = 0;  // 0 = none given

  friend bool operator==(const Authority&, const Authority&) = default;
  // host, and ':' + port if one was given.
  std::string text() const;
};
Result<Authority> parse_authority(std::string_view text);

// The host that a request is for (RFC 9112 §3.2): exactly one Host field, in HTTP/1.0 too, which an
// absolute-form target's authority must equal. No Host or another one → Errc::host; two of them → Errc::dup_header.
Result<Authority> request_host(const Head& head, const Target& target);

// Value of the first cookie of that name in a Cookie field (RFC 6265 §4.2), quotes included if there are any; names
// compare exactly. `count` says how many there are.
struct CookieValue {
  std::string_view value;
  std::size_t count = 0;
};
CookieValue cookie_value(std::string_view cookie_field, std::string_view name);
// The Cookie field without that cookie; empty when nothing is left.
std::string without_cookie(std::string_view cookie_field, std::string_view name);

}  // namespace sluice::http
