// Kick: a revocation on its way through the live connections of the workers, with what it costs to compare made once.
// Immutable: all workers read the same one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "net/address.h"
#include "policy/revocations.h"
#include "session/standing.h"

namespace sluice::session {

class Kick {
 public:
  // `seed`: that of the process's marks. `before`: it hits only who came earlier; a kick that arrives late was not meant for others.
  Kick(policy::Revocation revocation, std::uint64_t seed, Instant before = kNever);

  // `standing`: null for who has no identity. `client`: its address as in the logs. `id`: as there. `born`: when
  // it came.
  bool hits(const Standing* standing, std::string_view client, std::string_view id, Instant born = Instant()) const;
  const policy::Revocation& revocation() const { return revocation_; }

 private:
  policy::Revocation revocation_;
  Instant before_;
  policy::ClaimMark mark_ = 0;    // of identities
  policy::ClaimMark issuer_ = 0;  // likewise
  std::optional<net::Cidr> block_;
};

}  // namespace sluice::session
