// issue_ticket: 256 random bits for the client, and what they stand for for the store.
#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "policy/lifetime.h"
#include "policy/ticket_record.h"
#include "session/errand.h"
#include "session/opening.h"

namespace sluice::session {

namespace {

constexpr auto kMostWait = std::chrono::seconds(2);
constexpr std::size_t kTicketOctets = 32;

std::string fresh_ticket() {
  std::array<std::uint8_t, kTicketOctets> octets;
  random_fill(octets);
  return net::base64url(octets);
}

class TicketIssue final : public Errand {
 public:
  TicketIssue(House& house, net::Ready& ready, const policy::EndpointSettings& settings, Opening& opening)
      : house_(house), ready_(ready), opening_(opening), deadline_(house.loop.now() + kMostWait) {
    const policy::Authenticated& known = opening.authenticated;
    policy::TicketRecord record{known.auth->name, settings.ticket_bind_ip ? opening.request.client.ip() : "", known.identity};
    const std::string ticket = fresh_ticket();
    // Never longer than what it stands for.
    ttl_ = settings.ticket_ttl;
    if (known.identity.expires) {
      const Duration left = policy::left_of(known.identity, known.auth->leeway_seconds(), house.loop.wall());
      ttl_ = std::min(ttl_, std::max<Duration>(left, std::chrono::seconds(1)));
    }
    JsonWriter out;
    out.begin_object().field("ticket", ticket);
    out.field("expires_in", std::int64_t{std::chrono::duration_cast<std::chrono::seconds>(ttl_).count()}).end_object();
    answer_ = out.take();
    question_ = house.tickets().put(net::sha256(as_bytes(ticket)), record.text(), ttl_, house.loop.now(), [this](Result<void> kept) {
      kept_ = kept;
      if (asked_) ready_.on_ready();
    });
    asked_ = true;
  }

  Result<std::optional<std::string>> advance() override {
    if (!kept_ && house_.loop.now() >= deadline_) {
      kept_ = fail(Errc::auth_unavailable, Side::gateway, "the store of tickets does not answer");
    }
    if (!kept_) return std::nullopt;
    using Ticket = WorkerTally::Ticket;
    const Ticket what = *kept_ ? Ticket::issued : Ticket::unavailable;
    house_.tally.tickets[static_cast<std::size_t>(what)].add();
    if (!*kept_) return fail(kept_->error());
    log::audit("ticket", opening_.words.client,
               std::array{log::Field("id", opening_.words.id), log::Field("auth", opening_.authenticated.auth->name),
                          log::Field("subject", opening_.words.subject)});
    return std::move(answer_);
  }
  Instant deadline() const override { return deadline_; }

 private:
  House& house_;
  net::Ready& ready_;
  Opening& opening_;
  Instant deadline_;
  Duration ttl_{};
  std::string answer_;
  bool asked_ = false;  // put() has returned: an answer comes by itself
  std::optional<Result<void>> kept_;
  std::unique_ptr<policy::TicketStore::Question> question_;
};

}  // namespace

std::unique_ptr<Errand> issue_ticket(House& house, net::Ready& ready, const EndpointRuntime& rules, Opening& opening) {
  return std::make_unique<TicketIssue>(house, ready, rules.auth->endpoints, opening);
}

}  // namespace sluice::session
