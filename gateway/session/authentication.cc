#include "session/authentication.h"

#include <utility>

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
  return verify(opening);
}

Result<bool> Authentication::verify(Opening& opening) {
  if (!token_) token_.emplace(house_, ready_, authenticator_, *credential_);
  auto authenticated = TRY(token_->advance());
  if (!authenticated) return false;
  opening.authenticated = std::move(*authenticated);
  return true;
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
