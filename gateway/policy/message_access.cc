#include "policy/message_access.h"

#include <algorithm>

namespace sluice::policy {
namespace {

constexpr std::uint8_t kText = 1;  // RFC 6455 §5.2

std::optional<Scalar::Kind> kind_of(const JsonText::Value& value) {
  if (value.kind == JsonText::Kind::text) return Scalar::Kind::text;
  if (value.kind != JsonText::Kind::word || value.text == "null") return std::nullopt;
  return value.text == "true" || value.text == "false" ? Scalar::Kind::boolean : Scalar::Kind::number;
}

}  // namespace

// One octet more tells a message that is just so large from a larger one.
std::uint32_t MessageAccess::wanted_of_text(std::uint32_t inspect) const {
  return std::max(max_size > 0 ? max_size + 1 : 0, pointer ? inspect : 0);
}

std::uint32_t MessageAccess::wanted_of_binary() const { return max_size > 0 ? max_size + 1 : 0; }

bool MessageAccess::holds(const relay::Preview& message, std::optional<JsonText>& content,
                          const std::vector<Scalar>& allowed) const {
  if (opcode != 0 && message.opcode != opcode) return false;
  if (max_size > 0 && (!message.whole || message.content.size() > max_size)) return false;
  if (!pointer) return true;
  if (message.opcode != kText || !message.whole) return false;
  if (!content) content.emplace(as_text(message.content));
  const JsonText::Value found = content->find(*pointer);
  const auto kind = kind_of(found);
  return kind && std::ranges::any_of(allowed, [&](const Scalar& one) { return one.equals(*kind, found.text); });
}

}  // namespace sluice::policy
