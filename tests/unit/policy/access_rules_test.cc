#include "policy/access_rules.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

using Is = ClaimRule::Test;
using Kind = Scalar::Kind;

Identity who(std::string_view claims, std::string subject = "") {
  Identity identity;
  identity.subject = std::move(subject);
  identity.claims = *Json::parse(claims);
  return identity;
}

Scalar text(std::string value) { return {Kind::text, std::move(value)}; }
Scalar number(std::string value) { return {Kind::number, std::move(value)}; }
Scalar yes() { return {Kind::boolean, "true"}; }

ClaimRule rule(std::string_view claim, Is test, std::vector<Scalar> values = {}) {
  return {*claim_pointer(claim), test, std::move(values), {}, {}};
}

ClaimRule range(std::string_view least, std::string_view most) {
  ClaimRule out = rule("c", Is::range);
  if (!least.empty()) out.least = Decimal::parse(least);
  if (!most.empty()) out.most = Decimal::parse(most);
  return out;
}

TEST(ClaimRule, HoldsForWhatItSays) {
  struct Case {
    const char* claim;  // JSON of the claim "c"; empty: there is none
    ClaimRule rule;
    bool holds;
  };
  const std::vector<Case> cases = {
      {"", rule("c", Is::present), false},
      {"null", rule("c", Is::present), false},
      {"false", rule("c", Is::present), true},
      {"{}", rule("c", Is::present), true},
      {"[]", rule("c", Is::present), true},

      {"", rule("c", Is::equals, {text("admin")}), false},
      {R"("admin")", rule("c", Is::equals, {text("admin")}), true},
      {R"("Admin")", rule("c", Is::equals, {text("admin")}), false},
      {R"("admin ")", rule("c", Is::equals, {text("admin")}), false},
      {R"("admin\u0000")", rule("c", Is::equals, {text("admin")}), false},
      {R"(["admin"])", rule("c", Is::equals, {text("admin")}), false},
      {R"({"admin":true})", rule("c", Is::equals, {text("admin")}), false},
      {R"("5")", rule("c", Is::equals, {number("5")}), false},
      {"5", rule("c", Is::equals, {text("5")}), false},
      {"5", rule("c", Is::equals, {number("5")}), true},
      {"5.0", rule("c", Is::equals, {number("5")}), true},
      {"9007199254740993", rule("c", Is::equals, {number("9007199254740992")}), false},
      {"9007199254740993", rule("c", Is::equals, {number("9007199254740993")}), true},
      {"true", rule("c", Is::equals, {yes()}), true},
      {"false", rule("c", Is::equals, {yes()}), false},
      {R"("true")", rule("c", Is::equals, {yes()}), false},
      {"1", rule("c", Is::equals, {yes()}), false},
      {R"("caf\u00e9")", rule("c", Is::equals, {text("caf\u00e9")}), true},
      {R"("cafe\u0301")", rule("c", Is::equals, {text("caf\u00e9")}), false},  // no form is made another

      {R"(["a","b"])", rule("c", Is::contains, {text("b")}), true},
      {R"(["a",["b"]])", rule("c", Is::contains, {text("b")}), false},
      {R"(["a",2])", rule("c", Is::contains, {number("2.0")}), true},
      {R"("abc")", rule("c", Is::contains, {text("b")}), false},
      {R"("b")", rule("c", Is::contains, {text("b")}), false},
      {"[]", rule("c", Is::contains, {text("b")}), false},

      {R"("b")", rule("c", Is::any_of, {text("a"), text("b")}), true},
      {R"("c")", rule("c", Is::any_of, {text("a"), text("b")}), false},
      {R"(["x","b"])", rule("c", Is::any_of, {text("a"), text("b")}), true},
      {R"(["x"])", rule("c", Is::any_of, {text("a"), text("b")}), false},
      {"", rule("c", Is::any_of, {text("a"), text("b")}), false},
      {"{}", rule("c", Is::any_of, {text("a")}), false},

      {R"(["b","x","a"])", rule("c", Is::all_of, {text("a"), text("b")}), true},
      {R"(["b","x"])", rule("c", Is::all_of, {text("a"), text("b")}), false},
      {R"("a")", rule("c", Is::all_of, {text("a")}), false},
      {"[]", rule("c", Is::all_of, {text("a")}), false},

      {"18", range("18", ""), true},
      {"17.999999999999999999", range("18", ""), false},
      {"18", range("", "18"), true},
      {"18.000000000000000001", range("", "18"), false},
      {"-1", range("-1.5", "0"), true},
      {"9007199254740993", range("", "9007199254740992"), false},
      {"9007199254740992", range("9007199254740993", ""), false},
      {"1e3", range("999", "1001"), true},
      {R"("18")", range("18", ""), false},
      {"[18]", range("18", ""), false},
      {"true", range("0", ""), false},
      {"", range("0", ""), false},
  };
  for (const Case& one : cases) {
    const std::string claims = *one.claim ? R"({"c":)" + std::string(one.claim) + "}" : "{}";
    EXPECT_EQ(one.rule.holds(who(claims)), one.holds) << claims << " test " << static_cast<int>(one.rule.test);
  }
}

TEST(ClaimRule, FindsNestedClaimsByPointerAndOthersByName) {
  const Identity identity = who(R"({"realm_access":{"roles":["a"]},"a/b":1,"x~y":2,"list":[{"n":1}]})");
  EXPECT_TRUE(rule("/realm_access/roles", Is::contains, {text("a")}).holds(identity));
  EXPECT_FALSE(rule("/realm_access/roles/0", Is::present).holds(identity));
  EXPECT_FALSE(rule("/list/0/n", Is::present).holds(identity));
  EXPECT_FALSE(rule("/realm_access/none", Is::present).holds(identity));
  EXPECT_TRUE(rule("a/b", Is::equals, {number("1")}).holds(identity));
  EXPECT_TRUE(rule("x~y", Is::equals, {number("2")}).holds(identity));
  EXPECT_FALSE(claim_pointer(""));
  EXPECT_FALSE(claim_pointer("/a~2"));
}

TEST(ClaimRule, KnowsTheSubjectOfAnIdentityWithoutThatClaim) {
  EXPECT_TRUE(rule("sub", Is::equals, {text("ann")}).holds(who("{}", "ann")));
  EXPECT_FALSE(rule("sub", Is::equals, {text("ann")}).holds(who(R"({"sub":"eve"})", "ann")));
  EXPECT_FALSE(rule("sub", Is::present).holds(who("{}")));
}

struct Asking {
  explicit Asking(std::initializer_list<std::string_view> origins = {}, std::vector<std::string_view> offered = {})
      : offer(std::move(offered)) {
    for (const std::string_view origin : origins) head.fields.push_back({"Origin", origin});
    request.head = &head;
    request.client = *net::Address::parse("192.0.2.7", 1);
  }
  std::optional<AccessPart> ask(const AccessRule& one, const Identity& identity, std::string_view auth = "users") const {
    return denied({}, {one}, {.path = "/", .identity = identity, .auth = auth, .request = &request, .subprotocols = &offer});
  }
  http::Head head;
  http::Request request;
  std::vector<std::string_view> offer;
};

TEST(AccessRule, WantsEveryScopeInScopeOrScp) {
  AccessRule one;
  one.scopes = {"chat:read", "chat:write"};
  const Asking asking;
  EXPECT_FALSE(asking.ask(one, who(R"({"scope":"chat:write  openid chat:read"})")));
  EXPECT_FALSE(asking.ask(one, who(R"({"scp":["chat:write","chat:read"]})")));
  EXPECT_FALSE(asking.ask(one, who(R"({"scope":"chat:read","scp":["chat:write"]})")));
  for (const char* claims : {"{}", R"({"scope":"chat:read"})", R"({"scope":"chat:reader chat:write"})", R"({"scope":5})",
                             R"({"scope":"chat:read\tchat:write"})", R"({"scp":{"chat:read":1,"chat:write":1}})", R"({"scope":""})"}) {
    EXPECT_EQ(asking.ask(one, who(claims)), AccessPart::scope) << claims;
  }
}

TEST(AccessRule, LooksAtTheAddressOfTheClient) {
  AccessRule one;
  one.cidr = {*net::Cidr::parse("10.0.0.0/8"), *net::Cidr::parse("192.0.2.0/24")};
  Asking asking;
  EXPECT_FALSE(asking.ask(one, who("{}")));
  asking.request.client = *net::Address::parse("192.0.3.1", 1);
  EXPECT_EQ(asking.ask(one, who("{}")), AccessPart::cidr);
}

TEST(AccessRule, WantsAnOriginWhereItNamesSome) {
  AccessRule one;
  one.origins = {*OriginPattern::parse("https://a.test")};
  EXPECT_FALSE(Asking({"https://a.test"}).ask(one, who("{}")));
  EXPECT_EQ(Asking({"https://b.test"}).ask(one, who("{}")), AccessPart::origin);
  EXPECT_EQ(Asking().ask(one, who("{}")), AccessPart::origin);
  EXPECT_EQ(Asking({"https://a.test", "https://a.test"}).ask(one, who("{}")), AccessPart::origin);
}

TEST(AccessRule, LetsNoOtherSubprotocolBeOffered) {
  AccessRule one;
  one.subprotocols = {"v2", "v3"};
  EXPECT_FALSE(Asking({}, {"v3"}).ask(one, who("{}")));
  EXPECT_FALSE(Asking({}, {"v3", "v2"}).ask(one, who("{}")));
  EXPECT_EQ(Asking({}, {"v3", "v1"}).ask(one, who("{}")), AccessPart::subprotocol);
  EXPECT_EQ(Asking().ask(one, who("{}")), AccessPart::subprotocol);
}

TEST(AccessRule, KnowsWhoCheckedTheCredential) {
  AccessRule one;
  one.auths = {"staff", "admins"};
  EXPECT_FALSE(Asking().ask(one, who("{}"), "admins"));
  EXPECT_EQ(Asking().ask(one, who("{}"), "users"), AccessPart::auth);
  EXPECT_EQ(Asking().ask(one, who("{}"), ""), AccessPart::auth);
}

TEST(AccessRule, WantsAllOfItsPartsAndAllRules) {
  AccessRule one;
  one.claim = rule("role", Is::equals, {text("admin")});
  one.scopes = {"x"};
  AccessRule two;
  two.claim = rule("age", Is::present);
  const auto ask = [&](std::string_view claims) {
    const Identity identity = who(claims);
    return denied({}, {one, two}, {.path = "/", .identity = identity, .auth = "users"});
  };
  EXPECT_FALSE(ask(R"({"role":"admin","scope":"x","age":1})"));
  EXPECT_EQ(ask(R"({"role":"admin","scope":"x"})"), AccessPart::claim);
  EXPECT_EQ(ask(R"({"role":"admin","age":1})"), AccessPart::scope);
  EXPECT_EQ(ask(R"({"scope":"x","age":1})"), AccessPart::claim);
  EXPECT_EQ(ask("{}"), AccessPart::claim);
}

TEST(AccessRule, AsksARenewedIdentityWhatIsAboutIdentity) {
  AccessRule one;
  one.cidr = {*net::Cidr::parse("10.0.0.0/8")};
  one.origins = {*OriginPattern::parse("https://a.test")};
  one.subprotocols = {"v2"};
  one.claim = rule("role", Is::equals, {text("admin")});
  const std::vector<PathBinding> bindings{{1, "room"}};
  const auto ask = [&](std::string_view claims) {
    const Identity identity = who(claims);
    return denied(bindings, {one}, {.path = "/rooms/a", .identity = identity, .auth = "users"});
  };
  EXPECT_FALSE(ask(R"({"role":"admin","room":"a"})"));
  EXPECT_EQ(ask(R"({"role":"admin","room":"b"})"), AccessPart::path);
  EXPECT_EQ(ask(R"({"room":"a"})"), AccessPart::claim);
}

}  // namespace
}  // namespace sluice::policy
