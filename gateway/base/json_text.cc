#include "base/json_text.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

// What one thread reads. Wrapped in brackets the text is one item of an array, so that a lone number or word takes the same
// way as any other value.
struct Reading {
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  std::string padded;
};

Reading& reading() {
  static thread_local Reading one;
  return one;
}

constexpr std::string_view kSpace = " \t\r\n";

// A token of the characters that numbers and words are made of: it is compared and hashed, never converted.
bool is_word(std::string_view token) {
  if (token == "true" || token == "false" || token == "null") return true;
  return !token.empty() && (token[0] == '-' || (token[0] >= '0' && token[0] <= '9')) &&
         std::ranges::all_of(token, [](char c) {
           return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
         });
}

// RFC 6901 §4: digits without a leading zero.
std::optional<std::size_t> index_of(std::string_view token) {
  std::size_t index = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), index);
  if (parsed.ec != std::errc() || parsed.ptr != token.data() + token.size()) return std::nullopt;
  if (token.size() > 1 && token[0] == '0') return std::nullopt;
  return index;
}

using Tokens = std::span<const std::string>;
bool seek(simdjson::ondemand::value from, Tokens way, JsonText::Value& found);

bool take(simdjson::ondemand::value from, json_type type, JsonText::Value& found) {
  if (type == json_type::string) {
    found.kind = JsonText::Kind::text;
    return !from.get_string().get(found.text);
  }
  std::string_view token = from.raw_json_token();
  token = token.substr(0, token.find_last_not_of(kSpace) + 1);
  found = {JsonText::Kind::word, token};
  return is_word(token);
}

bool seek_member(simdjson::ondemand::value from, Tokens way, JsonText::Value& found) {
  simdjson::ondemand::object members;
  if (from.get_object().get(members)) return false;
  bool met = false;
  for (auto member : members) {
    std::string_view name;
    if (member.unescaped_key().get(name)) return false;
    if (name != way.front()) continue;
    simdjson::ondemand::value child;
    if (met || member.value().get(child) || !seek(child, way.subspan(1), found)) return false;
    met = true;
  }
  return true;
}

bool seek_item(simdjson::ondemand::value from, Tokens way, JsonText::Value& found) {
  simdjson::ondemand::array items;
  if (from.get_array().get(items)) return false;
  const std::optional<std::size_t> index = index_of(way.front());
  std::size_t at = 0;
  for (auto item : items) {
    simdjson::ondemand::value child;
    if (item.get(child)) return false;
    if (at++ == index && !seek(child, way.subspan(1), found)) return false;
  }
  return true;
}

// False: not JSON, or ambiguous.
bool seek(simdjson::ondemand::value from, Tokens way, JsonText::Value& found) {
  json_type type;
  if (from.type().get(type)) return false;
  if (type != json_type::object && type != json_type::array) return !way.empty() || take(from, type, found);
  if (way.empty()) {
    found.kind = JsonText::Kind::container;
    return true;
  }
  return type == json_type::object ? seek_member(from, way, found) : seek_item(from, way, found);
}

}  // namespace

std::optional<JsonPointer> JsonPointer::parse(std::string_view text) {
  JsonPointer pointer;
  pointer.text_ = text;
  if (!text.empty() && text[0] != '/') return std::nullopt;
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::size_t end = std::min(text.find('/'), text.size());
    if (pointer.tokens_.size() == kMostTokens) return std::nullopt;
    std::string& token = pointer.tokens_.emplace_back();
    for (std::size_t i = 0; i < end; ++i) {
      if (text[i] != '~') {
        token += text[i];
        continue;
      }
      if (++i == end || (text[i] != '0' && text[i] != '1')) return std::nullopt;
      token += text[i] == '0' ? '~' : '/';
    }
    text.remove_prefix(end);
  }
  return pointer;
}

JsonText::JsonText(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) return;
  Reading& r = reading();
  r.padded.clear();
  r.padded.reserve(text.size() + 2 + simdjson::SIMDJSON_PADDING);
  r.padded.push_back('[');
  r.padded.append(text);
  r.padded.push_back(']');
  const std::size_t size = r.padded.size();
  r.padded.append(simdjson::SIMDJSON_PADDING, ' ');  // simdjson reads in blocks, beyond the end
  good_ = !r.parser.iterate(simdjson::padded_string_view(r.padded.data(), size, r.padded.size())).get(r.document);
}

JsonText::Value JsonText::find(const JsonPointer& pointer) const {
  Reading& r = reading();
  // A fault in the text ends the document for good: it must not even be rewound.
  if (!good_ || !r.document.is_alive()) return {};
  r.document.rewind();
  simdjson::ondemand::array wrapped;
  if (r.document.get_array().get(wrapped)) return {};
  Value found;
  std::size_t items = 0;
  for (auto item : wrapped) {
    simdjson::ondemand::value root;
    if (items++ > 0 || item.get(root) || !seek(root, pointer.tokens(), found)) return {};
  }
  // Where the reader stands is out of bounds once nothing is left: nothing stands behind the bracket.
  if (r.document.current_location().error() != simdjson::OUT_OF_BOUNDS) return {};
  return found;
}

}  // namespace sluice
