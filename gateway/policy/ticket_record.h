// TicketRecord: what a one-time ticket stands for: the identity that was verified when it was issued. As a text it is one JSON
// object for a TicketStore; no token and no ticket is in it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/identity.h"

namespace sluice::policy {

struct TicketRecord {
  std::string auth;     // name of the [auth] that the identity comes from
  std::string client;   // the only address that may use it; empty: any may
  Identity identity;

  std::string text() const;
  // Errors: bad_ticket, for what text() has not written.
  static Result<TicketRecord> parse(std::string_view text);
};

}  // namespace sluice::policy
