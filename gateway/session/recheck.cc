#include "session/recheck.h"

#include "base/random.h"

namespace sluice::session {

namespace {

constexpr auto kAgain = std::chrono::seconds(5);  // after a try that came to no verdict

}  // namespace

Recheck::Recheck(House& house, net::Ready& ready, const policy::Method& method, http::ClientRequest question, std::string subject)
    : house_(house), ready_(ready), method_(method), question_(std::move(question)), subject_(std::move(subject)) {
  plan();
}

// Up to a tenth earlier: who came together is not asked about together.
void Recheck::plan() {
  const Duration every = method_.settings->external.recheck;
  const Instant now = house_.loop.now();
  next_ = now + every - Duration(random_below(static_cast<std::uint64_t>(every.count() / 10 + 1)));
  expires_ = now + 2 * every;
}

Result<void> Recheck::look() {
  const Instant now = house_.loop.now();
  if (!check_) {
    if (now < next_) return {};
    check_ = std::make_unique<ExternalCheck>(house_, ready_, method_, question_);
  }
  auto answer = check_->advance();
  if (answer && !*answer) return {};
  check_.reset();
  if (!answer) {
    if (now >= expires_) return fail(answer.error());
    next_ = now + kAgain;
    return {};
  }
  if ((*answer)->no) return fail(policy::ExternalAuth::refusal(*(*answer)->no));
  if ((*answer)->yes->identity.subject != subject_) {
    return fail(Errc::auth_forbidden, Side::client, "the external check says that it is somebody else now");
  }
  plan();
  return {};
}

}  // namespace sluice::session
