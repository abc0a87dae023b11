#include "session/ticket_check.h"

#include <utility>

namespace sluice::session {

TicketCheck::TicketCheck(House& house, net::Ready& ready, std::string_view ticket)
    : house_(house), ready_(ready), deadline_(house.loop.now() + kMostWait) {
  question_ = house.tickets().take(net::sha256(as_bytes(ticket)), house.loop.now(), [this](Result<std::optional<std::string>> taken) {
    answer_ = std::move(taken);
    if (asked_) ready_.on_ready();
  });
  asked_ = true;
}

Result<const std::string*> TicketCheck::advance() const {
  if (!answer_) {
    if (house_.loop.now() < deadline_) return nullptr;
    return fail(Errc::auth_unavailable, Side::gateway, "the store of tickets does not answer");
  }
  if (!*answer_) return fail(answer_->error());
  if (!**answer_) return fail(Errc::bad_ticket, Side::client, "no such ticket (any more)");
  return &***answer_;
}

}  // namespace sluice::session
