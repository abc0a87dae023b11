#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sluice::net {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

Address Address::from(const sockaddr* raw, socklen_t size) {
  Address address;
  address.size_ = std::min<socklen_t>(size, static_cast<socklen_t>(address.storage_.size()));
  if (address.size_ == 0) return address;
  std::memcpy(address.storage_.data(), raw, address.size_);
  return address;
}

std::optional<Address> Address::parse(std::string_view ip, std::uint16_t port) {
  const bool bracketed = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  // inet_pton reads up to a NUL: what stands behind one must not be passed over.
  if (ip.size() > 45 || ip.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string text(ip);
  sockaddr_in v4{};
  if (!bracketed && inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  }
  return std::nullopt;
}

std::optional<Address> Address::parse_bind(std::string_view text) {
  if (text.starts_with("unix:")) {
    const std::string_view path = text.substr(5);
    sockaddr_un un{};
    if (path.empty() || path.size() >= sizeof un.sun_path) return std::nullopt;
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.data(), path.size());
    return from(reinterpret_cast<const sockaddr*>(&un),
                static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1));
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  if (host.empty()) return parse("0.0.0.0", *port);
  if (host.find(':') != std::string_view::npos && host.front() != '[') return std::nullopt;
  return parse(host, *port);
}

bool Address::is_unix() const { return !empty() && family() == AF_UNIX; }
bool Address::is_v6() const { return !empty() && family() == AF_INET6 && !is_v4(); }
bool Address::is_v4() const {
  if (empty()) return false;
  if (family() == AF_INET) return true;
  if (family() != AF_INET6) return false;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(storage_.data());
  return std::memcmp(v6->sin6_addr.s6_addr, kMapped.data(), kMapped.size()) == 0;
}

Bytes Address::octets() const {
  if (empty()) return {};
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(storage_.data());
    return {reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), 4};
  }
  if (family() != AF_INET6) return {};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(storage_.data());
  if (is_v4()) return {v6->sin6_addr.s6_addr + 12, 4};
  return {v6->sin6_addr.s6_addr, 16};
}

Bytes Address::subscriber() const {
  constexpr std::size_t kV6Prefix = 8;
  const Bytes all = octets();
  return all.first(std::min(all.size(), kV6Prefix));
}

bool Address::is_loopback() const {
  if (is_unix()) return true;
  const Bytes octets = this->octets();
  if (octets.size() == 4) return octets[0] == 127;
  if (octets.size() != 16) return false;
  return octets[15] == 1 && std::all_of(octets.begin(), octets.begin() + 15, [](std::uint8_t o) { return o == 0; });
}

std::uint16_t Address::port() const {
  if (empty() || is_unix()) return 0;
  // The port stands at the same place in sockaddr_in and sockaddr_in6.
  return ntohs(reinterpret_cast<const sockaddr_in*>(storage_.data())->sin_port);
}

void Address::set_port(std::uint16_t port) {
  if (!empty() && !is_unix()) reinterpret_cast<sockaddr_in*>(storage_.data())->sin_port = htons(port);
}

std::string Address::ip() const {
  const Bytes octets = this->octets();
  if (octets.empty()) return {};
  char text[INET6_ADDRSTRLEN];
  if (octets.size() == 16) {
    inet_ntop(AF_INET6, octets.data(), text, sizeof text);
    return text;
  }
  // Every connection has this text in its log lines: inet_ntop would go through snprintf.
  char* end = text;
  for (const std::uint8_t octet : octets) {
    if (end != text) *end++ = '.';
    end = std::to_chars(end, text + sizeof text, octet).ptr;
  }
  return {text, end};
}

std::string Address::text() const {
  if (empty()) return {};
  if (is_unix()) return "unix:" + std::string(reinterpret_cast<const sockaddr_un*>(storage_.data())->sun_path);
  const std::string port = ":" + std::to_string(this->port());
  return is_v6() ? "[" + ip() + "]" + port : ip() + port;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto base = Address::parse(text.substr(0, slash), 0);
  if (!base) return std::nullopt;
  const Bytes octets = base->octets();
  const auto most = static_cast<std::uint8_t>(octets.size() * 8);
  Cidr cidr;
  cidr.base_ = *base;
  cidr.bits_ = most;
  if (slash != std::string_view::npos) {
    const auto bits = number<std::uint8_t>(text.substr(slash + 1));
    // "::ffff:10.0.0.0/104" counts the 96 bits of the IPv4-mapped prefix, of which octets() shows nothing.
    const int mapped = base->family() == AF_INET6 && most == 32 ? 96 : 0;
    if (!bits || *bits < mapped || *bits - mapped > most) return std::nullopt;
    cidr.bits_ = static_cast<std::uint8_t>(*bits - mapped);
  }
  for (std::size_t bit = cidr.bits_; bit < most; ++bit) {
    if (octets[bit / 8] & (0x80 >> (bit % 8))) return std::nullopt;
  }
  return cidr;
}

bool Cidr::contains(const Address& address) const {
  const Bytes mine = base_.octets();
  const Bytes theirs = address.octets();
  if (mine.empty() || mine.size() != theirs.size()) return false;
  const std::size_t whole = bits_ / 8;
  if (std::memcmp(mine.data(), theirs.data(), whole) != 0) return false;
  const unsigned rest = bits_ % 8;
  return rest == 0 || ((mine[whole] ^ theirs[whole]) >> (8 - rest)) == 0;
}

std::string Cidr::text() const { return base_.ip() + "/" + std::to_string(bits_); }

}  // namespace sluice::net
