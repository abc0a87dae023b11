#include "session/renewal.h"

#include <algorithm>

#include "policy/token_message.h"
#include "ws/frame.h"

namespace sluice::session {

namespace {

constexpr auto kBetween = std::chrono::seconds(1);  // from one check's beginning to the next

}  // namespace

// Where nobody else reads texts, only one that may be an object is held until it is whole.
relay::Appetite Renewal::appetite(relay::Appetite others, MutableBytes room) const {
  if (auth_.refresh.in_band) {
    if (others.text == 0) others.only = '{';
    others.text = std::max(others.text, auth_.refresh.max);
  }
  others.room = room.first(std::max(others.text, others.binary));
  return others;
}

bool Renewal::read(const relay::Preview& message) {
  if (!auth_.refresh.in_band || message.opcode != ws::kText || !message.whole) return false;
  auto token = policy::token_of_message(as_text(message.content), auth_.refresh.type, auth_.refresh.max);
  if (!token) return false;
  brought_ = std::move(*token);
  return true;
}

void Renewal::admitted(Instant now) {
  if (check_ || asked() || now < next_) {
    refused_ = true;
    return brought_.clear();
  }
  next_ = now + kBetween;
  asked_ = std::exchange(brought_, {});
}

void Renewal::said() {
  if (answer_.empty()) {
    warning_due_ = false;
  } else {
    answer_.clear();
  }
}

}  // namespace sluice::session
