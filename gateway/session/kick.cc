#include "session/kick.h"

#include <utility>

#include "base/result.h"

namespace sluice::session {

Kick::Kick(policy::Revocation revocation, std::uint64_t seed, Instant before)
    : revocation_(std::move(revocation)), before_(before) {
  if (revocation_.of_identity()) {
    mark_ = policy::claim_mark(revocation_.claim(), revocation_.value, seed);
    issuer_ = policy::claim_mark("iss", revocation_.issuer, seed);
  } else if (revocation_.kind == policy::Revocation::Kind::ip) {
    block_ = net::Cidr::parse(revocation_.value);
    check(block_.has_value(), "a revoked address that is none");
  }
}

bool Kick::hits(const Standing* standing, std::string_view client, std::string_view id, Instant born) const {
  if (born >= before_) return false;
  if (block_) {
    const auto address = net::Address::parse(client, 0);
    return address && block_->contains(*address);
  }
  if (revocation_.kind == policy::Revocation::Kind::connection) return id == revocation_.value;
  return standing && standing->has(mark_) && (revocation_.auth.empty() || standing->auth() == revocation_.auth) &&
         (revocation_.issuer.empty() || standing->has(issuer_)) && !revocation_.spares(standing->issued());
}

}  // namespace sluice::session
