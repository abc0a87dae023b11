#include "upstream/message_rules.h"

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

using Is = MessageMatch::Test;

relay::Preview message(std::uint8_t opcode, std::string_view content, bool whole = true) {
  relay::Preview preview;
  preview.state = relay::Preview::State::ready;
  preview.opcode = opcode;
  preview.content = as_bytes(content);
  preview.whole = whole;
  return preview;
}

MessageRule rule(MessageMatch match, Aim aim = Aim::one) { return {"", std::move(match), "", aim}; }
MessageMatch at(std::string_view pointer, Is test = Is::exists, std::string value = "") {
  return {.pointer = JsonPointer::parse(pointer), .test = test, .value = std::move(value)};
}

std::size_t first(const MessageRules& rules, std::uint8_t opcode, std::string_view content, bool whole = true) {
  const relay::Preview preview = message(opcode, content, whole);
  MessageReading reading(preview);
  return rules.match(reading);
}

TEST(MessageRules, TakeTheFirstThatMatches) {
  const MessageRules rules({rule(at("/method", Is::prefix, "order.")), rule(at("/method", Is::equals, "order.new")),
                            rule(at("/method")), rule({.opcode = 2}), rule({.bytes = "GET "})},
                           1024);
  EXPECT_EQ(first(rules, 1, R"({"method":"order.new"})"), 0u);
  EXPECT_EQ(first(rules, 1, R"({"method":"orders"})"), 2u);
  EXPECT_EQ(first(rules, 1, R"({"id":1})"), 5u);
  EXPECT_EQ(first(rules, 2, R"({"method":"order.new"})"), 3u);
  EXPECT_EQ(first(rules, 1, "GET /"), 4u);
  EXPECT_EQ(first(rules, 1, "GET"), 5u);
  EXPECT_EQ(first(rules, 1, ""), 5u);
}

TEST(MessageRules, CompareStringsByContentAndWordsAsTheyAreWritten) {
  const MessageRules rules({rule(at("/v", Is::equals, "5"))}, 1024);
  EXPECT_EQ(first(rules, 1, R"({"v":"5"})"), 0u);
  EXPECT_EQ(first(rules, 1, R"({"v": 5 })"), 0u);
  EXPECT_EQ(first(rules, 1, R"({"v":5.0})"), 1u);
  EXPECT_EQ(first(rules, 1, R"({"v":["5"]})"), 1u);
}

TEST(MessageRules, NeedEveryPartOfAMatch) {
  MessageMatch match = at("/v", Is::equals, "x");
  match.opcode = 1;
  match.bytes = "{\"v\"";
  const MessageRules rules({rule(match)}, 1024);
  EXPECT_EQ(first(rules, 1, R"({"v":"x"})"), 0u);
  EXPECT_EQ(first(rules, 1, R"( {"v":"x"})"), 1u);
  EXPECT_EQ(first(rules, 1, R"({"v":"y"})"), 1u);
}

TEST(MessageRules, FindNothingInJsonThatIsBrokenOrWasNotReadAsAWhole) {
  const MessageRules rules({rule(at("/v")), rule({.bytes = "{"})}, 1024);
  EXPECT_EQ(first(rules, 1, R"({"v":1)"), 1u);
  EXPECT_EQ(first(rules, 1, R"({"v":1})", false), 1u);
}

TEST(MessageRules, WantNoMoreThanTheyRead) {
  const auto wanted = [](std::vector<MessageRule> list) {
    const MessageRules rules(std::move(list), 1000);
    return std::pair(rules.wanted_of_text(), rules.wanted_of_binary());
  };
  using Pair = std::pair<std::uint32_t, std::uint32_t>;
  EXPECT_EQ(wanted({rule({.opcode = 2})}), Pair(0, 0));
  EXPECT_EQ(wanted({rule({.bytes = "abc"}), rule({.opcode = 2, .bytes = "12345"})}), Pair(3, 5));
  EXPECT_EQ(wanted({rule(at("/v"))}), Pair(1000, 0));
  EXPECT_EQ(wanted({rule({}, Aim::race)}), Pair(1000, 0));
  EXPECT_EQ(wanted({rule({}, Aim::all)}), Pair(0, 0));
}

}  // namespace
}  // namespace sluice::upstream
