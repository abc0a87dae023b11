// A live session's identity is renewed: a fresh credential takes the place of the one that it stands on.
#include <algorithm>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "session/access_check.h"
#include "session/message_guard.h"
#include "session/session.h"

namespace sluice::session {

// One of the session's own configuration: who brings a credential may have another one in force.
const policy::AuthSettings* Session::auth_of_standing() const {
  if (!standing_) return nullptr;
  for (const policy::AuthSettings* auth : route_->compiled->auths) {
    if (auth->name == standing_->auth()) return auth;
  }
  return nullptr;
}

Result<void> Session::judge_renewal(const policy::Authenticated& fresh) const {
  const policy::Identity& identity = fresh.identity;
  if (phase_ != Phase::relay || ending_ || client_close_in_ || client_close_out_) {
    return fail(Errc::refresh_denied, Side::client, "the connection is about to end");
  }
  if (!standing_ || record_.subject().empty()) return fail(Errc::refresh_denied, Side::client, "the connection has no subject");
  if (now() >= expires_) return fail(Errc::token_expired, Side::client, "the connection has expired");
  if (fresh.auth->name != standing_->auth()) return fail(Errc::refresh_denied, Side::client, "the credential is of another auth");
  if (!standing_->same_issuer(identity, runtime_->snapshot->revocations().seed())) {
    return fail(Errc::refresh_denied, Side::client, "the credential is of another issuer");
  }
  if (identity.subject != record_.subject()) return fail(Errc::refresh_denied, Side::client, "the credential is of another subject");
  // The route may ask for more than a subject, and the fresh one say less than the one before.
  return check_access(*route_, {.path = record_.path(), .identity = identity, .auth = fresh.auth->name});
}

Result<void> Session::renew(const policy::Authenticated& fresh, std::string_view by) {
  Result<void> renewed = judge_renewal(fresh);
  if (renewed) renewed = stand_on(fresh.identity, *auth_of_standing());
  if (renewed) {
    guard_messages(fresh.identity);
    plan_warning();
  }
  const Errc code = renewed ? Errc::none : renewed.error().code;
  house_.tally.refreshes[static_cast<std::size_t>(code)].add();
  const auto expiry = std::chrono::duration_cast<std::chrono::milliseconds>(fresh.identity.expiry.time_since_epoch());
  const std::string expires = log::timestamp(expiry.count());
  std::vector<log::Field> fields{{"id", record_.id()},
                                 {"auth", fresh.auth->name},
                                 {"subject", record_.subject()},
                                 {"result", renewed ? "ok" : row(code).name}};
  if (renewed && fresh.identity.expires) fields.emplace_back("expires", expires);
  log::audit("refresh", by, fields);
  return renewed;
}

// ---- in band ---------------------------------------------------------------------------------------------------------------

void Session::start_renewing() {
  const policy::AuthSettings* const auth = auth_of_standing();
  if (!auth || (!auth->refresh.in_band && auth->warn_before == Duration::zero())) return;
  rare().renewal = std::make_unique<Renewal>(*auth);
  plan_warning();
  if (auth->refresh.in_band) up_->inspect_messages();
}

// Who reads first may keep it from the others: a token is no message of the route's, and one that is denied goes nowhere.
void Session::inspect_up(const relay::Preview& message) {
  if (renewal() && renewal()->read(message)) return;
  if (MessageGuard* const asked = guard(Direction::up); asked && !asked->read(Direction::up, message)) return;
  if (route_->compiled->messages) read_message(message);
}

// The client's later messages pass while its token is checked.
void Session::tend_renewal() {
  Renewal& r = *renewal();
  if (ending_ || client_gone_ || client_close_in_ || client_close_out_) return r.end_check();
  if (r.take_refused()) answer_refresh(fail(Errc::refresh_busy, Side::client, "another token is being checked, or was just now"));
  if (r.asked()) check_fresh(r.take_asked());
  if (!r.checks()) return;
  const auto checked = r.check().advance();
  if (checked && !*checked) return arm(r.check().deadline());
  r.end_check();
  if (!checked) {
    const auto client = net::Address::parse(record_.client(), 0);
    policy::Failures* const failures = runtime_->snapshot->failures(r.auth().name);
    if (failures && client && row(checked.error().code).status == 401) failures->count(*client, now());
    return answer_refresh(fail(checked.error()));
  }
  answer_refresh(renew(**checked, record_.client()), &(*checked)->identity);
}

void Session::check_fresh(Secret token) {
  policy::Credential credential = route_->authenticator->fresh(renewal()->auth(), std::move(token));
  const auto client = net::Address::parse(record_.client(), 0);
  policy::Failures* const failures = credential.method->failures;
  if (failures && client && failures->wait(*client, now()) > Duration::zero()) {
    return answer_refresh(fail(Errc::rl_auth, Side::client, "too many credentials from its address were wrong"));
  }
  renewal()->begin(house_, ready_, *route_->authenticator, std::move(credential));
}

// A failure takes nothing away from the credential that is there, unless the configuration says so. What is nobody's fault (no
// keys, another one at the same time) never ends a connection.
void Session::answer_refresh(const Result<void>& renewed, const policy::Identity* identity) {
  Renewal& r = *renewal();
  const Errc code = renewed ? Errc::none : renewed.error().code;
  if (!identity) house_.tally.refreshes[static_cast<std::size_t>(code)].add();  // renew() has not
  if (code == Errc::refresh_busy && r.answers()) return;  // what became of the other token is not to be lost
  const bool clients_fault = row(code).status == 401 || row(code).status == 403;
  if (!renewed && clients_fault && r.auth().refresh.close_on_failure) return end(renewed.error(), Side::gateway);
  JsonWriter out;
  out.begin_object().field("type", r.auth().refresh.type).field("ok", renewed.has_value());
  if (renewed && identity->expires) {
    out.field("expires", std::chrono::duration_cast<std::chrono::seconds>(identity->expiry.time_since_epoch()).count());
  }
  if (!renewed) out.field("reason", row(code).name);
  out.end_object();
  r.answer(out.take(), renewed.has_value());
}

// ---- before the end ----------------------------------------------------------------------------------------------------------

void Session::plan_warning() {
  Renewal* const r = renewal();
  if (!r || r->auth().warn_before == Duration::zero()) return;
  r->warn_at(expires_ == kNever ? kNever : expires_ - r->auth().warn_before);
}

bool Session::warn(Instant time) {
  Renewal* const r = renewal();
  if (!r || ending_ || !r->warns(time)) return false;
  r->warn();
  return true;
}

// Texts of the gateway's own stand between two messages of whoever speaks.
void Session::say_notices(Leg& writer) {
  Renewal& r = *renewal();
  const bool between = std::ranges::all_of(
      legs_, [&](const auto& leg) { return (leg.get() != &writer && spread_) || leg->at_message_boundary(); });
  while (between && !ending_ && !draining_ && r.owes()) {
    const std::string& text = r.text();
    ws::FrameHeader header;
    header.opcode = ws::kText;
    header.length = text.size();
    std::string frame(14, '\0');
    frame.resize(header.encode(reinterpret_cast<std::uint8_t*>(frame.data())));
    frame += text;
    if (!writer.inject(client_, as_bytes(frame))) return;
    r.said();
  }
}

}  // namespace sluice::session
