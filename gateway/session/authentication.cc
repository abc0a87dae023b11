#include "session/authentication.h"

#include "session/opening.h"

namespace sluice::session {

Result<bool> Authentication::advance(Opening& opening) {
  if (!credential_) credential_ = TRY(authenticator_.find(opening.request, opening.offer.subprotocols));
  if (credential_->method->external) return ask(opening);
  opening.authenticated = TRY(authenticator_.verify(*credential_, house_.loop.wall()));
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
