#include "upstream/target_rules.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "net/socket.h"

namespace sluice::upstream {

namespace {

constexpr std::size_t kMostName = 253;
constexpr std::size_t kMostLabel = 63;
// Mail, Redis, Docker and the kubelet: what forged requests have been sent to.
constexpr std::array<std::uint16_t, 6> kDeniedPorts{25, 465, 587, 2375, 6379, 10250};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Decimal from 1, without a leading zero.
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || text.front() == '0' || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

bool is_label(std::string_view label) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= kMostLabel && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, allowed);
}

// 0x7f and 0177 are numbers to inet_aton, as 127 is.
bool is_number(std::string_view label) {
  if (label.starts_with("0x")) return true;
  return std::ranges::all_of(label, is_digit);
}

bool is_name(std::string_view host) {
  if (host.size() > kMostName) return false;
  std::string_view label;
  while (true) {
    const std::size_t dot = host.find('.');
    label = host.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) return !is_number(label);
    host.remove_prefix(dot + 1);
  }
}

bool is_any(const net::Address& address) {
  return std::ranges::all_of(address.octets(), [](std::uint8_t octet) { return octet == 0; });
}

}  // namespace

std::optional<Target> Target::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = port_of(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[');
  if (bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
  if (const auto address = net::Address::parse(host, *port)) return Target{address->ip(), *port, true};
  if (bracketed) return std::nullopt;
  std::string name(host);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (!is_name(name)) return std::nullopt;
  return Target{std::move(name), *port, false};
}

std::string Target::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<PortRange> PortRange::parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = port_of(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : port_of(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return PortRange{*first, *last};
}

std::span<const net::Cidr> denied_blocks() {
  static const std::vector<net::Cidr> all = [] {
    std::vector<net::Cidr> blocks;
    for (const std::string_view text :
         {"0.0.0.0/8",       "10.0.0.0/8",    "100.64.0.0/10", "127.0.0.0/8",  "169.254.0.0/16", "172.16.0.0/12",
          "192.0.0.0/24",    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4",  "240.0.0.0/4",    "::/128",
          "::1/128",         "64:ff9b::/96",  "64:ff9b:1::/48", "2002::/16",    "fc00::/7",       "fe80::/10",
          "ff00::/8"}) {
      blocks.push_back(*net::Cidr::parse(text));
    }
    return blocks;
  }();
  return all;
}

bool denied_port(std::uint16_t port) { return std::ranges::find(kDeniedPorts, port) != kDeniedPorts.end(); }

// Host and port of the rule, without the address.
bool TargetRules::names(const TargetAllow& allow, const Target& target) const {
  const bool port = std::ranges::any_of(allow.ports, [&](const PortRange& range) {
    return range.contains(target.port) && (range.first == range.last || !denied_port(target.port));
  });
  if (!port) return false;
  if (allow.host.empty()) return target.literal || settings_.mapped;
  if (target.literal) return false;
  if (!allow.host.starts_with("*.")) return allow.host == target.host;
  const std::string_view zone = std::string_view(allow.host).substr(1);
  return target.host.size() > zone.size() && target.host.ends_with(zone);
}

bool TargetRules::may_name(const Target& target) const {
  return std::ranges::any_of(settings_.allow, [&](const TargetAllow& allow) { return names(allow, target); });
}

bool TargetRules::may_connect(const Target& target, const net::Address& address) const {
  if (address.octets().empty() || address.port() != target.port || is_own(address)) return false;
  return std::ranges::any_of(settings_.allow, [&](const TargetAllow& allow) {
    if (!names(allow, target) || (allow.cidr && !allow.cidr->contains(address))) return false;
    return std::ranges::all_of(denied_blocks(), [&](const net::Cidr& denied) {
      return !denied.contains(address) || (allow.cidr && allow.cidr->within(denied));
    });
  });
}

bool TargetRules::is_own(const net::Address& address) const {
  return std::ranges::any_of(own_, [&](const net::Address& own) {
    if (own.port() != address.port()) return false;
    return std::ranges::equal(own.octets(), address.octets()) || (is_any(own) && net::is_local(address));
  });
}

}  // namespace sluice::upstream
