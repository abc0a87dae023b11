#include "policy/token_message.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

std::string token(std::string_view text, std::string_view type = "auth", std::size_t most = 8192) {
  const auto found = token_of_message(text, type, most);
  return found ? std::string(found->reveal()) : "none";
}

TEST(TokenMessage, HoldsATypeAndAToken) {
  EXPECT_EQ(token(R"({"type":"auth","token":"a.b.c"})"), "a.b.c");
  EXPECT_EQ(token(R"({ "token" : "a.b.c" , "type" : "auth" })"), "a.b.c");
  EXPECT_EQ(token(R"({"type":"refresh","token":"x"})", "refresh"), "x");
}

TEST(TokenMessage, IsNothingElse) {
  for (const std::string_view text :
       {"", "{", "{}", "a.b.c", "[]", R"("auth")", R"({"type":"auth"})", R"({"token":"x"})", R"({"type":"other","token":"x"})",
        R"({"type":"AUTH","token":"x"})", R"({"type":"auth","token":""})", R"({"type":"auth","token":5})",
        R"({"type":"auth","token":["x"]})", R"({"type":"auth","token":"x","more":1})", R"({"type":"auth","type":"auth","token":"x"})",
        R"( {"type":"auth","token":"x"})", R"({"type":"auth","token":"x"} x)", R"({"type":1,"token":"x"})"}) {
    EXPECT_EQ(token(text), "none") << text;
  }
}

TEST(TokenMessage, IsBounded) {
  const std::string text = R"({"type":"auth","token":"x"})";
  EXPECT_EQ(token(text, "auth", text.size()), "x");
  EXPECT_EQ(token(text, "auth", text.size() - 1), "none");
}

TEST(FirstMessageToken, IsBareOrInAnObject) {
  const auto first = [](std::string_view text, std::size_t most = 100) {
    const auto found = token_of_first_message(text, "auth", most);
    return found ? std::string(found->reveal()) : "none";
  };
  EXPECT_EQ(first("a.b.c"), "a.b.c");
  EXPECT_EQ(first(R"({"type":"auth","token":"a.b.c"})"), "a.b.c");
  EXPECT_EQ(first(""), "none");
  EXPECT_EQ(first(R"({"token":"a.b.c"})"), "none");
  EXPECT_EQ(first(" a.b.c"), " a.b.c") << "reading it is not mending it";
  EXPECT_EQ(first("aaaa", 3), "none");
}

}  // namespace
}  // namespace sluice::policy
