// TargetSearch: the server that a client names by its token, query or path: found, judged, resolved and judged again by
// address. Owned by the Opening of one session; asks the house for names, and is woken through the session's Front.
// Nothing is connected to here, and only what it judged is connected to afterwards.
#pragma once

#include <memory>
#include <vector>

#include "session/front.h"
#include "session/name_lookup.h"
#include "upstream/target_rules.h"

namespace sluice::session {

struct Opening;

class TargetSearch {
 public:
  TargetSearch(House& house, net::Ready& ready, const upstream::TargetRules& rules, const Opening& opening);

  // true: addresses() may be connected to; false: an answer will come to the Ready. Errors: target_denied, no_backend.
  Result<bool> advance();
  const upstream::Target& target() const { return target_; }
  const std::vector<net::Address>& addresses() const { return addresses_; }

 private:
  Result<void> find(const Opening& opening);
  Result<bool> judge(const std::vector<net::Address>& found);

  House& house_;
  net::Ready& ready_;
  const upstream::TargetRules& rules_;
  upstream::Target target_;
  std::optional<Error> denied_;
  std::unique_ptr<NameLookup> lookup_;
  std::vector<net::Address> addresses_;
};

}  // namespace sluice::session
