// Sessions that are accepted before it is known who their client is: it has its 101, and says its credential as the first message.
// Nothing of it goes up before it has been let in, and what it says behind that message waits in its stream.
#include "session/answers.h"
#include "session/authentication.h"
#include "session/first_message.h"
#include "session/session.h"

namespace sluice::session {

bool Session::may_say_later(const Error& error) const {
  return error.code == Errc::no_token && opening_->websocket && !opening_->accepted() && route_->authenticator->first_message();
}

// The gateway speaks for an upstream that is not chosen yet: it answers the first subprotocol that the route has for the client,
// and no extension, and offers upstream exactly that.
Step Session::accept_early() {
  Opening& o = *opening_;
  // What is received next takes the place of the head: views into it are made anew.
  o.keep_head(client_.received());
  client_.consume(o.head_size);
  client_.settle();
  o.head_size = 0;
  auto offer = ws::read_offer(o.head);
  check(offer.has_value(), "an offer that was good is bad");
  o.offer = std::move(*offer);
  o.scrubbed = policy::scrub(route_->compiled->carriers, o.request, o.offer.subprotocols);
  if (const Result<void> judged = judge_subprotocols(); !judged) return refuse(judged.error());
  o.extensions.clear();
  o.subprotocols.clear();
  if (!o.chosen_subprotocol.empty()) o.subprotocols.push_back(o.chosen_subprotocol);
  o.agreement.subprotocol = o.words.subprotocol = o.chosen_subprotocol;

  const config::RouteSettings& route = *route_->compiled->settings;
  auto fields = route.response_headers.values(o.request, policy::Identity());  // nobody's claims
  if (!fields) return refuse(fields.error());
  policy::apply(route.response_headers, *fields, o.answer_fields);
  auto head = switching_head(o);
  if (!head) return refuse(head.error());
  o.out = std::move(*head);
  o.first_message = std::make_unique<FirstMessage>(*route_->authenticator->first_message(), rules(), now());
  phase_ = Phase::first_message;
  return Step::next;
}

Step Session::await_first_message() {
  Opening& o = *opening_;
  FirstMessage& message = *o.first_message;
  spent_ = false;
  if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
  const Result<bool> said = message.advance(client_, o.out, now());
  if (said && !*said) {
    spent_ = message.more();
    arm(message.deadline());
    return Step::wait;
  }
  auto credential = said ? route_->authenticator->find_in_message(message.token()) : fail(said.error());
  if (!credential) {
    const policy::AuthSettings& auth = *route_->authenticator->first_message();
    house_.tally.auth[static_cast<std::size_t>(auth.type)].results[static_cast<std::size_t>(credential.error().code)].add();
    if (message.closed() != 0) note_close(message.closed(), Side::client, "");
    return refuse(credential.error());
  }
  o.authentication = std::make_unique<Authentication>(house_, ready_, *route_->authenticator, std::move(*credential));
  o.authentication_began = house_.loop.exactly_now();
  phase_ = Phase::authenticate;
  return Step::next;
}

// The Close that an accepted client gets in place of a status.
std::uint16_t Session::refusal_code(const Error& error) const {
  const std::uint16_t closed = opening_->accepted() ? opening_->first_message->closed() : std::uint16_t{0};
  if (closed != 0) return closed == 1005 ? std::uint16_t{1000} : closed;
  if (row(error.code).stage == Stage::ratelimit) return 4429;
  const std::uint16_t code = row(error.code).close_code;
  return code == 0 ? std::uint16_t{1011} : code;
}

}  // namespace sluice::session
