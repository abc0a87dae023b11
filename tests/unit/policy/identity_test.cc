#include "policy/identity.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

std::string claim(std::string_view json) {
  Identity identity;
  identity.claims = *Json::parse(R"({"c":)" + std::string(json) + "}");
  bool bad = false;
  const auto text = identity.claim_text("c", bad);
  EXPECT_FALSE(text && bad);
  return bad ? "(bad)" : text.value_or("(absent)");
}

TEST(Identity, GivesClaimsAsText) {
  EXPECT_EQ(claim(R"("alice")"), "alice");
  EXPECT_EQ(claim(R"("read write")"), "read write");
  EXPECT_EQ(claim(R"("")"), "");
  EXPECT_EQ(claim("42"), "42");
  EXPECT_EQ(claim("-1"), "-1");
  EXPECT_EQ(claim("1.50"), "1.50");
  EXPECT_EQ(claim("true"), "true");
  EXPECT_EQ(claim("false"), "false");
  EXPECT_EQ(claim(R"(["a","b"])"), "a b");
  EXPECT_EQ(claim("[]"), "");
}

TEST(Identity, RefusesWhatAFieldValueCannotCarry) {
  for (const char* json : {"null", "{}", R"({"a":1})", R"("a\r\nX-Admin: 1")", R"("a\u0000")",
                           R"("caf\u00e9")", R"("a\tb")", R"(" a")", R"("a ")", R"([1])", R"([["a"]])",
                           R"(["a b"])", R"([""])", R"(["a",null])", R"(["a\n"])"}) {
    EXPECT_EQ(claim(json), "(bad)") << json;
  }
}

TEST(Identity, TellsAbsentFromBad) {
  Identity anonymous;
  bool bad = true;
  EXPECT_FALSE(anonymous.claim_text("sub", bad));
  EXPECT_FALSE(bad);
}

}  // namespace
}  // namespace sluice::policy
