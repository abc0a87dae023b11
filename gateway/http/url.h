// Url: an absolute http or https URL (RFC 9110 §4.2) that the gateway itself asks for. Strict: whatever is doubtful is
// refused, so that what was checked is what is connected to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/path.h"

namespace sluice::http {

struct Url {
  static constexpr std::size_t kMost = 2048;  // octets

  bool secure = true;   // https
  Authority authority;  // as the Host field says it
  std::string target;   // path and query; at least "/"

  // nullopt and `why` (a clause: "has a fragment") for anything but scheme://host[:port][/path][?query] of visible ASCII:
  // no user name, no fragment, port 1 to 65535.
  static std::optional<Url> parse(std::string_view text, std::string& why);

  std::string host() const;    // without the brackets of an IPv6 literal: what is resolved and what a certificate names
  std::uint16_t port() const;  // 443 or 80 where none is given
  std::string text() const;
};

}  // namespace sluice::http
