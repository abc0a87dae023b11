// The carrier ticket:NAME: where a ticket stands, whose it is, and that it goes no further.
#include <gtest/gtest.h>

#include "policy/authenticator.h"
#include "support/keys.h"

namespace sluice::policy {
namespace {

using Kind = Carrier::Kind;

AuthSettings auth_named(std::string name) {
  AuthSettings auth;
  auth.name = std::move(name);
  auth.from = {{Kind::header, "Authorization"}, {Kind::ticket, "ticket"}};
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = test::kSecret;
  return auth;
}

struct Asked {
  explicit Asked(std::string query) {
    head.method = "GET";
    request.head = &head;
    request.target.path = "/chat";
    request.target.has_query = true;
    request.target.query = std::move(query);
  }
  http::Head head;
  http::Request request;
};

class TicketCarrier : public ::testing::Test {
 protected:
  std::vector<Method> methods() {
    std::vector<Method> out(2);
    out[0].settings = &users_;
    out[1].settings = &machines_;
    return out;
  }
  AuthSettings users_ = auth_named("users");
  AuthSettings machines_ = auth_named("machines");
};

TEST_F(TicketCarrier, IsFoundInTheQueryAndDecoded) {
  const Authenticator authenticator(methods());
  const auto found = authenticator.find(Asked("a=1&ticket=x%2Dy").request, {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text.reveal(), "x-y");
  EXPECT_EQ(found->carrier->kind, Kind::ticket);
  EXPECT_EQ(found->method->settings->name, "users") << "until its record says whose it is";
}

TEST_F(TicketCarrier, NoneEmptyOrTwo) {
  const Authenticator authenticator(methods());
  EXPECT_EQ(authenticator.find(Asked("a=1").request, {}).error().code, Errc::no_token);
  EXPECT_EQ(authenticator.find(Asked("ticket=").request, {}).error().code, Errc::no_token);
  EXPECT_EQ(authenticator.find(Asked("ticket=a&ticket=b").request, {}).error().code, Errc::dup_token);
}

TEST_F(TicketCarrier, IsNoCredentialWhereTicketsAreIssued) {
  const Authenticator authenticator(methods(), false);
  EXPECT_EQ(authenticator.find(Asked("ticket=a").request, {}).error().code, Errc::no_token);
}

TEST_F(TicketCarrier, TheMethodIsFoundByTheNameOfItsAuth) {
  const Authenticator authenticator(methods());
  ASSERT_NE(authenticator.named("machines"), nullptr);
  EXPECT_EQ(authenticator.named("machines")->settings, &machines_);
  EXPECT_EQ(authenticator.named("others"), nullptr);
  EXPECT_EQ(authenticator.named(""), nullptr);
}

TEST_F(TicketCarrier, GoesNeitherUpNorIntoLogs) {
  const Carrier carrier{Kind::ticket, "pass"};
  const Scrubbed scrubbed = scrub({carrier}, Asked("a=1&pass=secret&b=2").request, {});
  EXPECT_TRUE(scrubbed.query_changed);
  EXPECT_EQ(scrubbed.query, "a=1&b=2");
  EXPECT_EQ(redact_query("a=1&PASS=secret&b=2", {carrier}), "a=1&PASS=[redacted]&b=2");
}

}  // namespace
}  // namespace sluice::policy
