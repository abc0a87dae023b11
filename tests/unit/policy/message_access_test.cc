#include "policy/message_access.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

using Kind = Scalar::Kind;

relay::Preview message(std::string_view content, std::uint8_t opcode = 1, bool whole = true) {
  relay::Preview out;
  out.state = relay::Preview::State::ready;
  out.opcode = opcode;
  out.whole = whole;
  out.content = as_bytes(content);
  return out;
}

bool holds(const MessageAccess& rule, std::string_view content, std::uint8_t opcode = 1, bool whole = true) {
  std::optional<JsonText> json;
  return rule.holds(message(content, opcode, whole), json, rule.values);
}

MessageAccess room(std::vector<Scalar> values) {
  MessageAccess rule;
  rule.pointer = JsonPointer::parse("/room");
  rule.values = std::move(values);
  return rule;
}

TEST(MessageAccess, WantsAKindOfMessage) {
  MessageAccess rule;
  rule.opcode = 2;
  EXPECT_TRUE(holds(rule, "", 2, false));
  EXPECT_FALSE(holds(rule, "", 1));
  EXPECT_EQ(rule.wanted_of_text(1000), 0u);
}

TEST(MessageAccess, BoundsTheSize) {
  MessageAccess rule;
  rule.max_size = 5;
  EXPECT_EQ(rule.wanted_of_text(1000), 6u);
  EXPECT_EQ(rule.wanted_of_binary(), 6u);
  EXPECT_TRUE(holds(rule, ""));
  EXPECT_TRUE(holds(rule, "12345", 2));
  EXPECT_FALSE(holds(rule, "123456", 2));
  EXPECT_FALSE(holds(rule, "12345", 2, false));
}

TEST(MessageAccess, ReadsOneValueOfJson) {
  struct Case {
    const char* text;
    Scalar value;
    bool holds;
  };
  const Scalar a{Kind::text, "a"};
  for (const Case& one : std::vector<Case>{
           {R"({"room":"a"})", a, true},
           {R"({"x":[1,{"room":"b"}],"room":"\u0061"})", a, true},
           {R"({"room":"A"})", a, false},
           {R"({"room":["a"]})", a, false},
           {R"({"room":null})", a, false},
           {R"({"Room":"a"})", a, false},
           {R"({})", a, false},
           {R"("a")", a, false},
           {"", a, false},
           {"no json", a, false},
           {R"({"room":"a")", a, false},
           {R"({"room":"a"} {"room":"b"})", a, false},
           {R"({"room":"a","room":"b"})", a, false},
           {R"({"room":"b","room":"a"})", a, false},
           {R"({"room":"a","room":"a"})", a, false},
           {R"({"room":"a","\u0072oom":"b"})", a, false},
           {"\xef\xbb\xbf{\"room\":\"a\"}", a, false},
           {"{\"room\":\"a\",\"x\":\"\xff\"}", a, false},
           {R"({"room":7})", {Kind::number, "7.0"}, true},
           {R"({"room":"7"})", {Kind::number, "7"}, false},
           {R"({"room":9007199254740993})", {Kind::number, "9007199254740992"}, false},
           {R"({"room":true})", {Kind::boolean, "true"}, true},
           {R"({"room":"true"})", {Kind::boolean, "true"}, false},
       }) {
    EXPECT_EQ(holds(room({one.value}), one.text), one.holds) << one.text;
  }
}

TEST(MessageAccess, DeniesWhatItCannotReadAsAWhole) {
  const MessageAccess rule = room({{Kind::text, "a"}});
  EXPECT_EQ(rule.wanted_of_text(1000), 1000u);
  EXPECT_FALSE(holds(rule, R"({"room":"a"})", 1, false));
  EXPECT_FALSE(holds(rule, R"({"room":"a"})", 2));
}

TEST(MessageAccess, WantsOneOfSeveralValuesAndDeniesAllWithoutAny) {
  EXPECT_TRUE(holds(room({{Kind::text, "b"}, {Kind::text, "a"}}), R"({"room":"a"})"));
  EXPECT_FALSE(holds(room({}), R"({"room":"a"})"));
}

}  // namespace
}  // namespace sluice::policy
