#include "policy/authenticator.h"

#include <gtest/gtest.h>

#include "support/keys.h"

namespace sluice::policy {
namespace {

using Kind = Carrier::Kind;

WallTime now() { return WallTime(std::chrono::seconds(1'800'000'000)); }

net::CryptoContext& context() {
  static net::CryptoContext one;
  return one;
}

std::string token_of(std::string_view subject) {
  std::string why;
  return mint(context(), net::JwsAlgorithm::hs256, test::kSecret, "",
              R"({"exp":1800000100,"sub":")" + std::string(subject) + "\"}", why)
      .value();
}

const Carrier kHeader{};
const Carrier kOther{Kind::header, "X-Token"};
const Carrier kCookie{Kind::cookie, "session"};
const Carrier kQuery{Kind::query, "access_token"};
const Carrier kProtocol{Kind::subprotocol, "bearer"};

// A request with its texts kept alive.
struct Asking {
  std::vector<std::pair<std::string, std::string>> fields{};
  std::string query{};
  std::vector<std::string> offer{};

  // The subject, or the name of the error; a '+' behind it when marker_only is set.
  std::string check(std::vector<Carrier> from) const {
    AuthSettings settings;
    settings.jwt.algorithms = {net::JwsAlgorithm::hs256};
    settings.jwt.secret = test::kSecret;
    settings.from = std::move(from);
    std::string why;
    const auto jwt = Jwt::make(context(), settings.jwt, why);
    const Authenticator authenticator({{&settings, jwt.get()}});
    http::Head head;
    const auto answer = authenticator.check(request(head), views(), now());
    if (!answer) return std::string(row(answer.error().code).name);
    EXPECT_NE(answer->carrier, nullptr);
    return answer->identity.subject + (answer->marker_only ? "+" : "");
  }
  Scrubbed scrubbed(std::vector<Carrier> from) const {
    http::Head head;
    return scrub(from, request(head), views());
  }
  http::Request request(http::Head& head) const {
    for (const auto& [name, value] : fields) head.fields.push_back({name, value});
    http::Request request;
    request.head = &head;
    request.target.query = query;
    request.target.has_query = !query.empty();
    return request;
  }
  std::vector<std::string_view> views() const { return {offer.begin(), offer.end()}; }
};

const Carrier kKubernetes{Kind::kubernetes, ""};

std::string kubernetes(std::string_view text) { return std::string(kKubernetesToken) + net::base64url(as_bytes(text)); }

TEST(Authenticator, FindsKubernetesForm) {
  const std::string name = kubernetes(token_of("alice"));
  EXPECT_EQ((Asking{.offer = {name, "chat"}}.check({kKubernetes})), "alice");
  EXPECT_EQ((Asking{.offer = {"chat", name}}.check({kHeader, kKubernetes})), "alice");
  EXPECT_EQ((Asking{.offer = {"chat"}}.check({kKubernetes})), "no_token");
  EXPECT_EQ((Asking{.offer = {name, "chat"}}.check({kProtocol})), "no_token") << "where nobody asked for it it is a name";
  EXPECT_EQ((Asking{.offer = {name}}.check({kKubernetes})), "bad_token") << "nothing could be answered";
  EXPECT_EQ((Asking{.offer = {name, "bearer", "x"}}.check({kKubernetes, kProtocol})), "bad_token");
  EXPECT_EQ((Asking{.offer = {name, kubernetes("other"), "chat"}}.check({kKubernetes})), "dup_token");
  const std::string front(kKubernetesToken);
  for (const std::string& wrong : {front, front + "=", front + "YQ==", front + "Y", front + "Y!", front + "YR", kubernetes("a.b.c")}) {
    EXPECT_EQ((Asking{.offer = {wrong, "chat"}}.check({kKubernetes})), "bad_token") << wrong;
  }
}

TEST(Scrub, TakesKubernetesTokensOutWhereTheyAreACarrier) {
  const std::string name = kubernetes("a.b.c");
  const Asking asking{.offer = {"chat", name, "v4.channel.k8s.io"}};
  EXPECT_EQ(asking.scrubbed({kKubernetes}).subprotocols, (std::vector<std::string_view>{"chat", "v4.channel.k8s.io"}));
  EXPECT_EQ(asking.scrubbed({kHeader}).subprotocols.size(), 3u);
}

TEST(Authenticator, KnowsWhoTakesAFirstMessage) {
  AuthSettings first;
  AuthSettings second;
  for (AuthSettings* settings : {&first, &second}) {
    settings->jwt.algorithms = {net::JwsAlgorithm::hs256};
    settings->jwt.secret = test::kSecret;
  }
  first.from = {kHeader};
  second.from = {{Kind::first_message, ""}};
  std::string why;
  const auto jwt = Jwt::make(context(), second.jwt, why);
  const Authenticator both({{&first, jwt.get()}, {&second, jwt.get()}});
  EXPECT_EQ(both.first_message(), &second);
  const auto credential = both.find_in_message(Secret(token_of("alice")));
  ASSERT_TRUE(credential);
  const auto answer = both.verify(*credential, now());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->auth, &second);
  EXPECT_EQ(both.verify(both.fresh(first, Secret(token_of("bob"))), now())->auth, &first);
  EXPECT_EQ(Authenticator({{&first, jwt.get()}}).first_message(), nullptr);
}

TEST(Authenticator, FindsTheCredentialInEachCarrier) {
  const std::string t = token_of("alice");
  const Asking header{.fields = {{"authorization", "Bearer " + t}}};
  EXPECT_EQ(header.check({kHeader}), "alice");
  const Asking shouting{.fields = {{"AUTHORIZATION", "bEARER   " + t}}};
  EXPECT_EQ(shouting.check({kHeader}), "alice");
  const Asking other{.fields = {{"x-token", t}}};
  EXPECT_EQ(other.check({kOther}), "alice");
  const Asking cookie{.fields = {{"Origin", "https://a.test"}, {"Cookie", "a=b; session=" + t + "; c=d"}}};
  EXPECT_EQ(cookie.check({kCookie}), "alice");
  const Asking quoted{.fields = {{"Origin", "https://a.test"}, {"Cookie", "session=\"" + t + "\""}}};
  EXPECT_EQ(quoted.check({kCookie}), "alice");
  const Asking crumbs{
      .fields = {{"Origin", "https://a.test"}, {"Cookie", "a=b"}, {"Cookie", "session=" + t}}};
  EXPECT_EQ(crumbs.check({kCookie}), "alice");
  const Asking query{.query = "a=b&access_token=" + t};
  EXPECT_EQ(query.check({kQuery}), "alice");
  const Asking protocol{.offer = {"bearer", t, "chat"}};
  EXPECT_EQ(protocol.check({kProtocol}), "alice");
}

TEST(Authenticator, SaysWhenOnlyTheMarkerCanBeAnswered) {
  const std::string t = token_of("alice");
  EXPECT_EQ((Asking{.offer = {"bearer", t}}.check({kProtocol})), "alice+");
  EXPECT_EQ((Asking{.offer = {"chat", "bearer", t}}.check({kProtocol})), "alice");
  EXPECT_EQ((Asking{.fields = {{"Authorization", "Bearer " + t}}, .offer = {"bearer", "x"}}.check(
                {kHeader, kProtocol})),
            "alice+");
  EXPECT_EQ(
      (Asking{.fields = {{"Authorization", "Bearer " + t}}, .offer = {"chat"}}.check({kHeader, kProtocol})),
      "alice");
  EXPECT_EQ((Asking{.fields = {{"Authorization", "Bearer " + t}}, .offer = {"bearer", "x"}}.check({kHeader})),
            "alice");
}

TEST(Authenticator, LetsTheFirstCarrierThatHoldsOneDecide) {
  const std::string a = token_of("alice");
  const std::string b = token_of("bob");
  const Asking both{.fields = {{"Authorization", "Bearer " + a}}, .query = "access_token=" + b};
  EXPECT_EQ(both.check({kHeader, kQuery}), "alice");
  EXPECT_EQ(both.check({kQuery, kHeader}), "bob");
  const Asking bad_first{.fields = {{"Authorization", "Bearer x"}}, .query = "access_token=" + b};
  EXPECT_EQ(bad_first.check({kHeader, kQuery}), "bad_token");
  const Asking only_second{.query = "access_token=" + b};
  EXPECT_EQ(only_second.check({kHeader, kQuery}), "bob");
  EXPECT_EQ(both.check({kOther}), "no_token");
}

TEST(Authenticator, TakesAuthorizationByBearerOnly) {
  const std::string t = token_of("alice");
  for (const std::string& value :
       {std::string("Basic YTpi"), "Token " + t, t, std::string(""), "Bearer" + t, "Bearer\t" + t}) {
    EXPECT_EQ((Asking{.fields = {{"Authorization", value}}}.check({kHeader})), "no_token") << value;
  }
  EXPECT_EQ((Asking{.fields = {{"Authorization", "Basic YTpi"}}, .query = "access_token=" + t}.check(
                {kHeader, kQuery})),
            "alice");
  for (const std::string& value :
       {std::string("Bearer"), std::string("Bearer "), "Bearer " + t + ", Bearer " + t, "Bearer " + t + " x",
        "Bearer \"" + t + "\"", "Bearer " + std::string(8193, 'a')}) {
    EXPECT_EQ((Asking{.fields = {{"Authorization", value}}}.check({kHeader})), "bad_token")
        << value.substr(0, 60);
  }
}

TEST(Authenticator, RefusesACarrierThatStandsTwice) {
  const std::string t = token_of("alice");
  EXPECT_EQ((Asking{.fields = {{"Authorization", "Bearer " + t}, {"authorization", "Bearer " + t}}}.check(
                {kHeader})),
            "dup_token");
  EXPECT_EQ((Asking{.fields = {{"X-Token", t}, {"X-Token", ""}}}.check({kOther})), "dup_token");
  EXPECT_EQ(
      (Asking{.fields = {{"Origin", "o"}, {"Cookie", "session=" + t + "; session=x"}}}.check({kCookie})),
      "dup_token");
  EXPECT_EQ(
      (Asking{.fields = {{"Origin", "o"}, {"Cookie", "session=" + t}, {"Cookie", "session=" + t}}}.check(
          {kCookie})),
      "dup_token");
  EXPECT_EQ((Asking{.query = "access_token=" + t + "&access%5ftoken=x"}.check({kQuery})), "dup_token");
  EXPECT_EQ((Asking{.offer = {"bearer", t, "bearer", t}}.check({kProtocol})), "dup_token");
}

TEST(Authenticator, SkipsCookiesWithoutAnOrigin) {
  const std::string t = token_of("alice");
  const Asking cookie{.fields = {{"Cookie", "session=" + t}}, .query = "access_token=" + token_of("bob")};
  EXPECT_EQ(cookie.check({kCookie}), "no_token");
  EXPECT_EQ(cookie.check({kCookie, kQuery}), "bob");
}

TEST(Authenticator, TakesEmptyValuesForNone) {
  EXPECT_EQ((Asking{.query = "access_token="}.check({kQuery})), "no_token");
  EXPECT_EQ((Asking{.query = "access_token"}.check({kQuery})), "no_token");
  EXPECT_EQ((Asking{.fields = {{"Origin", "o"}, {"Cookie", "session="}}}.check({kCookie})), "no_token");
  EXPECT_EQ((Asking{.fields = {{"X-Token", ""}}}.check({kOther})), "no_token");
  EXPECT_EQ((Asking{.offer = {"chat"}}.check({kProtocol})), "no_token");
  EXPECT_EQ((Asking{.offer = {"chat", "bearer"}}.check({kProtocol})), "bad_token");
  EXPECT_EQ((Asking{.offer = {"Bearer", "x"}}.check({kProtocol})), "no_token");
  EXPECT_EQ(Asking{}.check({kHeader, kOther, kCookie, kQuery, kProtocol}), "no_token");
}

// The [auth] tables of one route with what they need.
struct TwoMethods {
  TwoMethods() {
    tokens.name = "users";
    tokens.jwt.algorithms = {net::JwsAlgorithm::hs256};
    tokens.jwt.secret = test::kSecret;
    tokens.from = {kHeader};
    std::string why;
    jwt = Jwt::make(context(), tokens.jwt, why);
    ApiKey key;
    key.name = "billing";
    key.digest = net::sha256(as_bytes(text));
    key.prefix = *ApiKeys::prefix_of(text);
    key.claims = *Json::parse(R"({"sub":"billing"})");
    machines.type = AuthSettings::Type::api_key;
    machines.name = "machines";
    machines.keys = std::make_shared<const ApiKeys>(std::vector<ApiKey>{key});
    machines.from = {{Kind::header, "X-API-Key"}};
  }
  Result<Authenticated> check(const std::string& name, const std::string& value, WallTime when = now()) const {
    const Authenticator authenticator({{&tokens, jwt.get(), &cache}, {&machines}});
    http::Head head;
    return authenticator.check(Asking{.fields = {{name, value}}}.request(head), {}, when);
  }
  const std::string text = "sk_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  AuthSettings tokens;
  AuthSettings machines;
  std::unique_ptr<Jwt> jwt;
  mutable TokenCache cache;
};

TEST(Authenticator, TakesKeysBesideTokens) {
  const TwoMethods methods;
  const auto machine = methods.check("X-API-Key", methods.text);
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->identity.method, "api_key");
  EXPECT_EQ(machine->identity.subject, "billing");
  EXPECT_EQ(machine->auth, &methods.machines);
  EXPECT_EQ(machine->auth->leeway_seconds(), 0);
  const auto user = methods.check("Authorization", "Bearer " + token_of("alice"));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->auth, &methods.tokens);
  EXPECT_EQ(methods.check("X-API-Key", token_of("alice")).error().code, Errc::bad_token);
  EXPECT_EQ(methods.check("Authorization", "Bearer " + methods.text).error().code, Errc::bad_token);
}

TEST(Authenticator, RemembersTokensThatWereGood) {
  const TwoMethods methods;
  const std::string token = "Bearer " + token_of("alice");
  const auto first = methods.check("Authorization", token);
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->remembered);
  const auto second = methods.check("Authorization", token);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->remembered);
  EXPECT_EQ(second->identity.subject, "alice");
  EXPECT_EQ(second->identity.expiry, first->identity.expiry);
  EXPECT_EQ(second->auth, &methods.tokens);
  EXPECT_EQ(second->identity.claims.find("sub")->text(), "alice");
  EXPECT_FALSE(methods.check("Authorization", "Bearer " + token_of("bob"))->remembered);
}

TEST(Authenticator, RefusesARememberedTokenAtExpiryAndLeeway) {
  const TwoMethods methods;
  const std::string token = "Bearer " + token_of("alice");
  const WallTime end = WallTime(std::chrono::seconds(1'800'000'130));  // exp and 30 s
  ASSERT_TRUE(methods.check("Authorization", token));
  const auto last = methods.check("Authorization", token, end - std::chrono::milliseconds(1));
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->remembered);
  EXPECT_EQ(methods.check("Authorization", token, end).error().code, Errc::token_expired);
}

TEST(Authenticator, ForgetsWhatKeysSaidThatAreTakenAway) {
  const auto set_of = [](const test::KeyPair& pair) {
    return R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":")" + net::base64url(pair.raw_public()) + "\"}]}";
  };
  TwoMethods methods;
  const auto source = std::make_shared<KeySource>(KeySourceSettings{.url = "https://id.example.com/keys"});
  methods.tokens.jwt = {};
  methods.tokens.jwt.algorithms = {net::JwsAlgorithm::eddsa};
  methods.tokens.jwt.source = source->settings();
  std::string why;
  methods.jwt = Jwt::make(context(), methods.tokens.jwt, why, source);
  ASSERT_TRUE(methods.jwt) << why;
  const auto minted = mint(context(), net::JwsAlgorithm::eddsa, test::ed25519_key().private_pem(), "", R"({"exp":1800000100})", why);
  ASSERT_TRUE(minted) << why;
  const std::string token = "Bearer " + *minted;

  source->publish(set_of(test::ed25519_key()));
  EXPECT_FALSE(methods.check("Authorization", token)->remembered);
  EXPECT_TRUE(methods.check("Authorization", token)->remembered);
  source->publish(set_of(test::KeyPair::ed25519()));
  EXPECT_EQ(methods.check("Authorization", token).error().code, Errc::bad_token);
  source->publish(set_of(test::ed25519_key()));
  EXPECT_FALSE(methods.check("Authorization", token)->remembered);
  source->withdraw();
  EXPECT_EQ(methods.check("Authorization", token).error().code, Errc::keys_unavailable);
}

TEST(Authenticator, RemembersNothingOfABadToken) {
  const TwoMethods methods;
  std::string token = token_of("alice");
  token.back() = token.back() == 'A' ? 'Q' : 'A';
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(methods.check("Authorization", "Bearer " + token));
  EXPECT_EQ(methods.cache.size(), 0u);
  EXPECT_FALSE(methods.check("Authorization", "Bearer " + std::string(9000, 'x')));
  methods.check("X-API-Key", methods.text);
  EXPECT_EQ(methods.cache.size(), 0u) << "a key costs its digest anyway";
}

TEST(Scrub, AppliesEveryListedCarrier) {
  const Asking asking{
      .fields = {{"Authorization", "Bearer x"}, {"Cookie", "a=b; session=t; c=d"}, {"Cookie", "session=u"}},
      .query = "a=b&access_token=t&c=d&access%5Ftoken=u",
      .offer = {"chat", "bearer", "t", "mqtt"}};
  const Scrubbed scrubbed = asking.scrubbed({kHeader, kOther, kCookie, kQuery, kProtocol});
  EXPECT_EQ(scrubbed.dropped_fields, (std::vector<std::string>{"Authorization", "X-Token"}));
  EXPECT_EQ(scrubbed.cookie, "a=b; c=d");
  EXPECT_TRUE(scrubbed.cookie_changed);
  EXPECT_EQ(scrubbed.query, "a=b&c=d");
  EXPECT_TRUE(scrubbed.query_changed);
  EXPECT_EQ(scrubbed.subprotocols, (std::vector<std::string_view>{"chat", "mqtt"}));
}

TEST(Scrub, LeavesTheRestAlone) {
  const Asking asking{
      .fields = {{"Cookie", "a=b; Session=t"}}, .query = "a=b&Access_Token=t", .offer = {"chat", "Bearer"}};
  const Scrubbed scrubbed = asking.scrubbed({kCookie, kQuery, kProtocol});
  EXPECT_TRUE(scrubbed.dropped_fields.empty());
  EXPECT_FALSE(scrubbed.cookie_changed);
  EXPECT_EQ(scrubbed.cookie, "a=b; Session=t");
  EXPECT_FALSE(scrubbed.query_changed);
  EXPECT_EQ(scrubbed.query, "a=b&Access_Token=t");
  EXPECT_EQ(scrubbed.subprotocols, (std::vector<std::string_view>{"chat", "Bearer"}));
}

TEST(Scrub, LeavesNothingOfACookieOrQueryThatWasOnlyTheToken) {
  const Asking asking{
      .fields = {{"Cookie", "session=t"}}, .query = "access_token=t", .offer = {"bearer", "t"}};
  const Scrubbed scrubbed = asking.scrubbed({kCookie, kQuery, kProtocol});
  EXPECT_TRUE(scrubbed.cookie_changed);
  EXPECT_EQ(scrubbed.cookie, "");
  EXPECT_TRUE(scrubbed.query_changed);
  EXPECT_EQ(scrubbed.query, "");
  EXPECT_TRUE(scrubbed.subprotocols.empty());
}

TEST(Scrub, TakesAMarkerWithoutATokenAway) {
  EXPECT_EQ((Asking{.offer = {"chat", "bearer"}}.scrubbed({kProtocol}).subprotocols),
            (std::vector<std::string_view>{"chat"}));
}

// ---- several [auth] on one route ------------------------------------------------------------------------------------------------

struct Issuer {
  Issuer(std::string name, std::string issuer, std::string_view secret, std::vector<Carrier> from) {
    settings.name = std::move(name);
    settings.from = std::move(from);
    settings.jwt.algorithms = {net::JwsAlgorithm::hs256};
    settings.jwt.secret = secret;
    settings.jwt.issuer = std::move(issuer);
    std::string why;
    jwt = Jwt::make(context(), settings.jwt, why);
    EXPECT_NE(jwt, nullptr) << why;
  }
  AuthSettings settings;
  std::unique_ptr<Jwt> jwt;
};

std::string signed_by(std::string_view secret, const std::string& claims) {
  std::string why;
  return *mint(context(), net::JwsAlgorithm::hs256, secret, "", "{\"exp\":2000000000" + claims + "}", why);
}

TEST(Authenticator, AsksTheAuthOfTheTokensIssuer) {
  constexpr std::string_view kOne = "11111111111111111111111111111111";
  constexpr std::string_view kTwo = "22222222222222222222222222222222";
  const Issuer one("one", "https://one/", kOne, {kHeader, kCookie});
  const Issuer two("two", "https://two/", kTwo, {kHeader});
  const Authenticator authenticator({{&one.settings, one.jwt.get()}, {&two.settings, two.jwt.get()}});
  const auto verdict = [&](const std::string& token, const char* field = "Authorization", const char* before = "Bearer ") {
    const Asking asking{.fields = {{"Origin", "https://here"}, {field, before + token}}};
    http::Head head;
    const auto answer = authenticator.check(asking.request(head), {}, now());
    return answer ? answer->auth->name + ":" + answer->identity.subject : std::string(row(answer.error().code).name);
  };
  const std::string by_one = signed_by(kOne, R"(,"iss":"https://one/","sub":"a")");
  const std::string by_two = signed_by(kTwo, R"(,"iss":"https://two/","sub":"a")");
  EXPECT_EQ(verdict(by_one), "one:a");
  EXPECT_EQ(verdict(by_two), "two:a");
  EXPECT_EQ(verdict(signed_by(kTwo, R"(,"iss":"https://one/","sub":"a")")), "bad_token") << "iss chooses, the key decides";
  EXPECT_EQ(verdict(signed_by(kOne, R"(,"iss":"https://three/","sub":"a")")), "bad_token");
  EXPECT_EQ(verdict(signed_by(kOne, R"(,"sub":"a")")), "bad_token") << "no iss, and nobody to ask";
  EXPECT_EQ(verdict("a.b"), "bad_token");
  EXPECT_EQ(verdict(std::string(1'000'000, '.')), "bad_token");
  // A carrier of one of them alone is its own, whatever the token says.
  EXPECT_EQ(verdict(by_one, "Cookie", "session="), "one:a");
  EXPECT_EQ(verdict(by_two, "Cookie", "session="), "bad_token");
}

TEST(Authenticator, TriesTheCarriersOfAllInOrder) {
  const Issuer first("first", "", test::kSecret, {kCookie});
  const Issuer second("second", "", test::kSecret, {kProtocol, kHeader});
  const Authenticator authenticator({{&first.settings, first.jwt.get()}, {&second.settings, second.jwt.get()}});
  const std::string good = signed_by(test::kSecret, R"(,"sub":"a")");
  const auto verdict = [&](const Asking& asking) {
    http::Head head;
    const auto answer = authenticator.check(asking.request(head), asking.views(), now());
    if (!answer) return std::string(row(answer.error().code).name);
    return answer->auth->name + (answer->marker_only ? "+" : "");
  };
  EXPECT_EQ(verdict({.fields = {{"Origin", "x"}, {"Cookie", "session=" + good}, {"Authorization", "Bearer x"}}}), "first");
  EXPECT_EQ(verdict({.fields = {{"Origin", "x"}, {"Cookie", "session=x"}, {"Authorization", "Bearer " + good}}}), "bad_token");
  EXPECT_EQ(verdict({.fields = {{"Authorization", "Bearer " + good}}}), "second");
  EXPECT_EQ(verdict({.offer = {"bearer", good}}), "second+");
  EXPECT_EQ(verdict({}), "no_token");
}

TEST(RedactQuery, HidesTheValuesOfCarriersAndSecrets) {
  const std::vector<Carrier> carriers{{Kind::query, "jwt"}, {Kind::header, "room"}};
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},
      {"a=b", "a=b"},
      {"room=1", "room=1"},
      {"jwt=x", "jwt=[redacted]"},
      {"a=b&JWT=x&c=d", "a=b&JWT=[redacted]&c=d"},
      {"access_token=x&token=y&ticket=z", "access_token=[redacted]&token=[redacted]&ticket=[redacted]"},
      {"api_key=1&key=2&secret=3&password=4&code=5&sig=6",
       "api_key=[redacted]&key=[redacted]&secret=[redacted]&password=[redacted]&code=[redacted]&sig=["
       "redacted]"},
      {"access%5ftoken=x", "access%5ftoken=[redacted]"},
      {"%74oken=x", "%74oken=[redacted]"},
      {"a=1;token=x", "a=1;token=[redacted]"},
      {"token=x=y", "token=[redacted]"},
      {"jws=eyJhbGciOiJIUzI1NiJ9.e30.c2ln&a=eyJ.b", "jws=[redacted]&a=eyJ.b"},
      {"jws=eyJh%2Ee30%2ec2ln", "jws=[redacted]"},
      {"version=1.2.3&file=a.b.c", "version=1.2.3&file=a.b.c"},
      {"token=", "token=[redacted]"},
      {"token", "token"},
      {"tokens=x&mytoken=y", "tokens=x&mytoken=y"},
      {"&&token=x&", "&&token=[redacted]&"},
      {"%=%&%7=a", "%=%&%7=a"}};
  for (const auto& [query, expected] : rows) EXPECT_EQ(redact_query(query, carriers), expected) << query;
}

}  // namespace
}  // namespace sluice::policy
