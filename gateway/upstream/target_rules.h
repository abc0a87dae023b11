// TargetRules: which servers a client may name (docs/how-to/token-targets.md). Two questions: may this name be asked for at
// all, before anything is resolved; and may this address be connected to, asked of the very address that goes to connect(),
// so that a name which answers otherwise the next time gains nothing. Immutable, shared by all workers. Resolves nothing,
// connects to nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace sluice::upstream {

// A server as a client, or a map of the configuration, names it.
struct Target {
  std::string host;  // lower case; without brackets
  std::uint16_t port = 0;
  bool literal = false;  // an IP address

  // "HOST:PORT" or "[IPV6]:PORT" and nothing else: IPv4 as four decimal numbers, names of letters, digits and '-' whose last
  // label is no number (what inet_aton takes for an address), no root dot, no zone.
  static std::optional<Target> parse(std::string_view text);
  std::string text() const;
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  // "5900" or "5900-5909".
  static std::optional<PortRange> parse(std::string_view text);
  bool contains(std::uint16_t port) const { return first <= port && port <= last; }
};

// All of it must hold.
struct TargetAllow {
  std::string host;               // a name, or "*.zone" for all names below; empty: no name, only literals and mapped ones
  std::optional<net::Cidr> cidr;  // the address; none: any that is not denied
  std::vector<PortRange> ports;
};

struct TargetSettings {
  enum class From : std::uint8_t { claim, query, path };
  From from = From::claim;
  std::string name;           // claim or parameter
  std::uint32_t segment = 0;  // of the path, from 1
  bool mapped = false;        // what the client names is a key of `map`, not a server
  std::map<std::string, Target, std::less<>> map;
  std::vector<TargetAllow> allow;
};

class TargetRules {
 public:
  // `own`: addresses that the gateway itself listens on; ports of an any-address bind are denied on every local address.
  TargetRules(TargetSettings settings, std::vector<net::Address> own)
      : settings_(std::move(settings)), own_(std::move(own)) {}
  const TargetSettings& settings() const { return settings_; }

  bool may_name(const Target& target) const;
  // Also false for what may_name() refuses.
  bool may_connect(const Target& target, const net::Address& address) const;

 private:
  bool names(const TargetAllow& allow, const Target& target) const;
  bool is_own(const net::Address& address) const;

  TargetSettings settings_;
  std::vector<net::Address> own_;
};

// Blocks that are denied unless an allowed block lies within them, and ports unless one is allowed by its own number.
std::span<const net::Cidr> denied_blocks();
bool denied_port(std::uint16_t port);

}  // namespace sluice::upstream
