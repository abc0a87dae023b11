// JSON: a strict reader for untrusted text (simdjson behind it) and a writer that always yields valid UTF-8 JSON
// (nlohmann-json behind it).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

struct JsonLimits {
  std::size_t octets = 64 * 1024;
  std::size_t depth = 16;
  std::size_t members = 100;  // of one object or array
};

// One parsed value with its own storage: movable, immutable.
class Json {
 public:
  enum class Type : std::uint8_t { null, boolean, integer, real, string, array, object };

  // nullopt for text that is not exactly one JSON value, is beyond the limits, holds duplicate member names (RFC 7515
  // §4), or is not UTF-8.
  static std::optional<Json> parse(std::string_view text, const JsonLimits& limits = {});

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool boolean() const { return integer_ != 0; }
  std::int64_t integer() const { return integer_; }  // Type::integer: an exact int64 without fraction or exponent
  double real() const { return real_; }
  const std::string& text() const { return text_; }  // string value; for numbers the text as received
  const std::vector<Json>& items() const { return items_; }
  const std::vector<std::pair<std::string, Json>>& members() const { return members_; }
  const Json* find(std::string_view name) const;  // member of an object, or nullptr

 private:
  friend class JsonReader;
  Type type_ = Type::null;
  std::int64_t integer_ = 0;
  double real_ = 0;
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

// The text as a JSON string with its quotes: control octets, U+2028/9, 0x7f and C1 escaped; an octet that is no UTF-8 is
// written as \u00XX.
std::string json_quote(std::string_view text);

// Builds one JSON value in order. Misuse (a value without a name in an object) is an impossible state.
class JsonWriter {
 public:
  // Room for a text of about that size, taken at once.
  void reserve(std::size_t octets) { text_.reserve(octets); }
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& name(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(int number) { return value(static_cast<std::int64_t>(number)); }
  JsonWriter& value(unsigned number) { return value(static_cast<std::uint64_t>(number)); }
  JsonWriter& value(double number);
  JsonWriter& value(bool flag);
  JsonWriter& null();
  template <typename T>
  JsonWriter& field(std::string_view field_name, const T& v) {
    name(field_name);
    return value(v);
  }
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  void comma();
  void open(char bracket);
  void close(char opening, char bracket);
  std::string text_;
  std::string open_;  // the brackets that are open, outermost first
  bool need_comma_ = false;
  bool named_ = false;  // a name stands and waits for its value
};

}  // namespace sluice
