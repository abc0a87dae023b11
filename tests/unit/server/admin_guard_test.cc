#include "server/admin_guard.h"

#include <gtest/gtest.h>

#include <string>

#include "http/h1_parser.h"

namespace sluice::server {
namespace {

using Kind = AdminQuestion::Kind;

const net::Address kLoopback = *net::Address::parse("127.0.0.1", 9901);

config::AdminSettings settings(const std::string& token = "", const std::string& bind = "127.0.0.1:9901") {
  config::AdminSettings out;
  out.bind = *net::Address::parse_bind(bind);
  out.token = token;
  return out;
}

struct Judged {
  int status = 0;
  AdminQuestion question;
};

Judged judge(const config::AdminSettings& with, const std::string& text,
             const net::Address& local = kLoopback) {
  AdminGuard guard;
  guard.configure(with);
  http::HeadParser parser(http::HeadParser::Kind::request);
  http::Head head;
  const auto size = parser.parse(as_bytes(text), head);
  EXPECT_TRUE(size && *size == text.size()) << text;
  const auto answer = guard.judge(head, local);
  if (!answer) return {answer.error().status, {}};
  return {200, *answer};
}

std::string get(const std::string& target, const std::string& fields = "",
                const std::string& host = "localhost") {
  return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n";
}

int status(const std::string& request) { return judge(settings(), request).status; }

TEST(AdminGuard, KnowsItsEndpoints) {
  const std::pair<const char*, Kind> known[] = {{"/livez", Kind::live},
                                                {"/healthz", Kind::live},
                                                {"/readyz", Kind::ready},
                                                {"/metrics", Kind::metrics},
                                                {"/api/v1/status", Kind::status},
                                                {"/api/v1/backends", Kind::backends},
                                                {"/api/v1/connections", Kind::connections},
                                                {"/api/v1/revocations", Kind::revocations}};
  for (const auto& [path, kind] : known) {
    const Judged judged = judge(settings(), get(path));
    EXPECT_EQ(judged.status, 200) << path;
    EXPECT_EQ(judged.question.kind, kind) << path;
    EXPECT_FALSE(judged.question.head);
  }
  EXPECT_TRUE(judge(settings(), "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").question.head);
  EXPECT_EQ(judge(settings(), get("/metrics?name[]=x")).question.kind, Kind::metrics);
}

TEST(AdminGuard, KnowsNoOtherSpellingOfAPath) {
  for (const char* path :
       {"/", "/livez/", "//livez", "/LIVEZ", "/%6civez", "/./livez", "/api/v1/status/..", "/api"}) {
    EXPECT_EQ(status(get(path)), 404) << path;
  }
}

TEST(AdminGuard, RefusesForeignHosts) {
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.2", "10.0.0.1:9901",
                           "[::2]:9901", "0x7f000001", "2130706433", "127.1"}) {
    EXPECT_EQ(status(get("/livez", "", host)), 421) << host;
  }
}

TEST(AdminGuard, TakesItsOwnHosts) {
  for (const char* host : {"localhost", "LocalHost:9901", "127.0.0.1", "127.0.0.1:9901", "[::1]",
                           "[::1]:9901", "localhost:8080"}) {
    EXPECT_EQ(status(get("/livez", "", host)), 200) << host;
  }
}

TEST(AdminGuard, TakesTheAddressThatItIsBoundToAndThatTheClientCameTo) {
  const auto bound = settings("token-token", "10.1.2.3:9901");
  EXPECT_EQ(judge(bound, get("/livez", "", "10.1.2.3:9901"), *net::Address::parse("10.1.2.3", 9901)).status,
            200);
  const auto every = settings("token-token", "0.0.0.0:9901");
  const auto local = *net::Address::parse("10.9.9.9", 9901);
  EXPECT_EQ(judge(every, get("/livez", "", "10.9.9.9:9901"), local).status, 200);
  EXPECT_EQ(judge(every, get("/livez", "", "10.9.9.8:9901"), local).status, 421);
  EXPECT_EQ(judge(every, get("/livez", "", "evil.example"), local).status, 421);
}

TEST(AdminGuard, RefusesHostsOfBadShape) {
  for (const char* host : {"", ":9901", "localhost:", "localhost:x", "localhost:99999", "[::1", "[::1]x",
                           "[localhost]", "localhost:80:80", "user@localhost"}) {
    const int answer = status(get("/livez", "", host));
    EXPECT_TRUE(answer == 400 || answer == 421) << host << " " << answer;
  }
  EXPECT_EQ(status("GET /livez HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /livez HTTP/1.0\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), 400);
}

TEST(AdminGuard, ReadsHostsByTheirGrammar) {
  EXPECT_EQ(host_of("localhost"), "localhost");
  EXPECT_EQ(host_of("localhost:1"), "localhost");
  EXPECT_EQ(host_of("[::1]:65535"), "::1");
  EXPECT_FALSE(host_of("localhost:65536"));
  EXPECT_FALSE(host_of("localhost:-1"));
  EXPECT_FALSE(host_of("::1"));
  EXPECT_FALSE(host_of("[]"));
}

TEST(AdminGuard, AUnixSocketTakesAnyHost) {
  EXPECT_EQ(judge(settings("", "unix:/tmp/x.sock"), get("/livez", "", "whatever"), {}).status, 200);
}

TEST(AdminGuard, RefusesPages) {
  EXPECT_EQ(status(get("/api/v1/status", "Origin: http://localhost\r\n")), 403);
  EXPECT_EQ(status(get("/api/v1/status", "Origin: null\r\n")), 403);
  EXPECT_EQ(status(get("/api/v1/status", "origin:\r\n")), 403);
  for (const char* site : {"cross-site", "same-site", "same-origin", "None", ""}) {
    EXPECT_EQ(status(get("/api/v1/status", std::string("Sec-Fetch-Site: ") + site + "\r\n")), 403) << site;
  }
  EXPECT_EQ(status(get("/metrics", "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n")), 403);
  EXPECT_EQ(status(get("/metrics", "Sec-Fetch-Site: none\r\n")), 200);
}

TEST(AdminGuard, AsksForTheTokenExceptForHealth) {
  const auto with = settings("s3cret-token");
  for (const char* path : {"/livez", "/readyz", "/healthz"})
    EXPECT_EQ(judge(with, get(path)).status, 200) << path;
  for (const char* path :
       {"/metrics", "/api/v1/status", "/api/v1/backends", "/api/v1/connections", "/none", "/"}) {
    EXPECT_EQ(judge(with, get(path)).status, 401) << path;
    EXPECT_EQ(judge(with, get(path, "Authorization: Bearer wrong\r\n")).status, 401) << path;
  }
  for (const char* good : {"Bearer s3cret-token", "bearer  s3cret-token", "BEARER s3cret-token"}) {
    EXPECT_EQ(judge(with, get("/metrics", std::string("Authorization: ") + good + "\r\n")).status, 200)
        << good;
  }
  for (const char* bad : {"s3cret-token", "Basic s3cret-token", "Bearer", "Bearers3cret-token",
                          "Bearer s3cret-toke", "Bearer s3cret-token x", "Bearer S3cret-token", ""}) {
    EXPECT_EQ(judge(with, get("/metrics", std::string("Authorization: ") + bad + "\r\n")).status, 401) << bad;
  }
  const std::string twice = "Authorization: Bearer s3cret-token\r\n";
  EXPECT_EQ(judge(with, get("/metrics", twice + twice)).status, 401);
}

TEST(AdminGuard, OriginAndHostComeBeforeTheToken) {
  const auto with = settings("s3cret-token");
  const std::string good = "Authorization: Bearer s3cret-token\r\n";
  EXPECT_EQ(judge(with, get("/metrics", good + "Origin: http://localhost\r\n")).status, 403);
  EXPECT_EQ(judge(with, get("/metrics", good, "evil.example")).status, 421);
}

TEST(AdminGuard, ForgetsTheTokenWhenConfiguredWithout) {
  AdminGuard guard;
  guard.configure(settings("s3cret-token"));
  guard.configure(settings());
  http::Head head;
  head.method = "GET";
  head.target = "/metrics";
  head.fields = {{"Host", "localhost"}};
  EXPECT_TRUE(guard.judge(head, kLoopback));
}

std::string with_method(const std::string& method, const std::string& fields,
                        const std::string& target = "/api/v1/status") {
  return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

TEST(AdminGuard, TakesCommandsByPutWithABodyOfKnownSize) {
  const std::string path = "/api/v1/backends/app/servers/x/state";
  const std::string json = "Content-Type: application/json\r\n";
  const auto local = settings("", "unix:/tmp/x.sock");
  const auto status = [&](const std::string& request) { return judge(local, request, {}).status; };
  const Judged judged = judge(local, with_method("PUT", json + "Content-Length: 17\r\n", path), {});
  EXPECT_EQ(judged.status, 200);
  EXPECT_EQ(judged.question.kind, Kind::command);
  EXPECT_EQ(judged.question.body, 17u);
  EXPECT_EQ(judged.question.command.backend, "app");
  EXPECT_EQ(status(with_method("PUT", json + "Content-Length: 1024\r\n", path)), 200);
  EXPECT_EQ(status(with_method("PUT", json + "Content-Length: 1025\r\n", path)), 413);
  EXPECT_EQ(status(with_method("PUT", json, path)), 411);
  EXPECT_EQ(status(with_method("PUT", json + "Content-Length: 0\r\n", path)), 411);
  EXPECT_EQ(status(with_method("PUT", json + "Transfer-Encoding: chunked\r\n", path)), 411);
  EXPECT_EQ(status(with_method("PUT", "Content-Length: 2\r\n", path)), 415);
  EXPECT_EQ(status(with_method("PUT", "Content-Type: text/plain\r\nContent-Length: 2\r\n", path)), 415);
  EXPECT_EQ(status(with_method("POST", json + "Content-Length: 2\r\n", path)), 405);
  EXPECT_EQ(status(get(path)), 405);
}

TEST(AdminGuard, EverythingElseIsOnlyRead) {
  const std::string json = "Content-Type: application/json\r\nContent-Length: 2\r\n";
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"}) {
    EXPECT_EQ(status(with_method(method, json)), 405) << method;
    EXPECT_EQ(status(with_method(method, "")), 405) << method;
    EXPECT_EQ(status(with_method(method, json, "/nowhere")), 404) << method;
  }
  EXPECT_EQ(
      status(with_method("POST", "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n")),
      405);
}

TEST(AdminGuard, TakesOnlyJson) {
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""}) {
    const std::string fields = std::string("Content-Type: ") + type + "\r\nContent-Length: 2\r\n";
    EXPECT_EQ(status(with_method("POST", fields)), 415) << type;
  }
  EXPECT_EQ(status(with_method("POST", "Content-Length: 2\r\n")), 415);
  EXPECT_EQ(status(with_method("POST", "Content-Type: application/json\r\nContent-Type: text/plain\r\n")),
            415);
}

TEST(AdminGuard, RefusesBodies) {
  EXPECT_EQ(status(get("/livez", "Content-Length: 1\r\n")), 400);
  EXPECT_EQ(status(get("/livez", "Transfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status(get("/livez", "Content-Length: 0\r\n")), 200);
  EXPECT_EQ(status(get("/livez", "Content-Length: 10485760\r\n")), 413);
  EXPECT_EQ(status(with_method("POST", "Content-Type: application/json\r\nContent-Length: 10485760\r\n")),
            413);
  EXPECT_EQ(status(with_method("POST", "Content-Type: text/plain\r\nContent-Length: 10485760\r\n")), 413);
  EXPECT_EQ(status(with_method("POST", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status(with_method("POST", "Transfer-Encoding: gzip\r\n")), 501);
}

TEST(AdminGuard, RefusesTargetsThatAreNoPath) {
  EXPECT_EQ(status(with_method("CONNECT", "", "localhost:80")), 400);
  EXPECT_EQ(status(with_method("OPTIONS", "", "*")), 400);
  EXPECT_EQ(status(with_method("GET", "", "http://localhost/livez")), 400);
}

TEST(AdminGuard, ReadsTheQueryOfConnections) {
  EXPECT_EQ(judge(settings(), get("/api/v1/connections?")).question.connections.limit, 100u);
  EXPECT_EQ(judge(settings(), get("/api/v1/connections?limit=7&route=x")).question.connections.limit, 7u);
  EXPECT_EQ(status(get("/api/v1/connections?limit=0")), 400);
  EXPECT_EQ(status(get("/api/v1/connections?user=x")), 400);
}

TEST(AdminGuard, TakesCommandsWithATokenOrByAUnixSocketOnly) {
  const std::string json = "Content-Type: application/json\r\nContent-Length: 13\r\n";
  const std::string token = "Authorization: Bearer token-token\r\n";
  const std::string post = with_method("POST", json, "/api/v1/revoke");
  const std::string remove = with_method("DELETE", "", "/api/v1/revocations/r1");
  EXPECT_EQ(status(post), 403);
  EXPECT_EQ(status(remove), 403);
  const std::string put = with_method("PUT", json, "/api/v1/backends/app/servers/x/state");
  EXPECT_EQ(status(put), 403);
  EXPECT_EQ(judge(settings("token-token"), put).status, 401);
  const auto guarded = settings("token-token");
  EXPECT_EQ(judge(guarded, post).status, 401);
  EXPECT_EQ(judge(guarded, remove).status, 401);
  const Judged revoke = judge(guarded, with_method("POST", json + token, "/api/v1/revoke"));
  EXPECT_EQ(revoke.status, 200);
  EXPECT_EQ(revoke.question.kind, Kind::revoke);
  EXPECT_EQ(revoke.question.body, 13u);
  const Judged restore = judge(guarded, with_method("DELETE", token, "/api/v1/revocations/r1"));
  EXPECT_EQ(restore.status, 200);
  EXPECT_EQ(restore.question.kind, Kind::restore);
  EXPECT_EQ(restore.question.revocation, "r1");
  EXPECT_EQ(judge(settings("", "unix:/tmp/x.sock"), post, {}).status, 200);
  EXPECT_EQ(judge(settings("", "unix:/tmp/x.sock"), remove, {}).status, 200);
}

TEST(AdminGuard, JudgesTheShapeOfCommands) {
  const auto local = settings("", "unix:/tmp/x.sock");
  const auto answer = [&](const char* method, const std::string& fields, const char* path) {
    return judge(local, with_method(method, fields, path), {}).status;
  };
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_EQ(answer("POST", json + "Content-Length: 8192\r\n", "/api/v1/revoke"), 200);
  EXPECT_EQ(answer("POST", json + "Content-Length: 8193\r\n", "/api/v1/revoke"), 413);
  EXPECT_EQ(answer("POST", json, "/api/v1/revoke"), 411);
  EXPECT_EQ(answer("POST", "Content-Type: text/plain\r\nContent-Length: 2\r\n", "/api/v1/revoke"), 415);
  EXPECT_EQ(answer("PUT", json + "Content-Length: 2\r\n", "/api/v1/revoke"), 405);
  EXPECT_EQ(answer("GET", "", "/api/v1/revoke"), 405);
  EXPECT_EQ(answer("POST", json + "Content-Length: 2\r\n", "/api/v1/revoke?x"), 404);
  EXPECT_EQ(answer("GET", "", "/api/v1/revocations/r1"), 405);
  EXPECT_EQ(answer("POST", json + "Content-Length: 2\r\n", "/api/v1/revocations/r1"), 405);
  EXPECT_EQ(answer("DELETE", "", "/api/v1/revocations/"), 404);
  EXPECT_EQ(answer("DELETE", "", "/api/v1/revocations"), 405);
  EXPECT_EQ(answer("POST", json + "Content-Length: 2\r\n", "/api/v1/revocations"), 405);
}

}  // namespace
}  // namespace sluice::server
