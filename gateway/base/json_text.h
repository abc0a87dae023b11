// JsonPointer, JsonText: single values of an untrusted JSON text, found without building a tree (simdjson behind it). For
// who asks one or two questions of each message; whoever wants all of a text parses it (base/json.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// RFC 6901: "" is the whole text, "/params/0/room" a member of an item of a member.
class JsonPointer {
 public:
  static constexpr std::size_t kMostTokens = 16;

  // nullopt: no pointer, or one that is deeper than that.
  static std::optional<JsonPointer> parse(std::string_view text);
  const std::string& text() const { return text_; }
  std::span<const std::string> tokens() const { return tokens_; }
  bool operator==(const JsonPointer& other) const { return text_ == other.text_; }

 private:
  std::string text_;
  std::vector<std::string> tokens_;
};

// One text at a time on a thread: a second one ends what the first could say.
class JsonText {
 public:
  enum class Kind : std::uint8_t {
    absent,     // nothing stands there, or the text is not JSON as far as it was read
    text,       // a string
    word,       // a number, true, false or null
    container,  // an object or array
  };
  struct Value {
    Kind kind = Kind::absent;
    std::string_view text;  // a string's content, a word as it is written; dies at the next find()
    explicit operator bool() const { return kind != Kind::absent; }
  };

  explicit JsonText(std::string_view text);
  // A name that stands twice in an object on the way is ambiguous: absent, like all of a text that is not JSON. The
  // objects on the way are read to their end; what lies beside the way is skipped by its brackets. Once that has shown a
  // text not to be JSON, nothing is found in it any more.
  Value find(const JsonPointer& pointer) const;

 private:
  bool good_ = false;
};

}  // namespace sluice
