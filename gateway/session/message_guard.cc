#include "session/message_guard.h"

#include <algorithm>

namespace sluice::session {
namespace {

Direction way_of(const policy::MessageAccess& rule) { return rule.to_client ? Direction::down : Direction::up; }

}  // namespace

MessageGuard::MessageGuard(const std::vector<policy::MessageAccess>& rules, std::uint32_t inspect,
                           const policy::Identity& identity)
    : rules_(rules), inspect_(inspect), claims_(rules.size()) {
  for (const policy::MessageAccess& rule : rules) reads_[static_cast<std::size_t>(way_of(rule))] = true;
  renew(identity);
}

void MessageGuard::renew(const policy::Identity& identity) {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].claim) claims_[i] = policy::claim_values(identity, *rules_[i].claim).items;
  }
}

void MessageGuard::want(Direction way, relay::Appetite& appetite) const {
  for (const policy::MessageAccess& rule : rules_) {
    if (way_of(rule) != way) continue;
    appetite.text = std::max(appetite.text, rule.wanted_of_text(inspect_));
    appetite.binary = std::max(appetite.binary, rule.wanted_of_binary());
  }
}

bool MessageGuard::read(Direction way, const relay::Preview& message) {
  const policy::MessageAccess*& denied = denied_[static_cast<std::size_t>(way)];
  denied = nullptr;
  std::optional<JsonText> content;
  for (std::size_t i = 0; i < rules_.size() && !denied; ++i) {
    const policy::MessageAccess& rule = rules_[i];
    if (way_of(rule) == way && !rule.holds(message, content, rule.claim ? claims_[i] : rule.values)) denied = &rule;
  }
  return !denied;
}

}  // namespace sluice::session
