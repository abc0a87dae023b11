// Who the client is behind trusted proxies: X-Forwarded-For and Forwarded (RFC 7239), read from the right.
#include <algorithm>
#include <optional>

#include "http/forwarded.h"
#include "http/octets.h"

namespace sluice::http {

namespace {

// A node of RFC 7239 §6 that is an address: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80", and the
// bare "2001:db8::1" that X-Forwarded-For commonly holds. Names, "unknown" and "_hidden" are none.
std::optional<net::Address> node_address(std::string_view node) {
  std::string_view host = node;
  std::string_view port_text;
  bool has_port = false;
  const std::size_t colon = node.rfind(':');
  const bool bracketed = node.starts_with('[');
  const bool one_colon = colon != std::string_view::npos && node.find(':') == colon;
  if (bracketed ? colon != std::string_view::npos && colon > node.find(']') : one_colon) {
    host = node.substr(0, colon);
    port_text = node.substr(colon + 1);
    has_port = true;
  }
  if (bracketed && (host.size() < 4 || host.back() != ']' || host.find(':') == std::string_view::npos)) {
    return std::nullopt;
  }
  std::uint32_t port = 0;
  if (has_port && (port_text.size() > 5 || !all_octets(port_text, kDigit))) return std::nullopt;
  for (const char digit : port_text) port = port * 10 + static_cast<std::uint32_t>(digit - '0');
  if (port > 65535) return std::nullopt;
  return net::Address::parse(host, static_cast<std::uint16_t>(port));
}

// Walks one X-Forwarded-For line from its right end; false when garbage ended the walk.
bool add_x_forwarded_for(std::string_view line, std::vector<net::Address>& chain) {
  for (bool more = true; more;) {
    const std::size_t comma = line.rfind(',');
    more = comma != std::string_view::npos;
    const std::string_view entry = trim(more ? line.substr(comma + 1) : line);
    line = line.substr(0, more ? comma : 0);
    if (entry.empty()) continue;  // RFC 9110 §5.6.1: empty list elements are ignored
    const auto address = node_address(entry);
    if (!address) return false;
    chain.push_back(*address);
  }
  return true;
}

// Value of a forwarded-pair at the front of `rest` (RFC 7239 §4: token / quoted-string), taken off it. Escapes in
// quotes are refused: no address needs one.
std::optional<std::string_view> take_value(std::string_view& rest) {
  std::size_t size = 0;
  if (rest.starts_with('"')) {
    const std::size_t end = rest.find_first_of("\"\\", 1);
    if (end == std::string_view::npos || rest[end] == '\\') return std::nullopt;
    const std::string_view value = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    return value;
  }
  // ':' and the brackets are not allowed unquoted, but many proxies write them so.
  while (size < rest.size() && (octet_is(rest[size], kToken) || rest[size] == ':' || rest[size] == '[' ||
                                rest[size] == ']' || rest[size] == '/')) {
    ++size;
  }
  const std::string_view value = rest.substr(0, size);
  rest.remove_prefix(size);
  return value;
}

void skip_space(std::string_view& rest) {
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
}

// Takes one forwarded-element with the comma behind it off `rest`. False when it is malformed; `node` is the value of
// its for=, empty when it has none.
bool take_forwarded_element(std::string_view& rest, std::string_view& node) {
  node = {};
  bool seen_for = false;
  for (;;) {
    skip_space(rest);
    std::size_t size = 0;
    while (size < rest.size() && octet_is(rest[size], kToken)) ++size;
    const std::string_view name = rest.substr(0, size);
    rest.remove_prefix(size);
    if (!name.empty()) {
      if (!rest.starts_with('=')) return false;
      rest.remove_prefix(1);
      const auto value = take_value(rest);
      if (!value) return false;
      if (same_name(name, "for")) {
        if (seen_for) return false;  // RFC 7239 §4: each parameter once per element
        seen_for = true;
        node = *value;
      }
    }
    skip_space(rest);
    if (rest.empty()) return true;
    const char separator = rest.front();
    if (separator != ',' && separator != ';') return false;
    rest.remove_prefix(1);
    if (separator == ',') return true;
  }
}

// Walks one Forwarded line from its right end. It has to be read from the left, for commas may stand in quotes; a line
// that does not parse says nothing.
bool add_forwarded(std::string_view line, std::vector<net::Address>& chain) {
  std::vector<std::string_view> nodes;
  while (!line.empty()) {
    std::string_view node;
    if (!take_forwarded_element(line, node)) return false;
    nodes.push_back(node);
  }
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const auto address = node_address(*node);
    if (!address) return false;
    chain.push_back(*address);
  }
  return true;
}

bool is_trusted(const net::Address& address, std::span<const net::Cidr> trusted) {
  return std::any_of(trusted.begin(), trusted.end(),
                     [&address](const net::Cidr& block) { return block.contains(address); });
}

}  // namespace

std::vector<net::Address> forwarded_chain(const Head& head) {
  std::vector<net::Address> chain;
  const bool common = head.find("x-forwarded-for") != nullptr;
  const std::string_view wanted = common ? "x-forwarded-for" : "forwarded";
  for (auto field = head.fields.rbegin(); field != head.fields.rend(); ++field) {
    if (!same_name(field->name, wanted)) continue;
    if (!(common ? add_x_forwarded_for(field->value, chain) : add_forwarded(field->value, chain))) break;
  }
  return chain;
}

net::Address client_address(const Head& head, const net::Address& peer, std::span<const net::Cidr> trusted) {
  if (!is_trusted(peer, trusted)) return peer;
  net::Address client = peer;
  for (const net::Address& hop : forwarded_chain(head)) {
    client = hop;
    if (!is_trusted(hop, trusted)) break;
  }
  return client;
}

}  // namespace sluice::http
