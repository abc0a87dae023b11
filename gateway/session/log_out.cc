// log_out: a logout token is checked, and what it says done.
#include <chrono>
#include <utility>

#include "session/errand.h"
#include "session/key_wait.h"
#include "session/opening.h"

namespace sluice::session {

namespace {

constexpr auto kMostWait = std::chrono::seconds(5);
constexpr std::string_view kForm = "application/x-www-form-urlencoded";

// RFC 9110 §8.3.1: parameters may follow, media types ignore case.
bool is_form(const http::Head& head) {
  const std::string_view* const field = head.find("Content-Type");
  if (!field || head.count("Content-Type") != 1) return false;
  const std::string_view type = field->substr(0, field->find(';'));
  return http::same_name(type.substr(0, type.find_last_not_of(" \t") + 1), kForm);
}

// Two tokens share it when their issuer gave them the same id.
net::Sha256 key_of(const policy::LogoutToken& token) {
  return net::sha256(as_bytes(token.issuer + '\0' + token.id));
}

class LogOut final : public Errand {
 public:
  LogOut(House& house, net::Ready& ready, const EndpointRuntime& rules, Opening& opening, std::string body)
      : house_(house), ready_(ready), rules_(rules), opening_(opening), deadline_(house.loop.now() + kMostWait) {
    http::QueryValue value = http::query_value(body, "logout_token");
    credential_.method = &rules.authenticator->first();
    if (is_form(opening.head) && value.count == 1) credential_.text = Secret(std::move(value.value));
  }

  Result<std::optional<std::string>> advance() override {
    if (!work_) {
      const Result<bool> begun = begin();
      if (!begun) return refused(begun.error());
      if (!*begun) return std::nullopt;
    }
    if (!work_->good && house_.loop.now() < deadline_) return std::nullopt;
    const bool good = work_->good.value_or(false);
    // Its sender will say it again, and is to be heard then.
    if (!work_->good) house_.in_force()->snapshot->logouts().remove(work_->key);
    count(good ? WorkerTally::Logout::done : WorkerTally::Logout::failed);
    if (!good) return fail(Errc::auth_unavailable, Side::gateway, "the logout is not kept");
    return std::string();
  }
  Instant deadline() const override { return work_ || !keys_ ? deadline_ : keys_->deadline(); }

 private:
  // What main is at, for as long as the client waits for it.
  struct Work {
    net::Ready* ready;
    net::Sha256 key;            // of the token
    bool waited = false;        // revoke() has returned: an answer comes by itself
    std::optional<bool> good{};
  };

  void count(WorkerTally::Logout what) { house_.tally.logouts[static_cast<std::size_t>(what)].add(); }

  // §2.8: 400, and one word for whatever is wrong with the request.
  std::unexpected<Error> refused(Error error) {
    if (row(error.code).status == 503) {
      count(WorkerTally::Logout::failed);
      return fail(error);
    }
    count(WorkerTally::Logout::refused);
    opening_.refusal = Refusal{400,
                               {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
                               R"({"error":"invalid_request"})"};
    return fail(Errc::bad_logout, Side::client, error.detail);
  }

  // false: keys are waited for.
  Result<bool> begin() {
    if (credential_.text.empty()) return fail(Errc::bad_logout, Side::client, "no form with one logout_token");
    const Instant now = house_.loop.now();
    if (keys_ && !keys_->over(now)) return false;
    const auto token = credential_.method->jwt->verify_logout(credential_.text.reveal(), house_.loop.wall());
    if (!token) {
      const Errc code = token.error().code;
      if (!keys_ && (code == Errc::unknown_key || code == Errc::keys_unavailable)) {
        keys_ = KeyWait::begin(house_, ready_, *rules_.authenticator, credential_);
        if (keys_) return false;
      } else if (code == Errc::unknown_key) {
        rules_.authenticator->give_up(credential_, now);
      }
      return fail(token.error());
    }
    policy::Seen& seen = house_.in_force()->snapshot->logouts();
    const net::Sha256 key = key_of(*token);
    if (!seen.add(key, token->end, house_.loop.wall())) return fail(Errc::bad_logout, Side::client, "the token was used before");
    revoke(*token, key);
    return true;
  }

  void revoke(const policy::LogoutToken& token, const net::Sha256& key) {
    policy::Revocation what;
    what.kind = token.session.empty() ? policy::Revocation::Kind::sub : policy::Revocation::Kind::sid;
    what.value = token.session.empty() ? token.subject : token.session;
    what.issuer = token.issuer;
    what.allow_newer = true;  // who logs in again is welcome
    what.reason = "logout";
    work_ = std::make_shared<Work>(&ready_, key);
    house_.revoke(std::move(what), rules_.auth->endpoints.logout_ttl, "logout", opening_.words.client,
                  [weak = std::weak_ptr(work_), snapshot = house_.in_force()->snapshot, key](bool good) {
                    // What is not kept may be said once more.
                    if (!good) snapshot->logouts().remove(key);
                    const std::shared_ptr<Work> work = weak.lock();
                    if (!work) return;
                    work->good = good;
                    if (work->waited) work->ready->on_ready();
                  });
    work_->waited = true;
  }

  House& house_;
  net::Ready& ready_;
  const EndpointRuntime& rules_;
  Opening& opening_;
  Instant deadline_;
  policy::Credential credential_;
  std::unique_ptr<KeyWait> keys_;
  std::shared_ptr<Work> work_;  // once the token was found good
};

}  // namespace

std::unique_ptr<Errand> log_out(House& house, net::Ready& ready, const EndpointRuntime& rules, Opening& opening, std::string body) {
  return std::make_unique<LogOut>(house, ready, rules, opening, std::move(body));
}

}  // namespace sluice::session
