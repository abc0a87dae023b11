// A live session's identity is renewed: a fresh credential takes the place of the one that it stands on.
#include <vector>

#include "base/log.h"
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
  return {};
}

Result<void> Session::renew(const policy::Authenticated& fresh, std::string_view by) {
  Result<void> renewed = judge_renewal(fresh);
  if (renewed) renewed = stand_on(fresh.identity, *auth_of_standing());
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

}  // namespace sluice::session
