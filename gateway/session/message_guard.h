// MessageGuard: the rules of a route for messages, asked of one live connection. Keeps of its identity only what the rules
// compare. Owned by sessions on routes with such rules; the others have none.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/answer.h"
#include "policy/message_access.h"
#include "session/tally.h"

namespace sluice::session {

class MessageGuard {
 public:
  // The rules outlive it. `inspect`: most octets that are read of a message.
  MessageGuard(const std::vector<policy::MessageAccess>& rules, std::uint32_t inspect, const policy::Identity& identity);

  // It has been renewed. What is known of a message that stands in line stays.
  void renew(const policy::Identity& identity);
  // Whether there are rules for messages of that direction.
  bool reads(Direction way) const { return reads_[static_cast<std::size_t>(way)]; }
  // What must be seen of each of them, added to what others want to see.
  void want(Direction way, relay::Appetite& appetite) const;
  // The message that stands next in line. True: it may pass, as far as this goes.
  bool read(Direction way, const relay::Preview& message);
  // The rule that denies the message that was read last; null: none.
  const policy::MessageAccess* denies(Direction way) const { return denied_[static_cast<std::size_t>(way)]; }

 private:
  const std::vector<policy::MessageAccess>& rules_;
  std::uint32_t inspect_;
  std::vector<std::vector<policy::Scalar>> claims_;  // [rule]: what its claim says
  std::array<const policy::MessageAccess*, 2> denied_{};
  std::array<bool, 2> reads_{};
};

}  // namespace sluice::session
