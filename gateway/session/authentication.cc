#include "session/authentication.h"

#include <utility>

#include "policy/ticket_record.h"
#include "session/opening.h"

namespace sluice::session {

Result<bool> Authentication::advance(Opening& opening) {
  const bool begins = !std::exchange(begun_, true);
  if (!credential_) credential_ = TRY(authenticator_.find(opening.request, opening.offer.subprotocols));
  policy::Failures* const failures = credential_->method->failures;
  if (failures && begins) {
    opening.retry_after = failures->wait(opening.request.client, house_.loop.now());
    if (opening.retry_after > Duration::zero()) {
      return fail(Errc::rl_auth, Side::client, "too many credentials from its address were wrong");
    }
  }
  const Result<bool> known = judge(opening);
  // Whoever is known and only may not come in has guessed nothing.
  if (failures && !known && row(known.error().code).status == 401) {
    failures->count(opening.request.client, house_.loop.now());
  }
  return known;
}

Result<bool> Authentication::judge(Opening& opening) {
  if (credential_->method->external) return ask(opening);
  const policy::Carrier* const carrier = credential_->carrier;  // null: a certificate
  if (carrier && carrier->kind == policy::Carrier::Kind::ticket) return redeem(opening);
  return verify(opening);
}

Result<bool> Authentication::verify(Opening& opening) {
  if (!token_) token_.emplace(house_, ready_, authenticator_, *credential_);
  auto authenticated = TRY(token_->advance());
  if (!authenticated) return false;
  opening.authenticated = std::move(*authenticated);
  return true;
}

// Who it was at the issue: what has happened to that identity since (its end, a revocation) is judged as if it had come itself.
Result<bool> Authentication::redeem(Opening& opening) {
  if (!ticket_) ticket_ = std::make_unique<TicketCheck>(house_, ready_, credential_->text.reveal());
  const Result<const std::string*> taken = ticket_->advance();
  if (taken && !*taken) return false;
  using Ticket = WorkerTally::Ticket;
  const auto count = [&](Ticket what) { house_.tally.tickets[static_cast<std::size_t>(what)].add(); };
  if (!taken) {
    count(taken.error().code == Errc::bad_ticket ? Ticket::refused : Ticket::unavailable);
    return fail(taken.error());
  }
  auto known = authenticated_by(**taken, opening);
  count(known ? Ticket::used : Ticket::refused);
  opening.authenticated = TRY(std::move(known));
  return true;
}

Result<policy::Authenticated> Authentication::authenticated_by(std::string_view text, const Opening& opening) {
  policy::TicketRecord record = TRY(policy::TicketRecord::parse(text));
  const policy::Method* const method = authenticator_.named(record.auth);
  // Nor is one issued for those that are asked anew each time.
  if (!method || method->external || method->settings->type == policy::AuthSettings::Type::client_cert) {
    return fail(Errc::bad_ticket, Side::client, "a ticket of no auth of the route");
  }
  credential_->method = method;
  if (!record.client.empty() && record.client != opening.request.client.ip()) {
    return fail(Errc::bad_ticket, Side::client, "a ticket of another address");
  }
  const auto leeway = std::chrono::seconds(method->settings->leeway_seconds());
  if (record.identity.expires && house_.loop.wall() >= record.identity.expiry + leeway) {
    return fail(Errc::token_expired, Side::client, "the token that the ticket was issued for has expired");
  }
  return policy::Authenticated{std::move(record.identity), method->settings, credential_->carrier, credential_->marker_only};
}

Result<bool> Authentication::ask(Opening& opening) {
  const policy::Method& method = *credential_->method;
  if (!external_) {
    http::ClientRequest question = TRY(method.external->question(opening.request));
    external_ = std::make_unique<ExternalCheck>(house_, ready_, method, std::move(question));
  }
  auto answer = TRY(external_->advance());
  if (!answer) return false;
  if (answer->no) {
    no_ = std::move(answer->no);
    return fail(policy::ExternalAuth::refusal(*no_));
  }
  opening.authenticated = {std::move(answer->yes->identity), method.settings, credential_->carrier, credential_->marker_only};
  opening.identity_fields = std::move(answer->yes->fields);
  return true;
}

}  // namespace sluice::session
