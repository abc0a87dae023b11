#include "http/forwarded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

net::Address ip(std::string_view text, std::uint16_t port = 0) { return net::Address::parse(text, port).value(); }

std::vector<net::Cidr> blocks(std::vector<std::string_view> texts) {
  std::vector<net::Cidr> all;
  for (const std::string_view text : texts) all.push_back(net::Cidr::parse(text).value());
  return all;
}

std::string client_of(std::vector<Field> fields, std::string_view peer = "10.0.0.1") {
  return client_address(with_fields(std::move(fields)), ip(peer), blocks({"10.0.0.0/8", "fd00::/8"})).ip();
}

std::vector<std::string> names(const std::vector<Field>& fields) {
  std::vector<std::string> all;
  for (const Field& field : fields) all.emplace_back(field.name);
  return all;
}

std::vector<std::string> passing(std::vector<Field> fields, FieldRules rules = {}) {
  return names(passing_fields(with_fields(std::move(fields)), rules).value());
}

TEST(SameAlias, FoldsCaseUnderscoreDotAndDash) {
  EXPECT_TRUE(same_alias("X-User-Id", "x_user.ID"));
  EXPECT_FALSE(same_alias("X-User-Id", "XUserId"));
  EXPECT_FALSE(same_alias("X-User-Id", "X-User-Ix"));
  EXPECT_FALSE(same_alias("a b", "a-b"));
}

TEST(ClientAddress, IsThePeerUnlessTheProxyIsTrusted) {
  EXPECT_EQ(client_of({{"X-Forwarded-For", "1.1.1.1"}}, "192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_of({{"Forwarded", "for=1.1.1.1"}}, "192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_of({}), "10.0.0.1");
  const net::Address un = net::Address::parse_bind("unix:/a").value();
  const Head head = with_fields({{"X-Forwarded-For", "1.1.1.1"}});
  EXPECT_EQ(client_address(head, un, blocks({"0.0.0.0/0", "::/0"})), un);
}

TEST(ClientAddress, IsTheRightMostUntrustedHop) {
  EXPECT_EQ(client_of({{"X-Forwarded-For", "1.1.1.1, 9.9.9.9"}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "1.1.1.1, 9.9.9.9, 10.2.3.4,10.0.0.9"}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "1.1.1.1, 9.9.9.9"}, {"x-forwarded-for", "10.0.0.7"}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "10.0.0.5, 10.0.0.6"}}), "10.0.0.5");
  EXPECT_EQ(client_of({{"X-Forwarded-For", " , 9.9.9.9 ,, "}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "2001:db8::7, fd00::1"}}, "fd00::2"), "2001:db8::7");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "9.9.9.9:1234"}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"X-Forwarded-For", "[2001:db8::1]:47011"}}), "2001:db8::1");
}

TEST(ClientAddress, StopsAtGarbage) {
  for (const std::string_view bad :
       {"unknown", "_hidden", "1.2.3", "1.2.3.4:x", "1.2.3.4:70000", "[1.2.3.4]", "[::1", "::1]", "[::1]x", "[::1]:", "a\"b",
        "9.9.9.9 8.8.8.8", "%00", "1.2.3.4:"}) {
    EXPECT_EQ(client_of({{"X-Forwarded-For", std::string("1.1.1.1, ") + std::string(bad)}}), "10.0.0.1") << bad;
    const std::string line = std::string("1.1.1.1, ") + std::string(bad) + ", 10.0.0.9";
    EXPECT_EQ(client_of({{"X-Forwarded-For", line}}), "10.0.0.9") << bad;
    EXPECT_EQ(client_of({{"X-Forwarded-For", "1.1.1.1"}, {"X-Forwarded-For", bad}, {"X-Forwarded-For", "10.0.0.9"}}),
              "10.0.0.9")
        << bad;
  }
}

TEST(ClientAddress, ReadsForwarded) {
  EXPECT_EQ(client_of({{"Forwarded", "for=\"[2001:db8::1]:47011\""}}), "2001:db8::1");
  EXPECT_EQ(client_of({{"Forwarded", "for=1.1.1.1;proto=http, proto=https;For=9.9.9.9;by=_x;host=\"a,b;c\""}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"Forwarded", "for=1.1.1.1"}, {"Forwarded", "for=9.9.9.9, for=10.0.0.4"}}), "9.9.9.9");
  EXPECT_EQ(client_of({{"Forwarded", "for=9.9.9.9:80 ; proto=http , for=10.0.0.4"}}), "9.9.9.9");
  const Head head = with_fields({{"Forwarded", "for=\"[2001:db8::1]:47011\""}});
  EXPECT_EQ(client_address(head, ip("10.0.0.1"), blocks({"10.0.0.0/8"})).text(), "[2001:db8::1]:47011");
}

TEST(ClientAddress, DoesNotTrustBrokenForwarded) {
  for (const std::string_view bad : {"for=\"1.1.1.1", "for=\", for=9.9.9.9", "for=1.1.1.1 for=2.2.2.2", "for", "for=1.1.1.1;for=2.2.2.2",
                                     "for=\"\\1.1.1.1\"", "for=\"1.1.1.1\"x", "proto=http", "for=unknown", "for=_x",
                                     "for=\"a\", for=\"[::1]\"x", "=1.1.1.1"}) {
    EXPECT_EQ(client_of({{"Forwarded", bad}}), "10.0.0.1") << bad;
  }
}

TEST(ClientAddress, PrefersXForwardedFor) {
  EXPECT_EQ(client_of({{"Forwarded", "for=1.1.1.1"}, {"X-Forwarded-For", "9.9.9.9"}}), "9.9.9.9");
}

TEST(ConnectionOptions, ListsEveryToken) {
  const Head head = with_fields({{"Connection", "keep-alive, Upgrade"}, {"X", "y"}, {"connection", ",cookie"}});
  EXPECT_THAT(connection_options(head).value(), ElementsAre("keep-alive", "Upgrade", "cookie"));
  EXPECT_THAT(connection_options(with_fields({})).value(), IsEmpty());
}

TEST(ConnectionOptions, RefusesToLoseWhatTheHandshakeNeeds) {
  for (const std::string_view name : {"host", "HOST", "Authorization", "sec-websocket-key", "Sec-WebSocket-Version",
                                      "SEC-WEBSOCKET-PROTOCOL", "sec-websocket-", "a b", "\"x\"", "x=y", "caf\xe9"}) {
    const std::string value = "upgrade, " + std::string(name);
    const Head head = with_fields({{"Connection", value}});
    EXPECT_EQ(code_of(connection_options(head)), Errc::bad_header) << name;
    EXPECT_EQ(code_of(passing_fields(head, {})), Errc::bad_header) << name;
  }
  std::string many = "a";
  for (int i = 0; i < 100; ++i) many += ",a";
  EXPECT_EQ(code_of(connection_options(with_fields({{"Connection", many}}))), Errc::bad_header);
  EXPECT_TRUE(connection_options(with_fields({{"Connection", many.substr(2)}})));
}

TEST(SingleFields, MayNotComeTwice) {
  for (const std::string_view name : {"Authorization", "Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
                                      "Content-Length", "X-Api-Key"}) {
    EXPECT_TRUE(check_single_fields(with_fields({{name, "a"}, {"X", "1"}, {"X", "2"}})));
    std::string other(name);
    other[0] = static_cast<char>(other[0] ^ 0x20);
    const auto twice = check_single_fields(with_fields({{name, "good"}, {"X", "1"}, {other, "bad"}}));
    EXPECT_EQ(code_of(twice), Errc::dup_header) << name;
  }
  EXPECT_TRUE(check_single_fields(with_fields({{"Upgrade", "a"}, {"Upgrade", "b"}, {"Cookie", "a"}, {"Cookie", "b"}})));
}

TEST(PassingFields, KeepsOrderAndEverythingOfNoConcern) {
  EXPECT_THAT(passing({{"User-Agent", "x"}, {"Cookie", "a=b"}, {"Origin", "https://a"}, {"Authorization", "Bearer x"},
                       {"Accept", "1"}, {"accept", "2"}}),
              ElementsAre("User-Agent", "Cookie", "Origin", "Authorization", "Accept", "accept"));
}

TEST(PassingFields, DropsWhatIsOfOneHop) {
  EXPECT_THAT(passing({{"Connection", "upgrade"}, {"Keep-Alive", "1"}, {"Proxy-Connection", "x"}, {"TE", "trailers"},
                       {"Trailer", "x"}, {"Transfer-Encoding", "chunked"}, {"Upgrade", "websocket"},
                       {"Proxy-Authorization", "x"}, {"Proxy-Authenticate", "x"}, {"HTTP2-Settings", "x"}, {"Host", "a"},
                       {"Content-Length", "0"}, {"Sec-WebSocket-Key", "x"}, {"sec-websocket-foo", "x"}, {"OK", "1"}}),
              ElementsAre("OK"));
}

TEST(PassingFields, DropsWhatConnectionNominates) {
  EXPECT_THAT(passing({{"Connection", "Upgrade, X-Secret"}, {"x-secret", "1"}, {"cookie", "a"}, {"Connection", "COOKIE"},
                       {"X-Other", "1"}}),
              ElementsAre("X-Other"));
}

TEST(PassingFields, DropsEveryAliasOfWhatIsOurs) {
  const std::vector<std::string> owned = {"X-User-Id", "X_Tenant"};
  EXPECT_THAT(passing({{"X-User-Id", "root"}, {"x_user_id", "root"}, {"X.User.Id", "root"}, {"x-user-ID", "root"},
                       {"x-tenant", "t"}, {"X-Client-Cert-Subject", "CN=a"}, {"x_client_cert_san", "b"},
                       {"X-Client-Cert", "c"}, {"X-Forwarded-For", "1"}, {"x_forwarded_for", "2"}, {"X.Forwarded.For", "3"},
                       {"X-FORWARDED-ANYTHING", "1"}, {"Forwarded", "for=1"}, {"X-Real-IP", "1"}, {"X-Request-Id", "1"},
                       {"Via", "1.0 x"}, {"X-Sluice-Debug", "1"}, {"X-User-Ids", "1"}, {"X-UserId", "1"}},
                      {.owned = owned, .dropped = {}}),
              ElementsAre("X-User-Ids", "X-UserId"));
}

TEST(PassingFields, DropsNamesThatSomeBackendsFold) {
  EXPECT_THAT(passing({{"a_b", "1"}, {"a.b", "1"}, {"a!b", "1"}, {"a'b", "1"}, {"a-b9", "1"}}), ElementsAre("a-b9"));
}

TEST(PassingFields, DropsByRule) {
  const std::vector<std::string> dropped = {"authorization"};
  EXPECT_THAT(passing({{"Authorization", "Bearer x"}, {"Authorization2", "y"}}, {.owned = {}, .dropped = dropped}),
              ElementsAre("Authorization2"));
}

// traceparent is written anew, so it never passes as it is.
TEST(PassingFields, PassesTheStateOfAValidTraceOfATrustedProxyOnly) {
  const FieldRules rules{.owned = {}, .dropped = {}, .trusted = true};
  EXPECT_THAT(passing({{"traceparent", kTrace}, {"tracestate", "a=1"}, {"tracestate", "b=2"}}, rules),
              ElementsAre("tracestate", "tracestate"));
  EXPECT_THAT(passing({{"traceparent", kTrace}, {"tracestate", "a=1"}}), IsEmpty());
  EXPECT_THAT(passing({{"traceparent", "00-bad"}, {"tracestate", "a=1"}}, rules), IsEmpty());
  EXPECT_THAT(passing({{"traceparent", kTrace}, {"tracestate", "???"}}, rules), IsEmpty());
  EXPECT_THAT(passing({{"tracestate", "a=1"}}, rules), IsEmpty());
  EXPECT_THAT(passing({{"traceparent", kTrace}, {"traceparent", kTrace}}, rules), IsEmpty());
}

class ForwardedFields : public testing::Test {
 protected:
  Request request_;
  Head head_;

  void SetUp() override {
    request_.head = &head_;
    request_.host = {"gw.test", 8443};
    request_.peer = ip("10.0.0.1", 5555);
    request_.client = ip("9.9.9.9");
    request_.listener_port = 443;
    request_.id = "id-1";
    request_.traceparent = kTrace;
    request_.tls.active = true;
  }

  std::map<std::string, std::string> written(bool trusted, ForwardedStyle style = ForwardedStyle::x_forwarded) {
    std::map<std::string, std::string> fields;
    for (auto& [name, value] : forwarded_fields(request_, trusted, style)) {
      EXPECT_TRUE(fields.emplace(name, value).second) << name;
    }
    return fields;
  }
};

TEST_F(ForwardedFields, ReplaceWhatAnUntrustedClientSent) {
  head_ = with_fields({{"X-Forwarded-For", "1.2.3.4"}, {"X-Forwarded-Proto", "ftp"}, {"X-Forwarded-Port", "1"},
                       {"X-Forwarded-Host", "evil"}, {"X-Real-IP", "1.2.3.4"}});
  request_.client = request_.peer;
  auto fields = written(false);
  EXPECT_EQ(fields["X-Forwarded-For"], "10.0.0.1");
  EXPECT_EQ(fields["X-Forwarded-Proto"], "https");
  EXPECT_EQ(fields["X-Forwarded-Host"], "gw.test:8443");
  EXPECT_EQ(fields["X-Forwarded-Port"], "443");
  EXPECT_EQ(fields["X-Real-IP"], "10.0.0.1");
  EXPECT_EQ(fields["X-Request-Id"], "id-1");
  EXPECT_EQ(fields["Via"], "1.1 sluice");
  EXPECT_EQ(fields["traceparent"], kTrace);
  EXPECT_EQ(fields.size(), 8u);
}

TEST_F(ForwardedFields, ContinueTheChainOfATrustedProxy) {
  head_ = with_fields({{"X-Forwarded-For", "junk, 1.1.1.1"}, {"X-Forwarded-For", "9.9.9.9, 10.0.0.7"},
                       {"X-Forwarded-Proto", "HTTP"}, {"X-Forwarded-Port", "8080"}, {"X-Forwarded-Host", "evil"}});
  auto fields = written(true);
  EXPECT_EQ(fields["X-Forwarded-For"], "1.1.1.1, 9.9.9.9, 10.0.0.7, 10.0.0.1");
  EXPECT_EQ(fields["X-Forwarded-Proto"], "http");
  EXPECT_EQ(fields["X-Forwarded-Port"], "8080");
  EXPECT_EQ(fields["X-Forwarded-Host"], "gw.test:8443");
  EXPECT_EQ(fields["X-Real-IP"], "9.9.9.9");
}

TEST_F(ForwardedFields, CanBeThoseOfRfc7239) {
  head_ = with_fields({{"Forwarded", "for=1.1.1.1, for=\"[2001:db8::7]:80\";proto=http;host=evil"}});
  auto fields = written(false, ForwardedStyle::forwarded);
  EXPECT_EQ(fields["Forwarded"], "for=10.0.0.1;proto=https;host=\"gw.test:8443\"");
  EXPECT_EQ(fields.count("X-Forwarded-For") + fields.count("X-Forwarded-Proto") + fields.count("X-Forwarded-Host") +
                fields.count("X-Forwarded-Port"),
            0u);
  EXPECT_EQ(fields["X-Real-IP"], "9.9.9.9");
  fields = written(true, ForwardedStyle::forwarded);
  EXPECT_EQ(fields["Forwarded"],
            "for=1.1.1.1, for=\"[2001:db8::7]\", for=10.0.0.1;proto=https;host=\"gw.test:8443\"");
}

TEST_F(ForwardedFields, CanBeBothAndSayTheSame) {
  request_.host = {"[::1]", 0};
  auto fields = written(false, ForwardedStyle::both);
  EXPECT_EQ(fields["Forwarded"], "for=10.0.0.1;proto=https;host=\"[::1]\"");
  EXPECT_EQ(fields["X-Forwarded-For"], "10.0.0.1");
  EXPECT_EQ(fields["X-Forwarded-Host"], "[::1]");
}

TEST_F(ForwardedFields, IgnoreDoubtfulValuesOfATrustedProxy) {
  for (const std::string_view port : {"0", "65536", "-1", "80x", ""}) {
    head_ = with_fields({{"X-Forwarded-Proto", "https, http"}, {"X-Forwarded-Port", port}});
    request_.tls.active = false;
    auto fields = written(true);
    EXPECT_EQ(fields["X-Forwarded-Proto"], "http");
    EXPECT_EQ(fields["X-Forwarded-Port"], "443") << port;
  }
  head_ = with_fields({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "https"}});
  EXPECT_EQ(written(true)["X-Forwarded-Proto"], "http");
}

TEST_F(ForwardedFields, UnixPeersHaveNoAddress) {
  head_ = with_fields({{"X-Forwarded-For", "9.9.9.9"}});
  request_.peer = request_.client = net::Address::parse_bind("unix:/a").value();
  auto fields = written(false);
  EXPECT_EQ(fields.count("X-Forwarded-For"), 0u);
  EXPECT_EQ(fields.count("X-Real-IP"), 0u);
  EXPECT_EQ(written(true)["X-Forwarded-For"], "9.9.9.9");
  EXPECT_EQ(written(false, ForwardedStyle::forwarded)["Forwarded"], "for=unknown;proto=https;host=\"gw.test:8443\"");
}

TEST_F(ForwardedFields, NameTheClientsCertificateWhenItWasVerified) {
  request_.tls.active = true;
  request_.tls.client_subject = "CN=meter";
  request_.tls.client_san = "spiffe://a/b";
  EXPECT_EQ(written(true).count("X-Client-Cert-Subject"), 0u);
  EXPECT_EQ(written(true).count("X-Client-Cert-San"), 0u);
  request_.tls.client_cert = true;
  EXPECT_EQ(written(false)["X-Client-Cert-Subject"], "CN=meter");
  EXPECT_EQ(written(false)["X-Client-Cert-San"], "spiffe://a/b");
  request_.tls.client_san.clear();
  EXPECT_EQ(written(false).count("X-Client-Cert-San"), 0u);
}

TEST_F(ForwardedFields, SurviveANominationByTheClient) {
  head_ = with_fields({{"Connection", "Upgrade, X-User-Id, X-Forwarded-For, x-real-ip, cookie"}, {"Cookie", "a"}});
  EXPECT_THAT(names(passing_fields(head_, {}).value()), IsEmpty());
  EXPECT_EQ(written(false).count("X-Forwarded-For"), 1u);
  EXPECT_EQ(written(false).count("X-Real-IP"), 1u);
}

TEST(RequestId, IsTakenOverFromTrustedProxiesOnly) {
  const Head head = with_fields({{"X-Request-Id", "abc-123"}});
  EXPECT_EQ(request_id(head, true), "abc-123");
  const std::string fresh = request_id(head, false);
  EXPECT_EQ(fresh.size(), 32u);
  EXPECT_EQ(fresh.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(fresh, request_id(head, false));
}

TEST(RequestId, RefusesDoubtfulOnes) {
  const std::string longest(128, 'a');
  EXPECT_EQ(request_id(with_fields({{"X-Request-Id", longest}}), true), longest);
  const std::string longer(129, 'a');
  for (const std::string_view bad : {std::string_view(longer), std::string_view(""), std::string_view("a b"),
                                     std::string_view("a\"b"), std::string_view("\xc3\xa9")}) {
    EXPECT_EQ(request_id(with_fields({{"X-Request-Id", bad}}), true).size(), 32u);
  }
  EXPECT_EQ(request_id(with_fields({{"X-Request-Id", "a"}, {"X-Request-Id", "b"}}), true).size(), 32u);
}

TEST(PassingResponseFields, DropsWhatIsOfOneHop) {
  const Head head = with_fields({{"Connection", "upgrade, X-Hop"}, {"Upgrade", "websocket"}, {"X-Hop", "1"}, {"Set-Cookie", "a"},
                                 {"Set-Cookie", "b"}, {"Sec-WebSocket-Accept", "x"}, {"Content-Length", "0"},
                                 {"Transfer-Encoding", "chunked"}, {"x_under", "1"}});
  EXPECT_THAT(names(passing_response_fields(head).value()), ElementsAre("Set-Cookie", "Set-Cookie", "x_under"));
  const auto bad = passing_response_fields(with_fields({{"Connection", "a b"}}));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::be_bad_head);
  EXPECT_EQ(bad.error().side, Side::upstream);
}

TEST(ReservedFields, AreThoseOfThisHopAndTheGatewaysOwn) {
  for (const char* name : {"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "Upgrade",
                           "Transfer-Encoding", "HTTP2-Settings", "Content-Length", "Sec-WebSocket-Key", "sec-websocket-accept",
                           "Sec-WebSocket-Protocol", "X_Tenant", "X.Tenant", "", "a b", "a:b", "a\r\n"}) {
    EXPECT_TRUE(reserved_request_field(name)) << name;
    EXPECT_TRUE(reserved_response_field(name)) << name;
  }
  for (const char* name : {"Host", "X-Forwarded-For", "x-forwarded-anything", "Forwarded", "X-Real-IP", "X-Request-Id", "Via",
                           "traceparent", "X-Sluice-Any", "X-Client-Cert-San"}) {
    EXPECT_TRUE(reserved_request_field(name)) << name;
    EXPECT_FALSE(reserved_response_field(name)) << name;
  }
  for (const char* name : {"Cookie", "Authorization", "Origin", "Server", "Set-Cookie", "X-Tenant", "Strict-Transport-Security"}) {
    EXPECT_FALSE(reserved_request_field(name)) << name;
    EXPECT_FALSE(reserved_response_field(name)) << name;
  }
}

}  // namespace
}  // namespace sluice::http
