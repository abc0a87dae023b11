#include "policy/access.h"

#include <algorithm>

#include "http/path.h"

namespace sluice::policy {
namespace {

bool is_scheme(std::string_view text) {  // RFC 3986 §3.1
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && is_letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

// Of a scheme that has one; an origin without port means it (RFC 6454 §4).
std::uint16_t default_port(std::string_view scheme) {
  if (scheme == "https" || scheme == "wss") return 443;
  if (scheme == "http" || scheme == "ws") return 80;
  return 0;
}

bool matches(const OriginPattern& pattern, const OriginPattern& origin) {
  if (pattern.scheme != origin.scheme || pattern.port != origin.port) return false;
  if (!pattern.wildcard) return pattern.host == origin.host;
  return origin.host.size() > pattern.host.size() && origin.host.ends_with(pattern.host);
}

// The port of a Host field without one is its scheme's: then only an Origin without a port of its own can be
// meant.
bool is_host_of(const http::Head& head, const OriginPattern& origin) {
  const std::string_view* field = head.find("Host");
  if (!field || head.count("Host") != 1) return false;
  const auto host = http::parse_authority(*field);
  if (!host) return false;
  const std::uint16_t port = host->port != 0 ? host->port : default_port(origin.scheme);
  return host->host == origin.host && port == origin.port;
}

}  // namespace

std::optional<OriginPattern> OriginPattern::parse(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon))) return std::nullopt;
  OriginPattern pattern;
  pattern.scheme = in_lower_case(text.substr(0, colon));
  text.remove_prefix(colon + 3);
  if (text.starts_with("*.")) {
    pattern.wildcard = true;
    text.remove_prefix(2);
  }
  if (text.find('*') != std::string_view::npos) return std::nullopt;
  const auto authority = http::parse_authority(text);
  if (!authority || (pattern.wildcard && authority->host.starts_with('['))) return std::nullopt;
  pattern.host = (pattern.wildcard ? "." : "") + authority->host;
  pattern.port = authority->port != 0 ? authority->port : default_port(pattern.scheme);
  return pattern;
}

Result<void> check_origin(const http::Head& head, const std::vector<OriginPattern>& allowed, bool same_host) {
  if (allowed.empty() && !same_host) return {};
  const std::string_view* field = head.find("Origin");
  if (!field) return {};
  if (head.count("Origin") != 1) return fail(Errc::origin, Side::client, "more than one Origin");
  const auto origin = OriginPattern::parse(*field);  // "null" is no origin
  if (!origin || origin->wildcard) return fail(Errc::origin, Side::client, "Origin is not readable");
  const bool good =
      allowed.empty() ? is_host_of(head, *origin)
                      : std::any_of(allowed.begin(), allowed.end(),
                                    [&](const OriginPattern& pattern) { return matches(pattern, *origin); });
  if (!good) return fail(Errc::origin, Side::client, "Origin not allowed");
  return {};
}

}  // namespace sluice::policy
