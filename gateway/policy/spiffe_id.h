// SpiffeId: the name of a workload, "spiffe://example.org/ns/web" (SPIFFE-ID §2).
#pragma once

#include <optional>
#include <string_view>

namespace sluice::policy {

struct SpiffeId {
  static constexpr std::size_t kMostOctets = 2048;
  std::string_view trust_domain;
  std::string_view path;  // with its slash; empty: the id of the trust domain itself

  // §2.1 to §2.3: the scheme in lower case; a trust domain of [a-z0-9._-], at most 255 octets, without port and user; path
  // segments of [A-Za-z0-9._-], none of them empty, "." or ".."; no query, fragment or escape. The views are into `text`.
  static std::optional<SpiffeId> parse(std::string_view text);
  static bool is_trust_domain(std::string_view text);
};

}  // namespace sluice::policy
