#include "http/forwarded.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "http/octets.h"
#include "http/trace.h"

namespace sluice::http {

namespace {

constexpr std::string_view kWebSocketPrefix = "sec-websocket-";
constexpr std::string_view kForwardedPrefix = "x-forwarded-";
constexpr std::string_view kSluicePrefix = "x-sluice-";
constexpr std::string_view kCertificatePrefix = "x-client-cert-";
constexpr std::size_t kMostOptions = HeadLimits{}.fields;

// Fields of one hop (RFC 9110 §7.6.1) beside those that Connection nominates.
constexpr std::array<std::string_view, 11> kHopByHop = {
    "connection", "keep-alive", "proxy-connection",   "proxy-authorization", "proxy-authenticate", "te",
    "trailer",    "upgrade",    "transfer-encoding",  "http2-settings",      "proxy-authentication-info",
};

// Fields that the gateway writes itself on the way up, beside the prefixes above.
constexpr std::array<std::string_view, 9> kOurs = {
    "host",      "content-length", "forwarded", "x-forwarded",   "x-real-ip",
    "x-request-id", "via",         "traceparent", "x-client-cert",
};

constexpr std::array<std::string_view, 7> kSingle = {
    "authorization", "content-length", "host", "origin", "sec-websocket-key", "sec-websocket-version", "x-api-key",
};

bool has_prefix(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && same_name(name.substr(0, prefix.size()), prefix);
}

template <typename Names>
bool contains_name(const Names& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [name](std::string_view other) { return same_name(name, other); });
}

char folded(char c) { return c == '_' || c == '.' ? '-' : to_lower(c); }

// The tokens of all Connection fields.
Result<std::vector<std::string_view>> list_options(const Head& head, Errc code, Side side) {
  std::vector<std::string_view> options;
  for (const Field& field : head.fields) {
    if (!same_name(field.name, "connection")) continue;
    for (std::string_view rest = field.value; rest.data() != nullptr;) {
      const std::string_view option = take_element(rest, ',');
      if (option.empty()) continue;
      if (!all_octets(option, kToken)) return fail(code, side, "Connection option is not a token");
      if (options.size() == kMostOptions) return fail(code, side, "too many Connection options");
      options.push_back(option);
    }
  }
  return options;
}

// Fields that the gateway owns on the way up. The name is plain, so '-' is all that is left of an alias.
bool is_ours(std::string_view name, std::span<const std::string> owned) {
  for (const std::string_view prefix : {kForwardedPrefix, kSluicePrefix, kCertificatePrefix}) {
    if (has_prefix(name, prefix)) return true;
  }
  if (contains_name(kOurs, name)) return true;
  return std::any_of(owned.begin(), owned.end(), [name](std::string_view own) { return same_alias(name, own); });
}

// The only value of a field that holds one of its kind, or "".
std::string_view single_value(const Head& head, std::string_view name) {
  const std::string_view* value = head.find(name);
  return value != nullptr && head.count(name) == 1 ? *value : std::string_view{};
}

// The scheme and port that the client used, as a trusted proxy in front saw them.
std::string forwarded_proto(const Request& request, bool trusted) {
  const std::string_view theirs = trusted ? single_value(*request.head, "x-forwarded-proto") : std::string_view{};
  for (const std::string_view scheme : {"https", "http", "wss", "ws"}) {
    if (same_name(theirs, scheme)) return std::string(scheme);
  }
  return request.tls.active ? "https" : "http";
}

std::string forwarded_port(const Request& request, bool trusted) {
  const std::string_view theirs = trusted ? single_value(*request.head, "x-forwarded-port") : std::string_view{};
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(theirs.data(), theirs.data() + theirs.size(), port);
  const bool valid = error == std::errc{} && end == theirs.data() + theirs.size() && port > 0;
  return std::to_string(valid ? port : request.listener_port);
}

// Whom the request came through, the client first and the peer last, as IP addresses.
std::vector<std::string> hops(const Request& request, bool trusted) {
  std::vector<std::string> all;
  if (trusted) {
    for (const net::Address& hop : forwarded_chain(*request.head)) all.insert(all.begin(), hop.ip());
  }
  if (std::string peer = request.peer.ip(); !peer.empty()) all.push_back(std::move(peer));
  return all;
}

std::string forwarded_for(const std::vector<std::string>& hops) {
  std::string text;
  for (const std::string& hop : hops) text.append(text.empty() ? "" : ", ").append(hop);
  return text;
}

// RFC 7239 §4 and §6: an IPv6 address stands in brackets, and thereby in quotes.
std::string forwarded_elements(const std::vector<std::string>& hops, std::string_view proto, std::string_view host) {
  std::string text;
  for (const std::string& hop : hops) {
    const bool v6 = hop.find(':') != std::string::npos;
    text.append(text.empty() ? "for=" : ", for=").append(v6 ? "\"[" : "").append(hop).append(v6 ? "]\"" : "");
  }
  if (hops.empty()) text = "for=unknown";
  return text.append(";proto=").append(proto).append(";host=\"").append(host).append("\"");
}

}  // namespace

bool same_alias(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (folded(a[i]) != folded(b[i])) return false;
  }
  return true;
}

Result<std::vector<std::string_view>> connection_options(const Head& head) {
  std::vector<std::string_view> options = TRY(list_options(head, Errc::bad_header, Side::client));
  for (const std::string_view option : options) {
    if (same_name(option, "host") || same_name(option, "authorization") || has_prefix(option, kWebSocketPrefix)) {
      return fail(Errc::bad_header, Side::client, "Connection nominates a field that the handshake needs");
    }
  }
  return options;
}

Result<void> check_single_fields(const Head& head) {
  unsigned seen = 0;
  for (const Field& field : head.fields) {
    const auto* const single = std::find_if(kSingle.begin(), kSingle.end(), [&field](std::string_view name) {
      return same_name(field.name, name);
    });
    if (single == kSingle.end()) continue;
    const unsigned bit = 1U << (single - kSingle.begin());
    if ((seen & bit) != 0) return fail(Errc::dup_header, Side::client, "a field that decides comes twice");
    seen |= bit;
  }
  return {};
}

Result<std::vector<Field>> passing_fields(const Head& head, const FieldRules& rules) {
  const std::vector<std::string_view> nominated = TRY(connection_options(head));
  const TraceFields trace = trace_fields(head);
  std::vector<Field> passing;
  passing.reserve(head.fields.size());
  for (const Field& field : head.fields) {
    const std::string_view name = field.name;
    if (!all_octets(name, kPlainName) || contains_name(kHopByHop, name) || contains_name(nominated, name)) continue;
    if (has_prefix(name, kWebSocketPrefix) || is_ours(name, rules.owned) || contains_name(rules.dropped, name)) continue;
    if (same_name(name, "tracestate") && !(rules.trusted && trace.state)) continue;
    passing.push_back(field);
  }
  return passing;
}

std::vector<std::pair<std::string, std::string>> forwarded_fields(const Request& request, bool trusted,
                                                                  ForwardedStyle style) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.reserve(11);
  const std::vector<std::string> through = hops(request, trusted);
  const std::string proto = forwarded_proto(request, trusted);
  const std::string host = request.host.text();
  if (style != ForwardedStyle::forwarded) {
    if (!through.empty()) fields.emplace_back("X-Forwarded-For", forwarded_for(through));
    fields.emplace_back("X-Forwarded-Proto", proto);
    fields.emplace_back("X-Forwarded-Host", host);
    fields.emplace_back("X-Forwarded-Port", forwarded_port(request, trusted));
  }
  if (style != ForwardedStyle::x_forwarded) fields.emplace_back("Forwarded", forwarded_elements(through, proto, host));
  if (std::string client = request.client.ip(); !client.empty()) fields.emplace_back("X-Real-IP", std::move(client));
  fields.emplace_back("X-Request-Id", request.id);
  if (request.tls.client_cert) {
    if (!request.tls.client_subject.empty()) fields.emplace_back("X-Client-Cert-Subject", request.tls.client_subject);
    if (!request.tls.client_san.empty()) fields.emplace_back("X-Client-Cert-San", request.tls.client_san);
  }
  fields.emplace_back("Via", "1.1 sluice");
  fields.emplace_back("traceparent", request.traceparent);
  return fields;
}

bool reserved_request_field(std::string_view name) { return reserved_response_field(name) || is_ours(name, {}); }

bool reserved_response_field(std::string_view name) {
  return !all_octets(name, kPlainName) || contains_name(kHopByHop, name) || has_prefix(name, kWebSocketPrefix) ||
         same_name(name, "content-length");
}

std::string request_id(const Head& head, bool trusted) {
  if (trusted) {
    const std::string_view theirs = single_value(head, "x-request-id");
    if (theirs.size() <= 128 && all_octets(theirs, kToken)) return std::string(theirs);
  }
  return random_hex(16);
}

Result<std::vector<Field>> passing_response_fields(const Head& head) {
  const std::vector<std::string_view> nominated = TRY(list_options(head, Errc::be_bad_head, Side::upstream));
  std::vector<Field> passing;
  passing.reserve(head.fields.size());
  for (const Field& field : head.fields) {
    if (contains_name(kHopByHop, field.name) || contains_name(nominated, field.name)) continue;
    if (has_prefix(field.name, kWebSocketPrefix) || same_name(field.name, "content-length")) continue;
    passing.push_back(field);
  }
  return passing;
}

}  // namespace sluice::http
