// A Session's request to one of the gateway's own endpoints (session/endpoint.h).
#include "session/endpoint.h"
#include "session/session.h"

namespace sluice::session {

Step Session::begin_serving(const EndpointRuntime& rules) {
  Opening& o = *opening_;
  o.endpoint = std::make_unique<Endpoint>(house_, ready_, client_, runtime_->snapshot, rules);
  if (const Result<void> judged = o.endpoint->judge(o); !judged) return refuse(judged.error());
  if (const Result<void> judged = judge_host(); !judged) return refuse(judged.error());
  if (runtime_->snapshot->revocations().refuses(o.request.client, house_.loop.wall())) {
    return refuse({Errc::revoked, Side::client, false, "its address is revoked"});
  }
  for (const auto& limiter : listener_->compiled->limits) {
    if (const Result<void> judged = judge_limit(*limiter); !judged) return refuse(judged.error());
  }
  phase_ = o.endpoint->authenticator() ? Phase::authenticate : Phase::serve;
  return Step::next;
}

Step Session::serve() {
  Opening& o = *opening_;
  Endpoint& endpoint = *o.endpoint;
  if (const Result<void> judged = endpoint.judge_identity(o); !judged) return refuse(judged.error());
  const Result<bool> answered = endpoint.advance(o);
  const bool waits = answered && !*answered;
  const bool left = waits && endpoint.read() && client_.hung_up();
  if (waits && !left && !house_.draining) {
    arm(endpoint.deadline());
    return Step::wait;
  }
  endpoint.give_up();
  if (!answered) return refuse(answered.error());
  if (*answered) return finish_serving();
  if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
  return refuse({Errc::client_lost, Side::client, false, "it left before it was answered"});
}

Step Session::finish_serving() {
  const Endpoint& endpoint = *opening_->endpoint;
  log_open(endpoint.status(), nullptr);
  permits_.clear();
  return flush_then(endpoint.keeps_client() ? Phase::done : Phase::linger);
}

}  // namespace sluice::session
