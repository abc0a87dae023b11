// MessageRules: where a client's message goes by what stands in it. Immutable, compiled once for a route; knows no legs and
// no sessions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_text.h"
#include "relay/framer.h"

namespace sluice::upstream {

struct MessageMatch {
  enum class Test : std::uint8_t { exists, equals, prefix };  // of what stands at the pointer
  std::uint8_t opcode = 0;             // 1 text, 2 binary; 0: either
  std::string bytes;                   // the first octets
  std::optional<JsonPointer> pointer;  // into a text message
  Test test = Test::exists;
  std::string value;                   // of equals and prefix
};

// one: a server by the balancer; all: every server that can be had; race: all, and the first answer to a JSON-RPC id wins.
enum class Aim : std::uint8_t { one, all, race };

struct MessageRule {
  std::string name;  // in metrics
  MessageMatch match;
  std::string backend;
  Aim aim = Aim::one;
};

// What is read of one message: its content as far as it was wanted, its JSON when somebody asks.
class MessageReading {
 public:
  explicit MessageReading(const relay::Preview& message) : message_(message) {}
  std::uint8_t opcode() const { return message_.opcode; }
  std::string_view content() const { return as_text(message_.content); }
  // Text that was too large to be read as a whole: nothing is found in it.
  bool whole() const { return message_.whole; }
  JsonText::Value find(const JsonPointer& pointer);

 private:
  const relay::Preview& message_;
  std::optional<JsonText> json_;
};

class MessageRules {
 public:
  // `inspect`: most octets that are read of one message.
  MessageRules(std::vector<MessageRule> rules, std::uint32_t inspect);

  const std::vector<MessageRule>& rules() const { return rules_; }
  std::uint32_t inspect() const { return inspect_; }
  // Octets of a message that the rules must see; `room` is the caller's.
  std::uint32_t wanted_of_text() const { return text_; }
  std::uint32_t wanted_of_binary() const { return binary_; }
  // The content of text is asked for by somebody else, too: a key, a race.
  void want_all_text() { text_ = inspect_; }

  // Index of the first rule that matches; rules().size(): none.
  std::size_t match(MessageReading& message) const;

 private:
  static bool matches(const MessageMatch& match, MessageReading& message);
  std::vector<MessageRule> rules_;
  std::uint32_t inspect_;
  std::uint32_t text_ = 0;
  std::uint32_t binary_ = 0;
};

}  // namespace sluice::upstream
