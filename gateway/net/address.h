// Address: an IPv4, IPv6 or unix socket address by value. Cidr: a block of IP addresses.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sluice::net {

class Address {
 public:
  Address() = default;
  // IPv4 or IPv6 literal ("127.0.0.1", "::1", "[::1]") and port; nullopt for anything else. Never resolves names.
  static std::optional<Address> parse(std::string_view ip, std::uint16_t port);
  // "127.0.0.1:80", "[::1]:80", ":80" (any IPv4), "unix:/path".
  static std::optional<Address> parse_bind(std::string_view text);
  static Address from(const sockaddr* raw, socklen_t size);

  bool empty() const { return size_ == 0; }
  bool is_v4() const;  // also an IPv4-mapped IPv6 address
  bool is_v6() const;
  bool is_unix() const;
  bool is_loopback() const;
  std::uint16_t port() const;
  void set_port(std::uint16_t port);
  std::string ip() const;    // without port and brackets; an IPv4-mapped address prints as IPv4
  std::string text() const;  // ip:port, [ip]:port or unix:/path
  // 4 or 16 octets in network order (4 for IPv4-mapped); empty for unix. The view dies with the Address.
  Bytes octets() const;
  // What one subscriber has: an IPv4 address, or the first 8 of octets() of an IPv6 one, a /64.
  Bytes subscriber() const;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(storage_.data()); }
  socklen_t raw_size() const { return size_; }
  int family() const { return raw()->sa_family; }
  friend bool operator==(const Address& a, const Address& b) {
    return a.size_ == b.size_ && a.storage_ == b.storage_;
  }

 private:
  alignas(8) std::array<std::uint8_t, 112> storage_{};  // sockaddr_un is the largest: 110
  socklen_t size_ = 0;
};

class Cidr {
 public:
  // "10.0.0.0/8", "::1/128", or a bare address. Host bits that are set are an error.
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const Address& address) const;
  // All of it lies in `other`.
  bool within(const Cidr& other) const { return bits_ >= other.bits_ && other.contains(base_); }
  std::string text() const;
  // It holds one address: base().
  bool single() const { return bits_ == base_.octets().size() * 8; }
  const Address& base() const { return base_; }
  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  Address base_;
  std::uint8_t bits_ = 0;
};

}  // namespace sluice::net
