#include "policy/token_message.h"

#include "base/json.h"

namespace sluice::policy {

std::optional<Secret> token_of_message(std::string_view text, std::string_view type, std::size_t most) {
  if (!text.starts_with('{') || text.size() > most) return std::nullopt;
  const auto message = Json::parse(text, {.octets = most, .depth = 2, .members = 2});
  if (!message || !message->is(Json::Type::object) || message->members().size() != 2) return std::nullopt;
  const Json* const kind = message->find("type");
  const Json* const token = message->find("token");
  if (!kind || !kind->is(Json::Type::string) || kind->text() != type) return std::nullopt;
  if (!token || !token->is(Json::Type::string) || token->text().empty()) return std::nullopt;
  return Secret(std::string(token->text()));
}

std::optional<Secret> token_of_first_message(std::string_view text, std::string_view type, std::size_t most) {
  if (text.starts_with('{')) return token_of_message(text, type, most);
  if (text.empty() || text.size() > most) return std::nullopt;
  return Secret(std::string(text));
}

}  // namespace sluice::policy
