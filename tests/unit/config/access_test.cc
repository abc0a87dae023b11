// [[route.access]] and claims in paths: what they may say, and what is said of what they may not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loading.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;

class Access : public ::testing::Test {
 protected:
  void SetUp() override { folder_.write_credentials(); }
  static std::string with(std::string_view rules, std::string_view path = "/r", std::string_view auth = "auth = \"users\"\n") {
    const std::string jwt = "type = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\n";
    return "[auth.users]\n" + jwt + "[auth.staff]\n" + jwt + "[[route]]\npath = \"" + std::string(path) +
           "\"\nbackend = \"app\"\n" + std::string(auth) + std::string(rules) + "\n";
  }
  static std::string rule(std::string_view body) { return "[[route.access]]\n" + std::string(body) + "\n"; }
  Settings good(const std::string& text) {
    Loaded loaded = load(folder_.write("t.toml", around(text)));
    EXPECT_TRUE(loaded.ok()) << text << "\n" << text_of(loaded);
    return std::move(loaded.settings);
  }
  void bad(const std::string& text, const std::string& message) {
    const Loaded loaded = load(folder_.write("t.toml", around(text)));
    EXPECT_FALSE(loaded.ok()) << text;
    EXPECT_THAT(brief(loaded), HasSubstr("error: " + message)) << text;
  }
  Folder folder_;
};

TEST_F(Access, SaysWhatMustHold) {
  const Settings settings = good(with(rule("claim = \"role\"\nequals = \"admin\"\nscopes = [\"a\", \"b\"]") +
                                      rule("claim = \"/x/y\"\nany_of = [1, 2.5, true, \"t\"]") +
                                      rule("claim = \"age\"\nmin = 18\nmax = 99.5") + rule("claim = \"c\"\npresent = true") +
                                      rule("cidr = \"10.0.0.0/8\"\norigin = [\"https://a.test\"]\nsubprotocol = \"v2\"\nauth = \"users\"")));
  const auto& rules = settings.routes.back().access;
  ASSERT_EQ(rules.size(), 5u);
  EXPECT_EQ(rules[0].claim->claim.text(), "/role");
  EXPECT_EQ(rules[0].scopes.size(), 2u);
  ASSERT_EQ(rules[1].claim->values.size(), 4u);
  EXPECT_TRUE(rules[1].claim->values[1].equals(policy::Scalar::Kind::number, "2.50"));
  EXPECT_TRUE(rules[1].claim->values[2].equals(policy::Scalar::Kind::boolean, "true"));
  EXPECT_EQ(rules[2].claim->most, Decimal::parse("99.5"));
  EXPECT_EQ(rules[3].claim->test, policy::ClaimRule::Test::present);
  EXPECT_EQ(rules[4].auths, std::vector<std::string>{"users"});
}

TEST_F(Access, RefusesWhatAsksNothingOrCanNeverHold) {
  bad(with(rule("")), "[[route.access]] asks nothing");
  bad(with(rule("claim = \"role\"")), "'claim' does not say what it");
  bad(with(rule("claim = \"role\"\nequals = \"a\"\ncontains = \"a\"")), "'claim' is asked for several things at once");
  bad(with(rule("claim = \"role\"\nequals = \"a\"\nmax = 1")), "'claim' is asked for several things at once");
  bad(with(rule("equals = \"a\"")), "'equals' needs 'claim'");
  bad(with(rule("claim = \"role\"\npresent = false")), "'present' can only be true");
  bad(with(rule("claim = \"role\"\nany_of = []")), "'any_of' is empty");
  bad(with(rule("claim = \"role\"\nany_of = [[1]]")), "'any_of' must be a list of strings, numbers and booleans");
  bad(with(rule("claim = \"role\"\nequals = [1]")), "'equals' must be a string, a number or a boolean");
  bad(with(rule("claim = \"role\"\nmin = \"1\"")), "'min' must be a number");
  bad(with(rule("claim = \"role\"\nmin = nan")), "'min' is no number of JSON");
  bad(with(rule("claim = \"role\"\nmin = 2\nmax = 1.5")), "'max' is less than 'min'");
  bad(with(rule("claim = \"/a~\"\npresent = true")), "\"/a~\" is no JSON pointer");
  bad(with(rule("scopes = []")), "'scopes' is empty");
  bad(with(rule("scopes = [\"a b\"]")), "\"a b\" is no scope");
  bad(with(rule("cidr = [\"10.0.0.1/8\"]")), "'10.0.0.1/8' is no block");
  bad(with(rule("origin = [\"a.test\"]")), "\"a.test\" is no origin");
  bad(with(rule("subprotocol = [\"a b\"]")), "\"a b\" is no subprotocol");
  bad(with(rule("auth = \"staff\"")), "auth 'staff' is none of the route's");
  bad(with(rule("auth = \"nobody\"")), "access");
  for (const char* body : {"claim = \"role\"\npresent = true", "scopes = \"a\"", "auth = \"users\""}) {
    const Loaded loaded = load(folder_.write("t.toml", around(with(rule(body), "/r", ""))));
    EXPECT_THAT(brief(loaded), HasSubstr("can never hold: the route has no auth")) << body;
  }
  good(with(rule("cidr = \"10.0.0.0/8\""), "/r", ""));
}

TEST_F(Access, BindsClaimsInPaths) {
  const Settings settings = good(with("", "/rooms/{claim:room}/*"));
  EXPECT_EQ(settings.routes.back().bindings, (std::vector<policy::PathBinding>{{1, "room"}}));
  bad(with("", "/rooms/{claim:room}", ""), "'path' = \"/rooms/{claim:room}\" binds a claim, but the route has no auth");
  bad(with("", "/rooms/x{claim:room}"), "'path' = \"/rooms/x{claim:room}\" has a brace");
  bad(with("", "/rooms/{claim:}"), "'path' = \"/rooms/{claim:}\" names no claim");
  bad(with("", "/rooms//{claim:a}"), "'path' = \"/rooms//{claim:a}\"");
}

TEST_F(Access, RefusesPathsThatClaimsHide) {
  const auto another = [](std::string_view path) {
    return "[[route]]\npath = \"" + std::string(path) + "\"\nbackend = \"app\"\nauth = \"staff\"\n";
  };
  bad(with(another("/rooms/{claim:b}"), "/rooms/{claim:a}"),
      "route '/rooms/{claim:b}' can never match: '/rooms/{claim:a}' differs only in the claims");
  bad(with(another("/static/*"), "/{claim:tenant}/*"), "route '/static/*' can never match");
  bad(with(another("/{claim:tenant}/*"), "/static/*"), "route '/static/*' can never match");
  good(with(another("/rooms/*"), "/rooms/{claim:a}/*"));
  good(with(another("/rooms/lobby"), "/rooms/{claim:a}"));
}

TEST_F(Access, SaysWhatMessagesMustBe) {
  const auto message = [](std::string_view body) { return "[[route.message_rule]]\n" + std::string(body) + "\n"; };
  const Settings settings = good(with(message("opcode = \"text\"\nmax_size = \"4KiB\"\naction = \"drop\"") +
                                      message("direction = \"server\"\npointer = \"/room\"\nequals_claim = \"/x/room\"") +
                                      message("pointer = \"/n\"\nany_of = [1, \"a\"]")));
  const auto& rules = settings.routes.back().message_rules;
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0].opcode, 1);
  EXPECT_EQ(rules[0].max_size, 4096u);
  EXPECT_EQ(rules[0].action, policy::MessageAccess::Action::drop);
  EXPECT_TRUE(rules[1].to_client);
  EXPECT_EQ(rules[1].claim->text(), "/x/room");
  EXPECT_EQ(rules[2].values.size(), 2u);
  EXPECT_FALSE(settings.routes.back().websocket.pass_compression);
  bad(with(message("")), "[[route.message_rule]] asks nothing");
  bad(with(message("equals = 1")), "'equals' needs 'pointer'");
  bad(with(message("pointer = \"/a\"")), "'pointer' needs one of");
  bad(with(message("pointer = \"/a\"\nequals = 1\nequals_claim = \"b\"")), "'pointer' needs one of");
  bad(with(message("pointer = \"a\"\nequals = 1")), "\"a\" is no JSON pointer");
  bad(with(message("pointer = \"/a\"\nequals = 1\nopcode = \"binary\"")), "'pointer' reads text messages");
  bad(with(message("pointer = \"/a\"\nany_of = []")), "'any_of' is empty");
  bad(with(message("max_size = \"32KiB\"")), "'max_size' must be from");
  bad(with(message("pointer = \"/a\"\nequals_claim = \"b\""), "/r", ""), "'equals_claim' can never hold");
  bad("[backend.octets]\nservers = [\"tcp://h:1\"]\n[[route]]\npath = \"/t\"\nbackend = \"octets\"\n" + message("opcode = \"text\""),
      "[[route.message_rule]] is not for the tcp servers");
}

TEST_F(Access, TakesCertificatesWhereAListenerAsksForThem) {
  const auto listener = [](std::string_view more) {
    return "[[listener]]\nname = \"mutual\"\nbind = \"127.0.0.1:8443\"\n[listener.tls]\ncert = \"server.crt\"\nkey = \"server.key\"\n" +
           std::string(more) + "\n";
  };
  const std::string asking = "client_auth = \"optional\"\nclient_ca = \"server.crt\"\n";
  const auto cert = [&](std::string_view auth, std::string_view tls, std::string_view route) {
    return listener(tls) + "[auth.c]\ntype = \"client_cert\"\n" + std::string(auth) + "\n[[route]]\npath = \"/c\"\nbackend = \"app\"\n" +
           std::string(route) + "\n";
  };
  const std::string here = "auth = \"c\"\nlistener = \"mutual\"";
  const Settings settings = good(cert("subject = \"spiffe\"\ntrust_domains = [\"example.org\"]", asking, here));
  EXPECT_EQ(settings.auths.back().client_cert.subject, policy::ClientCertSettings::Subject::spiffe);
  EXPECT_TRUE(settings.auths.back().from.empty());
  bad(cert("", "", here), "auth 'c' can never hold: no listener of route '/c' asks for certificates");
  bad(cert("subject = \"sn\"", asking, here), "'subject' has the unknown value");
  bad(cert("trust_domains = [\"example.org\"]", asking, here), "'trust_domains' is for subject");
  bad(cert("subject = \"spiffe\"\ntrust_domains = [\"spiffe://a\"]", asking, here), "\"spiffe://a\" is no trust domain");
  bad(cert("from = [\"header:X\"]", asking, here), "'from' is not for type");
  bad(cert("issuer = \"x\"", asking, here), "'issuer' is for type");
  bad(cert("[auth.d]\ntype = \"client_cert\"", asking, "auth = [\"c\", \"d\"]\nlistener = \"mutual\""), "auth 'd' is never asked");
  bad(cert("", "crl_file = \"server.crt\"", here), "server.crt holds no list of revoked certificates");
  bad(cert("", asking + "crl_file = \"none.crl\"", here), "'crl_file': cannot read");
  const Loaded everywhere = load(folder_.write("t.toml", around(cert("", asking, "auth = \"c\""))));
  EXPECT_TRUE(everywhere.ok());
  EXPECT_THAT(brief(everywhere), HasSubstr("nobody gets into route '/c' by listener 'plain'"));
}

}  // namespace
}  // namespace sluice::config
