#include "policy/header_rules.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

FieldValue value_of(std::string_view text) {
  std::string why;
  auto value = FieldValue::parse(text, why);
  EXPECT_TRUE(value) << text << " " << why;
  return value.value_or(FieldValue());
}

http::Request request() {
  http::Request request;
  request.client = *net::Address::parse("192.0.2.7", 4000);
  request.id = "0123456789abcdef";
  request.host = {"gw.test", 8443};
  return request;
}

Identity identity(const char* claims) {
  Identity identity;
  identity.claims = *Json::parse(claims);
  return identity;
}

TEST(FieldValue, PutsWhatIsKnownInPlaceOfItsName) {
  const std::pair<const char*, const char*> table[] = {
      {"", ""},
      {"plain text", "plain text"},
      {"{client_ip}", "192.0.2.7"},
      {"for={client_ip};id={request_id}", "for=192.0.2.7;id=0123456789abcdef"},
      {"https://{host}/", "https://gw.test/"},
      {"{claim:sub}@{claim:org.name}", "ann@acme"},
      {"{claim:roles}", "a b"},
      {"{claim:n}", "7"}};
  const Identity known = identity(R"({"sub":"ann","org.name":"acme","roles":["a","b"],"n":7})");
  for (const auto& [text, expected] : table) {
    const auto result = value_of(text).text(request(), known);
    ASSERT_TRUE(result && *result) << text;
    EXPECT_EQ(**result, expected);
  }
}

TEST(FieldValue, BracesOfJsonStandForThemselves) {
  for (const char* text : {R"({"group":"a","endpoints":[{"url":"https://x.test/"}]})", "{", "}", "{}", "{ client_ip }", "{9}",
                           "{open", "a{A}b"}) {
    const FieldValue value = value_of(text);
    EXPECT_TRUE(value.plain());
    EXPECT_EQ(**value.text(request(), {}), text);
    EXPECT_EQ(value.source(), text);
  }
}

TEST(FieldValue, RefusesUnknownPlaceholdersAndForbiddenOctets) {
  for (const char* text : {"{client}", "{claim}", "{claim:}", "x {token} y", "{client_ip }", "{header:X}"}) {
    std::string why;
    EXPECT_FALSE(FieldValue::parse(text, why)) << text;
    EXPECT_NE(why.find("unknown placeholder"), std::string::npos) << why;
  }
  for (const std::string& text : {std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f"),
                                  std::string("\xc3\xa4"), std::string("a\x1b")}) {
    std::string why;
    EXPECT_FALSE(FieldValue::parse(text, why));
    EXPECT_EQ(why, "holds an octet that no field may hold");
  }
  for (const char* text : {" a", "a ", "\ta", " "}) {
    std::string why;
    EXPECT_FALSE(FieldValue::parse(text, why)) << text;
  }
}

TEST(FieldValue, AClaimThatIsAbsentSaysNothingAndABadOneIsRefused) {
  const FieldValue value = value_of("user {claim:sub}");
  EXPECT_TRUE(value.asks_claim());
  EXPECT_FALSE(value.plain());
  EXPECT_EQ(*value.text(request(), identity("{}")), std::nullopt);
  EXPECT_EQ(*value.text(request(), {}), std::nullopt) << "an anonymous client";
  for (const char* claims : {R"({"sub":"a\r\nX: y"})", R"({"sub":{"a":1}})", R"({"sub":"ä"})"}) {
    const auto result = value.text(request(), identity(claims));
    ASSERT_FALSE(result) << claims;
    EXPECT_EQ(result.error().code, Errc::bad_claim);
  }
}

HeaderRules rules() {
  HeaderRules rules;
  rules.set.emplace_back("X-Tenant", value_of("acme"));
  rules.set.emplace_back("X-User", value_of("{claim:sub}"));
  rules.remove = {"Server", "Set-Cookie"};
  return rules;
}

TEST(HeaderRules, DropWhatTheyRemoveAndWhatTheySet) {
  for (const char* name : {"x-tenant", "X-TENANT", "X-User", "server", "set-cookie"}) EXPECT_TRUE(rules().drops(name)) << name;
  for (const char* name : {"X-Tenan", "X-Tenants", "Cookie", ""}) EXPECT_FALSE(rules().drops(name)) << name;
}

TEST(HeaderRules, ApplyToEveryCopy) {
  FieldList fields{{"server", "nginx"}, {"X-User", "root"}, {"Date", "now"}, {"Set-Cookie", "a=b"}, {"x-user", "root"},
                   {"SET-COOKIE", "c=d"}};
  const auto values = rules().values(request(), identity(R"({"sub":"ann"})"));
  ASSERT_TRUE(values);
  apply(rules(), *values, fields);
  EXPECT_EQ(fields, (FieldList{{"Date", "now"}, {"X-Tenant", "acme"}, {"X-User", "ann"}}));
}

TEST(HeaderRules, WhoLacksTheClaimCannotBringTheField) {
  FieldList fields{{"X-User", "root"}};
  const auto values = rules().values(request(), {});
  ASSERT_TRUE(values);
  apply(rules(), *values, fields);
  EXPECT_EQ(fields, (FieldList{{"X-Tenant", "acme"}}));
}

TEST(HeaderRules, WithoutRulesNothingChanges) {
  FieldList fields{{"a", "b"}};
  apply({}, {}, fields);
  EXPECT_EQ(fields.size(), 1u);
}

}  // namespace
}  // namespace sluice::policy
