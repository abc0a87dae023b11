// JsonPointer and JsonText: a pointer has the tokens that RFC 6901 says; what stands there in a text that the strict reader
// accepts is what a walk over its tree finds; a name that stands twice on the way is nowhere. Input: a pointer, a line break,
// the text.
#include "base/json_text.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

using namespace sluice;

namespace {

void replace(std::string& text, std::string_view what, char by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) text.replace(at, what.size(), 1, by);
}

// RFC 6901 §3 and §4 written out: split, then ~1, then ~0.
std::optional<std::vector<std::string>> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  if (text.empty()) return tokens;
  if (text[0] != '/') return std::nullopt;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('/', at + 1), text.size());
    std::string token(text.substr(at + 1, end - at - 1));
    for (std::size_t i = 0; i < token.size(); ++i) {
      if (token[i] == '~' && (i + 1 == token.size() || (token[i + 1] != '0' && token[i + 1] != '1'))) return std::nullopt;
    }
    replace(token, "~1", '/');
    replace(token, "~0", '~');
    tokens.push_back(std::move(token));
    at = end;
  }
  if (tokens.size() > JsonPointer::kMostTokens) return std::nullopt;
  return tokens;
}

const Json* walk(const Json& root, const std::vector<std::string>& way) {
  const Json* at = &root;
  for (const std::string& token : way) {
    if (at->is(Json::Type::object)) {
      at = at->find(token);
      if (!at) return nullptr;
    } else if (at->is(Json::Type::array)) {
      std::size_t index = 0;
      while (index < at->items().size() && std::to_string(index) != token) ++index;
      if (index == at->items().size()) return nullptr;
      at = &at->items()[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

void check_value(const Json& wanted, const JsonText::Value& found) {
  switch (wanted.type()) {
    case Json::Type::array:
    case Json::Type::object: return check(found.kind == JsonText::Kind::container, "a container is another thing");
    case Json::Type::string:
      return check(found.kind == JsonText::Kind::text && found.text == wanted.text(), "another string");
    default: break;
  }
  check(found.kind == JsonText::Kind::word, "a word is another thing");
  const auto word = Json::parse(found.text);
  check(word && word->type() == wanted.type(), "another kind of word");
  switch (wanted.type()) {
    case Json::Type::boolean: return check(word->boolean() == wanted.boolean(), "another truth");
    case Json::Type::integer: return check(word->integer() == wanted.integer(), "another number");
    case Json::Type::real: return check(word->text() == wanted.text(), "another number");
    default: return;
  }
}

// How often a name stands in the outermost object; 0 where the text is not JSON.
std::size_t times(std::string_view text, const std::string& name) {
  std::size_t count = 0;
  using Event = nlohmann::json::parse_event_t;
  const auto note = [&](int depth, Event event, nlohmann::json& value) {
    if (event == Event::key && depth == 1 && value.get_ref<const std::string&>() == name) ++count;
    return true;
  };
  const auto json = nlohmann::json::parse(text, note, false);
  return json.is_object() ? count : 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto pointer = JsonPointer::parse(input.substr(0, line));
  const auto way = tokens_of(input.substr(0, line));
  check(pointer.has_value() == way.has_value(), "a pointer to one reader only");
  if (!pointer) return 0;
  check(std::ranges::equal(pointer->tokens(), *way), "other tokens");

  const std::string_view text = input.substr(line + 1);
  const JsonText reader(text);
  // Asked in between for something else, it says the same.
  (void)reader.find(*JsonPointer::parse("/0"));
  const JsonText::Value found = reader.find(*pointer);
  if (const auto tree = Json::parse(text)) {
    const Json* const wanted = walk(*tree, *way);
    check((wanted != nullptr) == static_cast<bool>(found), "found by one reader only");
    if (wanted) check_value(*wanted, found);
  } else if (way->size() == 1 && times(text, way->front()) > 1) {
    check(!found, "one of several is taken");
  }
  return 0;
}
