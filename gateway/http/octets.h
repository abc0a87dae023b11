// Octet classes of HTTP's grammar (RFC 9110 §5.6, RFC 3986 §2) as one table: a class test is one load. Private to http/.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::http {

enum : std::uint8_t {
  kToken = 1,       // tchar, RFC 9110 §5.6.2
  kTarget = 2,      // visible ASCII: what may stand in a request target (http/path.h judges it further)
  kContent = 4,     // field content: HTAB, SP, visible ASCII, obs-text (RFC 9110 §5.5)
  kDigit = 8,
  kHex = 16,
  kUnreserved = 32,  // RFC 3986 §2.3
  kSubDelim = 64,    // RFC 3986 §2.2
  kPlainName = 128,  // [A-Za-z0-9-]: the only field names that pass upstream
};

constexpr std::array<std::uint8_t, 256> make_octet_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto mark = [&classes](std::string_view octets, unsigned bits) {
    for (const char c : octets) {
      classes[static_cast<std::uint8_t>(c)] = static_cast<std::uint8_t>(classes[static_cast<std::uint8_t>(c)] | bits);
    }
  };
  for (unsigned octet = 0; octet < 256; ++octet) {
    if (octet > 0x20 && octet < 0x7f) classes[octet] = kTarget | kContent;
    if (octet >= 0x80) classes[octet] = kContent;
  }
  mark("\t ", kContent);
  mark("0123456789", kToken | kDigit | kHex | kUnreserved | kPlainName);
  mark("ABCDEFabcdef", kHex);
  mark("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", kToken | kUnreserved | kPlainName);
  mark("!#$%&'*+-.^_`|~", kToken);
  mark("-._~", kUnreserved);
  mark("!$&'()*+,;=", kSubDelim);
  mark("-", kPlainName);
  return classes;
}

inline constexpr std::array<std::uint8_t, 256> kOctetClasses = make_octet_classes();

constexpr bool octet_is(std::uint8_t octet, unsigned classes) { return (kOctetClasses[octet] & classes) != 0; }
constexpr bool octet_is(char octet, unsigned classes) { return octet_is(static_cast<std::uint8_t>(octet), classes); }

// Whether `text` is not empty and made of these classes only.
constexpr bool all_octets(std::string_view text, unsigned classes) {
  for (const char octet : text) {
    if (!octet_is(octet, classes)) return false;
  }
  return !text.empty();
}

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Optional white space (RFC 9110 §5.6.3) taken off both ends.
constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the next element up to `separator` off the front of `rest`, trimmed; `rest` becomes null when it was the last.
constexpr std::string_view take_element(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view element = trim(rest.substr(0, at));
  rest = at == std::string_view::npos ? std::string_view{} : std::string_view{rest.data() + at + 1, rest.size() - at - 1};
  return element;
}

}  // namespace sluice::http
