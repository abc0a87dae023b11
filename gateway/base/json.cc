#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "base/utf8.h"

namespace sluice {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// RFC 8259 §6. The reader finds where a token ends but does not look inside one that nobody asks to convert.
bool is_number(std::string_view text, bool& is_integer) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i > start;
  };
  if (text.starts_with('-')) ++i;
  const bool leading_zero = i < text.size() && text[i] == '0';
  const std::size_t start = i;
  if (!digits() || (leading_zero && i - start > 1)) return false;
  is_integer = i == text.size();
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

std::string_view without_trailing_space(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

}  // namespace

// Walks simdjson's on-demand document once, front to back, and builds the tree. Each method is false at the
// first fault.
class JsonReader {
 public:
  explicit JsonReader(const JsonLimits& limits) : limits_(limits) {}

  bool value(simdjson::ondemand::value from, Json& to, std::size_t depth) {
    simdjson::ondemand::json_type type;
    if (from.type().get(type)) return false;
    switch (type) {
      case simdjson::ondemand::json_type::object: return depth < limits_.depth && object(from, to, depth + 1);
      case simdjson::ondemand::json_type::array: return depth < limits_.depth && array(from, to, depth + 1);
      case simdjson::ondemand::json_type::string: return string(from, to);
      default: return scalar(without_trailing_space(from.raw_json_token()), to);
    }
  }

 private:
  bool object(simdjson::ondemand::value from, Json& to, std::size_t depth) {
    to.type_ = Json::Type::object;
    simdjson::ondemand::object members;
    if (from.get_object().get(members)) return false;
    for (auto member : members) {
      std::string_view name;
      if (to.members_.size() == limits_.members || member.unescaped_key().get(name) || !clean(name))
        return false;
      auto& slot = to.members_.emplace_back(std::string(name), Json{});
      simdjson::ondemand::value child;
      if (member.value().get(child) || !value(child, slot.second, depth)) return false;
    }
    return unique_names(to);
  }

  bool array(simdjson::ondemand::value from, Json& to, std::size_t depth) {
    to.type_ = Json::Type::array;
    simdjson::ondemand::array items;
    if (from.get_array().get(items)) return false;
    for (auto item : items) {
      simdjson::ondemand::value child;
      if (to.items_.size() == limits_.members || item.get(child)) return false;
      if (!value(child, to.items_.emplace_back(), depth)) return false;
    }
    return true;
  }

  bool string(simdjson::ondemand::value from, Json& to) {
    std::string_view text;
    if (from.get_string().get(text) || !clean(text)) return false;
    to.type_ = Json::Type::string;
    to.text_ = text;
    return true;
  }

  bool scalar(std::string_view token, Json& to) {
    if (token == "null") return true;
    if (token == "true" || token == "false") {
      to.type_ = Json::Type::boolean;
      to.integer_ = token == "true";
      return true;
    }
    bool is_integer = false;
    if (!is_number(token, is_integer)) return false;
    to.text_ = token;
    const char* end = token.data() + token.size();
    if (is_integer && std::from_chars(token.data(), end, to.integer_).ec == std::errc{}) {
      to.type_ = Json::Type::integer;
      to.real_ = static_cast<double>(to.integer_);
      return true;
    }
    to.integer_ = 0;
    to.type_ = Json::Type::real;
    // from_chars is linear in the digits whatever the exponent says; what no double can hold is refused.
    return std::from_chars(token.data(), end, to.real_).ec == std::errc{} && std::isfinite(to.real_);
  }

  // The escape of a lone surrogate yields octets that are not UTF-8.
  static bool clean(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

  static bool unique_names(const Json& object) {
    std::vector<std::string_view> names;
    names.reserve(object.members_.size());
    for (const auto& [name, value] : object.members_) names.push_back(name);
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) == names.end();
  }

  const JsonLimits& limits_;
};

std::optional<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.octets || text.starts_with("\xef\xbb\xbf")) return std::nullopt;
  // Wrapped in brackets the text is one element of an array, so that a lone number or word takes the same way
  // as any other value. What would close or continue that array is refused below: exactly one element, and
  // nothing after it.
  std::string padded;
  padded.reserve(text.size() + 2 + simdjson::SIMDJSON_PADDING);
  padded.push_back('[');
  padded.append(text);
  padded.push_back(']');
  const std::size_t size = padded.size();
  padded.append(simdjson::SIMDJSON_PADDING, ' ');  // simdjson reads in blocks, beyond the end
  thread_local simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array wrapped;
  if (parser.iterate(simdjson::padded_string_view(padded.data(), size, padded.size())).get(document) ||
      document.get_array().get(wrapped)) {
    return std::nullopt;
  }
  std::optional<Json> root;
  JsonReader reader(limits);
  for (auto element : wrapped) {
    simdjson::ondemand::value value;
    if (root || element.get(value) || !reader.value(value, root.emplace(), 0)) return std::nullopt;
  }
  // Where the reader stands is out of bounds once nothing is left (3.0.1 has no at_end() of a document).
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return std::nullopt;
  return root;
}

const Json* Json::find(std::string_view name) const {
  for (const auto& [member, value] : members_) {
    if (member == name) return &value;
  }
  return nullptr;
}

namespace {

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

// The JSON grammar lets these pass, but terminals (0x7f, C1) and JavaScript (U+2028/9) act on them.
std::string escape_the_rest(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 16);
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto at = [&](std::size_t k) { return k < json.size() ? static_cast<std::uint8_t>(json[k]) : 0; };
    if (at(i) == 0x7f) {
      out += "\\u007f";
    } else if (at(i) == 0xc2 && at(i + 1) < 0xa0) {  // U+0080 to U+009F
      out += fmt::format("\\u{:04x}", at(i + 1));
      i += 1;
    } else if (at(i) == 0xe2 && at(i + 1) == 0x80 && (at(i + 2) == 0xa8 || at(i + 2) == 0xa9)) {
      out += at(i + 2) == 0xa8 ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out.push_back(json[i]);
    }
  }
  return out;
}

// Size of the code point that the text begins with (RFC 3629 §4), 0 when it begins with none.
std::size_t code_point(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text.front());
  const std::size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return size <= text.size() && valid_utf8(as_bytes(text.substr(0, size))) ? size : 0;
}

// Octets at the front of the text that are UTF-8.
std::size_t valid_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t size = code_point(text.substr(at));
    if (size == 0) break;
    at += size;
  }
  return at;
}

void append_valid(std::string& out, std::string_view text) {
  if (text.empty()) return;
  const std::string json = escape_the_rest(nlohmann::json(text).dump());
  out.append(json, 1, json.size() - 2);  // without its quotes
}

// Looks at each octet once, however many of them are none.
void append_mixed(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t valid = valid_prefix(text);
    append_valid(out, text.substr(0, valid));
    text.remove_prefix(valid);
    if (text.empty()) return;
    // An octet that is no UTF-8 says which one it was.
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint8_t>(text.front()));
    text.remove_prefix(1);
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  if (is_plain(text)) {
    out.append(text);
  } else if (valid_utf8(as_bytes(text))) {
    append_valid(out, text);
  } else {
    append_mixed(out, text);
  }
  out.push_back('"');
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  append_quoted(out, text);
  return out;
}

void JsonWriter::comma() {
  const bool in_object = open_.ends_with('{');
  check(in_object == named_,
        in_object ? "a JSON value in an object needs a name" : "a JSON name outside of an object");
  check(!open_.empty() || text_.empty(), "a second JSON value after the first");
  if (need_comma_ && !named_) text_.push_back(',');
  need_comma_ = true;
  named_ = false;
}

void JsonWriter::open(char bracket) {
  comma();
  text_.push_back(bracket);
  open_.push_back(bracket);
  need_comma_ = false;
}

void JsonWriter::close(char opening, char bracket) {
  check(open_.ends_with(opening) && !named_, "a JSON bracket closes what is not open");
  open_.pop_back();
  text_.push_back(bracket);
  need_comma_ = true;
}

JsonWriter& JsonWriter::begin_object() { return open('{'), *this; }
JsonWriter& JsonWriter::end_object() { return close('{', '}'), *this; }
JsonWriter& JsonWriter::begin_array() { return open('['), *this; }
JsonWriter& JsonWriter::end_array() { return close('[', ']'), *this; }

JsonWriter& JsonWriter::name(std::string_view name) {
  check(open_.ends_with('{') && !named_, "a JSON name outside of an object");
  if (need_comma_) text_.push_back(',');
  append_quoted(text_, name);
  text_.push_back(':');
  named_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  comma();
  append_quoted(text_, text);
  return *this;
}

JsonWriter& JsonWriter::value(std::int64_t number) {
  comma();
  const fmt::format_int digits(number);
  text_.append(digits.data(), digits.size());
  return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t number) {
  comma();
  const fmt::format_int digits(number);
  text_.append(digits.data(), digits.size());
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();  // RFC 8259 §6 has no text for them
  comma();
  fmt::format_to(std::back_inserter(text_), "{}", number);
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) {
  comma();
  text_.append(flag ? "true" : "false");
  return *this;
}

JsonWriter& JsonWriter::null() {
  comma();
  text_.append("null");
  return *this;
}

}  // namespace sluice
