// Renewal: what a live connection needs to outlast its credential. It takes fresh tokens out of the client's messages and has them
// checked, one at a time, and it owes the client texts: an answer, and the warning before the end. Kept by sessions of an [auth]
// that asks for one of these; the Session acts on it (session/renewing.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/secret.h"
#include "relay/framer.h"
#include "session/token_check.h"

namespace sluice::session {

class Renewal {
 public:
  // `auth` outlives it: the one that the connection stands on.
  explicit Renewal(const policy::AuthSettings& auth) : auth_(auth) {}

  const policy::AuthSettings& auth() const { return auth_; }

  // ---- the client's messages, where refresh is in band
  // What must be read of them, beside what others read.
  relay::Appetite appetite(relay::Appetite others, MutableBytes room) const;
  // True: this one brings a token. It is not to pass, and admitted() or dropped() says what has become of it.
  bool read(const relay::Preview& message);
  bool brings() const { return !brought_.empty(); }
  void admitted(Instant now);
  void dropped() { brought_.clear(); }

  // ---- the check
  // Token to be checked next; empty: none.
  Secret take_asked() { return std::exchange(asked_, {}); }
  void begin(House& house, net::Ready& ready, const policy::Authenticator& authenticator, policy::Credential credential) {
    check_ = std::make_unique<TokenCheck>(house, ready, authenticator, std::move(credential));
  }
  bool asked() const { return !asked_.empty(); }
  bool checks() const { return check_ != nullptr; }
  TokenCheck& check() { return *check_; }
  void end_check() { check_.reset(); }
  // It came while another one was checked, or too soon after that: to be answered.
  bool take_refused() { return std::exchange(refused_, false); }

  // ---- what the client is owed
  void warn_at(Instant when) { warn_at_ = when; }
  bool warns(Instant now) const { return now >= warn_at_; }
  void warn() { warn_at_ = kNever, warning_due_ = true; }
  // It takes the place of an answer that has not left yet; a warning that has not left is out of date with a good one.
  void answer(std::string text, bool good) {
    answer_ = std::move(text);
    if (good) warning_due_ = false;
  }
  bool answers() const { return !answer_.empty(); }
  bool owes() const { return warning_due_ || !answer_.empty(); }
  const std::string& text() const { return answer_.empty() ? auth_.warn_message : answer_; }
  void said();

 private:
  const policy::AuthSettings& auth_;
  Secret brought_;  // by the message at hand
  Secret asked_;
  std::unique_ptr<TokenCheck> check_;
  Instant next_{};  // none is checked before
  Instant warn_at_ = kNever;
  std::string answer_;
  bool warning_due_ = false;
  bool refused_ = false;
};

}  // namespace sluice::session
