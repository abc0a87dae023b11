#include "policy/ticket_record.h"

#include <gtest/gtest.h>

#include <map>

#include "policy/claim_mark.h"

namespace sluice::policy {
namespace {

std::map<std::string, std::string> claims_of(const Identity& identity) {
  std::map<std::string, std::string> all;
  each_claim(identity, [&](std::string_view name, std::string_view value) { all[std::string(name)] += std::string(value) + ";"; });
  return all;
}

TEST(TicketRecord, KeepsAllThatAnIdentityIsKnownBy) {
  TicketRecord record;
  record.auth = "users";
  record.client = "2001:db8::1";
  record.identity.method = "jwt";
  record.identity.subject = "Ann \"\\ \xc3\xa4 \xe2\x80\xa8";
  record.identity.expires = true;
  record.identity.expiry = WallTime(std::chrono::milliseconds(1'800'000'000'123));
  record.identity.claims = *Json::parse(
      R"({"jti":"j","iat":1799999999,"n":12345678901234567890,"f":1.50,"e":1e3,"b":true,"z":null,"roles":["a","b\u0001"],)"
      R"("o":{"x":[1,[],{}],"":"quote\""}})");
  const auto read = TicketRecord::parse(record.text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->auth, "users");
  EXPECT_EQ(read->client, "2001:db8::1");
  EXPECT_EQ(read->identity.method, "jwt");
  EXPECT_EQ(read->identity.subject, record.identity.subject);
  EXPECT_TRUE(read->identity.expires);
  EXPECT_EQ(read->identity.expiry, record.identity.expiry);
  EXPECT_EQ(claims_of(read->identity), claims_of(record.identity)) << "numbers by their text";
  EXPECT_EQ(issued_at(read->identity), 1'799'999'999);
  EXPECT_EQ(read->identity.claims.find("o")->find("x")->items().size(), 3U);
}

TEST(TicketRecord, OneThatDoesNotExpireDoesNot) {
  TicketRecord record;
  record.auth = "machines";
  record.identity.claims = *Json::parse("{}");
  const auto read = TicketRecord::parse(record.text());
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->identity.expires);
  EXPECT_EQ(read->client, "");
}

TEST(TicketRecord, WhatIsNoneIsABadTicket) {
  for (const std::string_view text :
       {"", "{}", "[]", "x", R"({"auth":"a","client":"","method":"jwt","subject":"s"})",
        R"({"auth":"a","client":"","method":"jwt","subject":"s","claims":{}})",
        R"({"auth":"a","client":"","method":"jwt","subject":"s","claims":"{"})",
        R"({"auth":"a","client":"","method":"jwt","subject":"s","claims":"{}","expires":"soon"})",
        R"({"auth":1,"client":"","method":"jwt","subject":"s","claims":"{}"})"}) {
    const auto read = TicketRecord::parse(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::bad_ticket);
  }
}

}  // namespace
}  // namespace sluice::policy
