// ExternalCheck: one sub-request to an external check, from its name's look-up to a verdict. Owned by who asks, on that one's
// loop; destroying it gives the request up.
#pragma once

#include <memory>
#include <optional>

#include "http/client.h"
#include "policy/authenticator.h"
#include "session/front.h"
#include "session/name_lookup.h"

namespace sluice::session {

class ExternalCheck {
 public:
  using Answer = policy::ExternalAuth::Answer;

  // `method` is of type external and outlives it; `question` as ExternalAuth::question made it.
  ExternalCheck(House& house, net::Ready& ready, const policy::Method& method, http::ClientRequest question);
  ~ExternalCheck();
  ExternalCheck(const ExternalCheck&) = delete;
  ExternalCheck& operator=(const ExternalCheck&) = delete;

  // A verdict, perhaps one that is remembered; nullopt: the Ready will be called, or deadline() pass. Not again after a
  // verdict or an Error. Errors: auth_unavailable.
  Result<std::optional<Answer>> advance();
  Instant deadline() const { return deadline_; }

 private:
  // Outlives the check: the request's own deadline may fire once more after it was given up.
  struct Awaited {
    net::Ready& ready;
    std::optional<Result<http::ClientAnswer>> answer;
  };
  policy::ExternalAuth& service() const { return *method_.external; }
  Result<bool> resolve();
  void send();
  Result<Answer> judge();
  std::unexpected<Error> give_up(const char* why);

  House& house_;
  net::Ready& ready_;
  const policy::Method& method_;
  http::ClientRequest question_;
  std::string key_;
  bool begun_ = false;  // it counts as under way
  std::unique_ptr<NameLookup> lookup_;
  std::shared_ptr<Awaited> awaited_ = std::make_shared<Awaited>(ready_);
  std::unique_ptr<http::Client> client_;
  Instant deadline_ = kNever;
};

}  // namespace sluice::session
