// TicketCheck: one client's one-time ticket on its way through the store of tickets. Owned by its Authentication; destroying it
// gives the answer up, not the use: a ticket whose client leaves while it is being taken is used.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/ticket_store.h"
#include "session/front.h"

namespace sluice::session {

class TicketCheck {
 public:
  static constexpr Duration kMostWait = std::chrono::seconds(2);

  TicketCheck(House& house, net::Ready& ready, std::string_view ticket);

  // The record (policy/ticket_record.h), or null: it is still asked for. Errors: bad_ticket, auth_unavailable.
  Result<const std::string*> advance() const;
  Instant deadline() const { return deadline_; }

 private:
  House& house_;
  net::Ready& ready_;
  Instant deadline_;
  bool asked_ = false;  // take() has returned: an answer comes by itself
  std::optional<Result<std::optional<std::string>>> answer_;
  std::unique_ptr<policy::TicketStore::Question> question_;
};

}  // namespace sluice::session
