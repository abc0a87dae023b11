#include "upstream/message_rules.h"

#include <algorithm>

namespace sluice::upstream {

namespace {

constexpr std::uint8_t kText = 1;  // RFC 6455 §5.2
constexpr std::uint8_t kBinary = 2;

}  // namespace

JsonText::Value MessageReading::find(const JsonPointer& pointer) {
  if (message_.opcode != kText || !message_.whole) return {};
  if (!json_) json_.emplace(content());
  return json_->find(pointer);
}

MessageRules::MessageRules(std::vector<MessageRule> rules, std::uint32_t inspect)
    : rules_(std::move(rules)), inspect_(inspect) {
  for (const MessageRule& rule : rules_) {
    const auto bytes = static_cast<std::uint32_t>(rule.match.bytes.size());
    const bool reads_json = rule.match.pointer.has_value() || rule.aim == Aim::race;
    if (rule.match.opcode != kBinary) text_ = std::max(text_, reads_json ? inspect_ : bytes);
    if (rule.match.opcode != kText && !rule.match.pointer) binary_ = std::max(binary_, bytes);
  }
}

std::size_t MessageRules::match(MessageReading& message) const {
  const auto found =
      std::ranges::find_if(rules_, [&](const MessageRule& rule) { return matches(rule.match, message); });
  return static_cast<std::size_t>(found - rules_.begin());
}

bool MessageRules::matches(const MessageMatch& match, MessageReading& message) {
  if (match.opcode != 0 && match.opcode != message.opcode()) return false;
  if (!message.content().starts_with(match.bytes)) return false;
  if (!match.pointer) return true;
  const JsonText::Value value = message.find(*match.pointer);
  if (match.test == MessageMatch::Test::exists) return static_cast<bool>(value);
  if (value.kind != JsonText::Kind::text && value.kind != JsonText::Kind::word) return false;
  return match.test == MessageMatch::Test::equals ? value.text == match.value : value.text.starts_with(match.value);
}

}  // namespace sluice::upstream
