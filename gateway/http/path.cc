#include "http/path.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/utf8.h"
#include "http/octets.h"
#include "net/address.h"

namespace sluice::http {

namespace {

std::unexpected<Error> bad_path(const char* detail) { return fail(Errc::path, Side::client, detail); }

// The octet of the escape at `at` ("%41"), or nullopt when it is none.
std::optional<std::uint8_t> escaped_octet(std::string_view text, std::size_t at) {
  if (at + 2 >= text.size() || text[at] != '%') return std::nullopt;
  const int high = hex_value(text[at + 1]);
  const int low = hex_value(text[at + 2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<std::uint8_t>(high << 4 | low);
}

// Escapes that some decoder behind us would take for a separator, an end or a control octet.
bool forbidden_escape(std::uint8_t octet) {
  return octet < 0x20 || octet == 0x7f || octet == '/' || octet == '\\' || octet == ';' || octet == '?' || octet == '#';
}

// One segment with its unreserved octets decoded and its hex digits in upper case (RFC 3986 §6.2.2).
Result<std::string> canonical_segment(std::string_view raw) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string segment;
  segment.reserve(raw.size());
  std::string decoded;  // what UTF-8 is judged on, once an escape of a non-ASCII octet was seen
  bool foreign = false;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c != '%') {
      // pchar of RFC 3986 §3.3, but ';': path parameters hide segments from whoever splits at '/' alone.
      if (!octet_is(c, kUnreserved | kSubDelim) && c != ':' && c != '@') return bad_path("octet not allowed in a path");
      if (c == ';') return bad_path("path parameter");
      segment.push_back(c);
      decoded.push_back(c);
      continue;
    }
    const auto octet = escaped_octet(raw, i);
    if (!octet) return bad_path("malformed escape in the path");
    if (forbidden_escape(*octet)) return bad_path("escape of a separator or control octet in the path");
    foreign = foreign || *octet >= 0x80;
    decoded.push_back(static_cast<char>(*octet));
    if (octet_is(*octet, kUnreserved)) {
      segment.push_back(static_cast<char>(*octet));
    } else {
      segment.append({'%', kHexDigits[*octet >> 4], kHexDigits[*octet & 15]});
    }
    i += 2;
  }
  if (foreign && !valid_utf8(as_bytes(decoded))) return bad_path("path is not UTF-8");
  return segment;
}

bool valid_query(std::string_view query) {
  // Browsers leave the second group as it is in a query (WHATWG URL §1.3); no decoder behind us takes it for anything.
  constexpr std::string_view kMore = ":@/?" "[]{}|^`";
  for (std::size_t i = 0; i < query.size(); ++i) {
    const char c = query[i];
    if (c == '%') {
      if (!escaped_octet(query, i)) return false;
      i += 2;
    } else if (!octet_is(c, kUnreserved | kSubDelim) && kMore.find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

// Octets of the scheme with its "://" at the front of an absolute-form target (RFC 9112 §3.2.2), 0 if there is none.
std::size_t scheme_size(std::string_view raw) {
  constexpr std::array<std::string_view, 4> kSchemes = {"http://", "https://", "ws://", "wss://"};
  for (const std::string_view scheme : kSchemes) {
    if (same_name(raw.substr(0, scheme.size()), scheme)) return scheme.size();
  }
  return 0;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = escaped_octet(text, i);
    decoded.push_back(octet ? static_cast<char>(*octet) : text[i]);
    if (octet) i += 2;
  }
  return decoded;
}

// Whether percent-decoding `text` yields `name`, without building it.
bool decodes_to(std::string_view text, std::string_view name) {
  if (text.size() < name.size()) return false;
  std::size_t at = 0;
  for (const char expected : name) {
    if (at == text.size()) return false;
    const auto octet = escaped_octet(text, at);
    if ((octet ? static_cast<char>(*octet) : text[at]) != expected) return false;
    at += octet ? 3 : 1;
  }
  return at == text.size();
}

// name and value of "name=value", the value empty when there is no '='.
std::pair<std::string_view, std::string_view> split_pair(std::string_view pair) {
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos) return {pair, {}};
  return {pair.substr(0, equals), pair.substr(equals + 1)};
}

// DNS names and IPv4 addresses; '_' because internal names have it. An empty label is refused.
bool valid_host_name(std::string_view host) {
  char before = '.';
  for (const char c : host) {
    if (!octet_is(c, kPlainName) && c != '_' && c != '.') return false;
    if (c == '.' && before == '.') return false;
    before = c;
  }
  return !host.empty() && before != '.';
}

bool valid_ip_literal(std::string_view host) {
  if (host.size() < 4 || host.back() != ']') return false;
  const std::string_view inside = host.substr(1, host.size() - 2);
  return inside.find(':') != std::string_view::npos && net::Address::parse(inside, 0).has_value();
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  if (text.size() > 5 || !all_octets(text, kDigit) || text.front() == '0') return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{}) return std::nullopt;
  return port;
}

}  // namespace

std::string Target::text() const { return has_query ? path + '?' + query : path; }

Result<std::string> canonical_path(std::string_view raw) {
  if (raw.empty() || raw.front() != '/') return bad_path("path does not start with '/'");
  std::string path;
  path.reserve(raw.size());
  bool directory = true;  // the path ends with '/' once the last segment was one of ".", ".." or empty
  std::size_t at = 1;
  while (at <= raw.size()) {
    const std::size_t end = std::min(raw.find('/', at), raw.size());
    const std::string segment = TRY(canonical_segment(raw.substr(at, end - at)));
    at = end + 1;
    directory = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (path.empty()) return bad_path("'..' above the root");
      path.erase(path.rfind('/'));
    } else if (!directory) {
      path.append("/").append(segment);
    }
  }
  if (directory) path.push_back('/');
  return path;
}

Result<Target> canonical_target(std::string_view raw) {
  Target target;
  if (const std::size_t scheme = scheme_size(raw); scheme > 0) {
    raw.remove_prefix(scheme);
    const std::size_t end = std::min(raw.find_first_of("/?#"), raw.size());
    if (end == 0) return bad_path("absolute-form target without a host");
    target.authority = raw.substr(0, end);
    raw.remove_prefix(end);
  } else if (raw.empty() || raw.front() != '/') {
    return bad_path("target is neither origin-form nor absolute-form");
  }
  const std::size_t mark = raw.find('?');
  if (mark != std::string_view::npos) {
    target.has_query = true;
    target.query = raw.substr(mark + 1);
    if (!valid_query(target.query)) return bad_path("octet not allowed in a query");
    raw = raw.substr(0, mark);
  }
  // RFC 9110 §4.2.3: the empty path of an absolute-form target is "/".
  target.path = TRY(canonical_path(raw.empty() && !target.authority.empty() ? "/" : raw));
  return target;
}

Result<std::string> strip_prefix(std::string_view path, std::string_view prefix) {
  std::string_view rest = path.starts_with(prefix) ? path.substr(prefix.size()) : std::string_view{};
  if (path == prefix) rest = "/";
  std::string stripped = TRY(canonical_path(rest));
  if (stripped != rest) return bad_path("what a stripped prefix leaves is not canonical");
  return stripped;
}

QueryValue query_value(std::string_view query, std::string_view name) {
  QueryValue found;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const auto [key, value] = split_pair(query.substr(0, end));
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!decodes_to(key, name)) continue;
    if (found.count++ == 0) found.value = percent_decoded(value);
  }
  return found;
}

std::string without_query(std::string_view query, std::string_view name) {
  std::string kept;
  bool first = true;
  for (std::size_t at = 0; at <= query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view pair = query.substr(at, end - at);
    at = end + 1;
    if (decodes_to(split_pair(pair).first, name)) continue;
    if (!first) kept.push_back('&');
    kept.append(pair);
    first = false;
  }
  return kept;
}

std::string Authority::text() const { return port == 0 ? host : host + ':' + std::to_string(port); }

Result<Authority> parse_authority(std::string_view text) {
  const auto refuse = [](const char* detail) { return fail(Errc::host, Side::client, detail); };
  if (text.empty() || text.size() > 255) return refuse("host empty or over 255 octets");
  const bool literal = text.front() == '[';
  const std::size_t host_end = literal ? text.find(']') : text.find(':');
  std::string_view host = text.substr(0, literal && host_end != std::string_view::npos ? host_end + 1 : host_end);
  const std::string_view rest = text.substr(host.size());
  Authority authority;
  if (!rest.empty()) {
    const auto port = rest.front() == ':' ? read_port(rest.substr(1)) : std::nullopt;
    if (!port) return refuse("bad port");
    authority.port = *port;
  }
  if (!literal && host.size() > 1 && host.back() == '.') host.remove_suffix(1);
  if (!(literal ? valid_ip_literal(host) : valid_host_name(host))) return refuse("bad host");
  authority.host.reserve(host.size());
  for (const char c : host) authority.host.push_back(to_lower(c));
  return authority;
}

Result<Authority> request_host(const Head& head, const Target& target) {
  const std::string_view* field = head.find("host");
  if (field == nullptr) return fail(Errc::host, Side::client, "no Host field");
  if (head.count("host") > 1) return fail(Errc::dup_header, Side::client, "more than one Host field");
  Authority host = TRY(parse_authority(*field));
  if (!target.authority.empty() && TRY(parse_authority(target.authority)) != host) {
    return fail(Errc::host, Side::client, "the target's authority is not the Host field");
  }
  return host;
}

CookieValue cookie_value(std::string_view cookie_field, std::string_view name) {
  CookieValue found;
  while (cookie_field.data() != nullptr) {
    const auto [key, value] = split_pair(take_element(cookie_field, ';'));
    if (trim(key) != name) continue;
    if (found.count++ == 0) found.value = trim(value);
  }
  return found;
}

std::string without_cookie(std::string_view cookie_field, std::string_view name) {
  std::string kept;
  while (cookie_field.data() != nullptr) {
    const std::string_view pair = take_element(cookie_field, ';');
    if (pair.empty() || trim(split_pair(pair).first) == name) continue;
    if (!kept.empty()) kept.append("; ");
    kept.append(pair);
  }
  return kept;
}

}  // namespace sluice::http
