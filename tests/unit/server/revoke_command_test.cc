#include "server/revoke_command.h"

#include <gtest/gtest.h>

namespace sluice::server {
namespace {

using namespace std::chrono_literals;
using Kind = policy::Revocation::Kind;

RevokeCommand read(const std::string& body) {
  RevokeCommand command;
  const auto refusal = command.read(body);
  EXPECT_FALSE(refusal) << body << ": " << refusal->error;
  return command;
}

bool refused(const std::string& body) {
  RevokeCommand command;
  const auto refusal = command.read(body);
  EXPECT_EQ(refusal ? refusal->status : 400, 400);
  return refusal.has_value();
}

TEST(RevokeCommand, ReadsWhoIsMeant) {
  EXPECT_EQ(read(R"({"sub":"ann"})").what.kind, Kind::sub);
  EXPECT_EQ(read(R"({"jti":"t1"})").what.kind, Kind::jti);
  EXPECT_EQ(read(R"({"sid":"s1"})").what.value, "s1");
  EXPECT_EQ(read(R"({"ip":"10.0.0.0/8"})").what.kind, Kind::ip);
  EXPECT_EQ(read(R"({"connection":"abc"})").what.kind, Kind::connection);
  const auto claim = read(R"({"claim":{"name":"role","value":"admin"}})").what;
  EXPECT_EQ(claim.kind, Kind::claim);
  EXPECT_EQ(claim.name, "role");
  EXPECT_EQ(claim.value, "admin");
  EXPECT_EQ(read(R"({"claim":{"name":"tenant","value":7}})").what.value, "7");
  EXPECT_EQ(read(R"({"claim":{"name":"staff","value":false}})").what.value, "false");
  EXPECT_FALSE(read(R"({"sub":"ann"})").ttl);
}

TEST(RevokeCommand, ReadsTheTerms) {
  const auto all = read(
      R"({"sub":"ann","ttl":"10m","allow_newer":true,"auth":"users","issuer":"https://a/","code":4409,"reason":"bye"})");
  EXPECT_EQ(all.ttl, 10min);
  EXPECT_TRUE(all.what.allow_newer);
  EXPECT_EQ(all.what.auth, "users");
  EXPECT_EQ(all.what.issuer, "https://a/");
  EXPECT_EQ(all.what.code, 4409);
  EXPECT_EQ(all.what.reason, "bye");
  EXPECT_EQ(read(R"({"sub":"ann","ttl":"366d"})").ttl, RevokeCommand::kMostTtl);
  EXPECT_EQ(read(R"({"sub":"ann","code":1008})").what.code, 1008);
  EXPECT_EQ(read(R"({"sub":"ann","reason":")" + std::string(123, 'x') + R"("})").what.reason.size(), 123u);
}

TEST(RevokeCommand, RefusesWhatItDoesNotUnderstand) {
  for (const char* body :
       {"", "[]", "null", "{}", R"({"ttl":"10m"})", R"({"sub":"a","jti":"b"})", R"({"sub":"a","sub":"b"})", R"({"sub":""})",
        R"({"sub":1})", R"({"sub":null})", R"({"sub":["a"]})", R"({"user":"a"})", R"({"sub":"a","until":"x"})",
        R"({"claim":"role"})", R"({"claim":{"name":"role"}})", R"({"claim":{"name":"role","value":"x","more":1}})",
        R"({"claim":{"name":"","value":"x"}})", R"({"claim":{"name":"role","value":""}})",
        R"({"claim":{"name":"role","value":null}})", R"({"claim":{"name":"role","value":["x"]}})",
        R"({"claim":{"name":"exp","value":1}})", R"({"claim":{"name":"iat","value":1}})",
        R"({"ip":"10.0.0.1/8"})", R"({"ip":"host.example"})", R"({"ip":"10.0.0.1:80"})",
        R"({"sub":"a","ttl":10})", R"({"sub":"a","ttl":"10"})", R"({"sub":"a","ttl":"0s"})", R"({"sub":"a","ttl":"-1s"})",
        R"({"sub":"a","ttl":"367d"})", R"({"sub":"a","ttl":"1us"})",
        R"({"sub":"a","allow_newer":true})", R"({"sub":"a","ttl":"1m","allow_newer":1})",
        R"({"jti":"a","ttl":"1m","allow_newer":true})", R"({"ip":"10.0.0.1","ttl":"1m","allow_newer":true})",
        R"({"ip":"10.0.0.1","auth":"users"})", R"({"connection":"a","issuer":"x"})", R"({"connection":"a","ttl":"1m"})",
        R"({"sub":"a","auth":""})", R"({"sub":"a","issuer":7})",
        R"({"sub":"a","code":1005})", R"({"sub":"a","code":1006})", R"({"sub":"a","code":2000})", R"({"sub":"a","code":5000})",
        R"({"sub":"a","code":"4403"})", R"({"sub":"a","code":4403.5})", R"({"sub":"a","reason":""})", R"({"sub":"a","reason":1})"}) {
    EXPECT_TRUE(refused(body)) << body;
  }
  EXPECT_TRUE(refused(R"({"sub":"a","reason":")" + std::string(124, 'x') + R"("})"));
  EXPECT_TRUE(refused(R"({"sub":")" + std::string(1025, 'x') + R"("})"));
  EXPECT_TRUE(refused("{\"sub\":\"\xff\"}"));
}

}  // namespace
}  // namespace sluice::server
