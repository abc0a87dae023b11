#include "session/races.h"

#include <algorithm>

namespace sluice::session {

namespace {

const JsonPointer& pointer_id() {
  static const JsonPointer pointer = *JsonPointer::parse("/id");
  return pointer;
}
const JsonPointer& pointer_method() {
  static const JsonPointer pointer = *JsonPointer::parse("/method");
  return pointer;
}

// As it stands in the text, strings told from words; empty: none that could be compared.
std::string id_of(upstream::MessageReading& message) {
  const JsonText::Value id = message.find(pointer_id());
  if (id.text.size() > Races::kLongestId) return {};
  if (id.kind == JsonText::Kind::text) return '"' + std::string(id.text);
  return id.kind == JsonText::Kind::word && id.text != "null" ? std::string(id.text) : std::string();
}

}  // namespace

Races::Message Races::read_request(upstream::MessageReading& message) {
  static const JsonPointer whole = *JsonPointer::parse("");
  // A batch has ids of its own, which may be answered apart: it is taken for one that cannot be read.
  const std::string_view text = message.content();
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (message.find(whole).kind != JsonText::Kind::container || text[first] != '{') return {};
  if (!message.find(pointer_method())) return {Part::notice, {}};  // an answer to a server's own request
  if (!message.find(pointer_id())) return {Part::notice, {}};
  std::string id = id_of(message);
  if (id.empty()) return {};
  return {Part::request, std::move(id)};
}

std::string Races::read_answer(upstream::MessageReading& message) {
  std::string id = id_of(message);
  return id.empty() || message.find(pointer_method()) ? std::string() : id;
}

bool Races::room(Instant now) {
  while (!open_.empty() && now - open_.front().sent >= kLife) open_.pop_front();
  return open_.size() < kMost;
}

void Races::sent(std::string id, std::span<Leg* const> to, Instant now) {
  open_.push_back({std::move(id), {to.begin(), to.end()}, now});
}

bool Races::late(std::string_view id, const Leg& from) {
  for (auto request = open_.begin(); request != open_.end(); ++request) {
    if (request->id != id || std::erase(request->awaited, &from) == 0) continue;
    const bool answered = std::exchange(request->answered, true);
    if (request->awaited.empty()) open_.erase(request);
    return answered;
  }
  return false;
}

void Races::forget(const Leg& leg) {
  for (Request& request : open_) std::erase(request.awaited, &leg);
  std::erase_if(open_, [](const Request& request) { return request.awaited.empty(); });
}

}  // namespace sluice::session
