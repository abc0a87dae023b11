#include "http/path.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

std::string path_of(std::string_view raw) {
  const auto target = canonical_target(raw);
  return target ? target->path : "error";
}

TEST(CanonicalTarget, EvaluatesDotsSlashesAndEscapes) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/", "/"},
      {"/ws", "/ws"},
      {"/ws/", "/ws/"},
      {"/public/../admin", "/admin"},
      {"/public/%2e%2e/admin", "/admin"},
      {"/public/.%2E/admin", "/admin"},
      {"/%2e/admin", "/admin"},
      {"/%61dmin", "/admin"},
      {"//admin", "/admin"},
      {"///a//b///", "/a/b/"},
      {"/a//../b", "/b"},
      {"/a/.", "/a/"},
      {"/a/..", "/"},
      {"/a/b/..", "/a/"},
      {"/a/./b", "/a/b"},
      {"/...", "/..."},
      {"/.a/..b/c..", "/.a/..b/c.."},
      {"/ADMIN", "/ADMIN"},
      {"/%7euser", "/~user"},
      {"/a%3ab%40", "/a%3Ab%40"},
      {"/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="},
      {"/100%25", "/100%25"},
      {"/%252e%252e/x", "/%252e%252e/x"},
      {"/%c3%a9", "/%C3%A9"},
      {"/a%20b", "/a%20b"},
      {"/api%2e/admin", "/api./admin"},
  };
  for (const auto& [raw, expected] : cases) EXPECT_EQ(path_of(raw), expected) << raw;
}

TEST(CanonicalTarget, RefusesWhatTwoDecodersCouldReadTwoWays) {
  for (const std::string_view raw :
       {"/public%2f..%2fadmin", "/admin;x=1", "/admin/..;/x", "/public/..;/admin", "/public/%2e%2e%2fadmin",
        "/admin%3bx", "/admin%00", "/admin%23", "/admin%3f", "/admin%3F", "/admin%5c", "/admin%5C", "/admin\\", "/a#b",
        "/a?b#c", "/..", "/../admin", "/a/../..", "/a/%2e%2e/%2e%2e/b", "/%", "/%4", "/%4g", "/%g4", "/a%2", "/%0d%0aX",
        "/%7f", "/%1f", "/a\x01", "/a\x7f", "/a b", "/\xc3\xa9", "/a\"", "/<a>", "/{a}", "/[a]", "/a|b", "/a^b", "/a`b"}) {
    EXPECT_EQ(code_of(canonical_target(raw)), Errc::path) << raw;
  }
}

TEST(CanonicalTarget, RefusesEscapesThatAreNoUtf8) {
  for (const std::string_view raw : {"/%c0%ae", "/%c0%af", "/%ff", "/%c3", "/%c3/%a9", "/%ed%a0%80", "/%c3%c3", "/%e2%82x"}) {
    EXPECT_EQ(code_of(canonical_target(raw)), Errc::path) << raw;
  }
  EXPECT_EQ(path_of("/%e2%82%ac"), "/%E2%82%AC");
}

TEST(CanonicalTarget, RefusesOtherForms) {
  for (const std::string_view raw : {"", "*", "a", "gw.test:443", "ftp://a/", "http:/a", "http:///a", "http://", "https://?a",
                                     "ws:", "javascript:x", "?a", "./a"}) {
    EXPECT_EQ(code_of(canonical_target(raw)), Errc::path) << raw;
  }
}

TEST(CanonicalTarget, SplitsAbsoluteForm) {
  const Target target = canonical_target("HTTP://Gw.Test:81/a/../ws?x=1").value();
  EXPECT_EQ(target.authority, "Gw.Test:81");
  EXPECT_EQ(target.path, "/ws");
  EXPECT_EQ(target.query, "x=1");
  EXPECT_EQ(canonical_target("wss://a")->text(), "/");
  EXPECT_EQ(canonical_target("ws://a?q")->text(), "/?q");
  EXPECT_EQ(canonical_target("https://a/b")->authority, "a");
  EXPECT_TRUE(canonical_target("/http://a/")->authority.empty());
}

TEST(CanonicalTarget, KeepsTheQueryAsItCame) {
  EXPECT_EQ(canonical_target("/ws?a=/../b&c=%2f%3B;x?y")->query, "a=/../b&c=%2f%3B;x?y");
  EXPECT_EQ(canonical_target("/ws?")->text(), "/ws?");
  EXPECT_FALSE(canonical_target("/ws")->has_query);
  EXPECT_EQ(canonical_target("/a//b?x")->text(), "/a/b?x");
  EXPECT_TRUE(canonical_target("/ws?tags[]={a|b}^`")) << "browsers send these as they are";
  for (const std::string_view raw : {"/?a b", "/?%", "/?%4", "/?%zz", "/?\\", "/?\"", "/?<", "/?\x80", "/?\x7f", "/?a#b"}) {
    EXPECT_EQ(code_of(canonical_target(raw)), Errc::path) << raw;
  }
}

TEST(CanonicalPath, IsIdempotent) {
  // Every path of up to six pieces out of these: dots, slashes and escapes in all orders.
  constexpr std::string_view kPieces[] = {"/", ".", "%2e", "a", "%41", "%25", "%c3%a9"};
  std::size_t good = 0;
  for (std::size_t code = 0; code < 7 * 7 * 7 * 7 * 7 * 7; ++code) {
    std::string raw = "/";
    for (std::size_t rest = code, i = 0; i < 6; ++i, rest /= 7) raw += kPieces[rest % 7];
    const auto once = canonical_path(raw);
    if (!once) continue;
    ++good;
    ASSERT_EQ(canonical_path(*once), *once) << raw;
    ASSERT_EQ(canonical_target(*once)->path, *once) << raw;
    ASSERT_EQ(once->find("//"), std::string::npos) << raw;
    ASSERT_EQ((*once + "/").find("/../"), std::string::npos) << raw;
    ASSERT_EQ((*once + "/").find("/./"), std::string::npos) << raw;
  }
  EXPECT_GT(good, 100000u);
}

TEST(CanonicalPath, RefusesWhatAStrippedPrefixMustNotLeave) {
  EXPECT_EQ(code_of(canonical_path("./admin")), Errc::path);  // "/api%2e/admin" behind "/api"
  EXPECT_EQ(code_of(canonical_path("../admin")), Errc::path);
  EXPECT_EQ(code_of(canonical_path("")), Errc::path);
  EXPECT_EQ(code_of(canonical_path("/a?b")), Errc::path);
  EXPECT_EQ(canonical_path("//a"), "/a");
}

TEST(Query, FindsDecodesAndCountsParameters) {
  EXPECT_EQ(query_value("a=1&token=x%2By+z&token=2", "token").value, "x+y+z");
  EXPECT_EQ(query_value("a=1&token=x&token=2", "token").count, 2u);
  EXPECT_EQ(query_value("%74oke%6E=1", "token").value, "1");
  EXPECT_EQ(query_value("token", "token").count, 1u);
  EXPECT_EQ(query_value("token", "token").value, "");
  EXPECT_EQ(query_value("token=a=b", "token").value, "a=b");
  EXPECT_EQ(query_value("xtoken=1&tokens=2&Token=3&toke=4", "token").count, 0u);
  EXPECT_EQ(query_value("", "token").count, 0u);
  EXPECT_EQ(query_value("token=1&", "token").count, 1u);
}

TEST(Query, LosesEveryParameterOfAName) {
  EXPECT_EQ(without_query("a=1&token=2&b=%20&token=3", "token"), "a=1&b=%20");
  EXPECT_EQ(without_query("token=2", "token"), "");
  EXPECT_EQ(without_query("token&%74oken=x&a", "token"), "a");
  EXPECT_EQ(without_query("a=token&&b", "token"), "a=token&&b");
  EXPECT_EQ(without_query("tokens=1", "token"), "tokens=1");
  EXPECT_EQ(without_query("", "token"), "");
}

TEST(Authority, ReadsHostAndPort) {
  EXPECT_EQ(parse_authority("Gw.Test:8080").value(), (Authority{"gw.test", 8080}));
  EXPECT_EQ(parse_authority("a_b-c.d").value(), (Authority{"a_b-c.d", 0}));
  EXPECT_EQ(parse_authority("[2001:DB8::1]:443").value(), (Authority{"[2001:db8::1]", 443}));
  EXPECT_EQ(parse_authority("[::1]").value(), (Authority{"[::1]", 0}));
  EXPECT_EQ(parse_authority("127.0.0.1:65535").value(), (Authority{"127.0.0.1", 65535}));
  EXPECT_EQ(parse_authority("gw.test.:80").value(), (Authority{"gw.test", 80}));
  EXPECT_EQ(parse_authority("[::1]:80")->text(), "[::1]:80");
  EXPECT_EQ(parse_authority("A")->text(), "a");
  EXPECT_TRUE(parse_authority(std::string(255, 'a')));
}

TEST(Authority, RefusesBadOnes) {
  for (const std::string_view text :
       {"", "a@b", "user:pw@a", "a/b", "a%41", "a%", "a:", "a:0", "a:65536", "a:080", "a:+80", "a:8o", "a:80:80", "::1",
        "[::1", "[]", "[1.2.3.4]", "[fe80::1%25eth0]", "[::1]80", "[::1]x", "[v1.a:b]", "a b", "a,b", "a..b", ".a", ".",
        "a..", "a?b", "a#b", "a\\b", "\xc3\xa9", "a\tb", ":80"}) {
    EXPECT_EQ(code_of(parse_authority(text)), Errc::host) << text;
  }
  EXPECT_EQ(code_of(parse_authority(std::string(256, 'a'))), Errc::host);
}

Result<Authority> host_of(std::string_view target, std::string_view lines, std::string_view version = "1.1") {
  const std::string text =
      "GET " + std::string(target) + " HTTP/" + std::string(version) + "\r\n" + std::string(lines) + "\r\n";
  return request_host(head_of(text), canonical_target(target).value());
}

TEST(RequestHost, WantsExactlyOneHost) {
  EXPECT_EQ(host_of("/ws", "Host: GW.test:81\r\n").value(), (Authority{"gw.test", 81}));
  EXPECT_EQ(code_of(host_of("/ws", "")), Errc::host);
  EXPECT_EQ(code_of(host_of("/ws", "", "1.0")), Errc::host);
  EXPECT_EQ(code_of(host_of("/ws", "Host:\r\n")), Errc::host);
  EXPECT_EQ(code_of(host_of("/ws", "Host: a@b\r\n")), Errc::host);
  EXPECT_EQ(code_of(host_of("/ws", "Host: a\r\nHOST: a\r\n")), Errc::dup_header);
  EXPECT_EQ(code_of(host_of("http://a/ws", "")), Errc::host);
}

TEST(RequestHost, AbsoluteFormMustAgree) {
  EXPECT_EQ(host_of("http://GW.test/ws", "Host: gw.TEST\r\n").value(), (Authority{"gw.test", 0}));
  EXPECT_EQ(code_of(host_of("http://other.test/ws", "Host: gw.test\r\n")), Errc::host);
  EXPECT_EQ(code_of(host_of("http://gw.test:81/ws", "Host: gw.test\r\n")), Errc::host);
  EXPECT_EQ(code_of(host_of("http://u@gw.test/ws", "Host: gw.test\r\n")), Errc::host);
}

TEST(Cookie, IsFoundByItsExactName) {
  EXPECT_EQ(cookie_value("a=1; session=x=y; b=2", "session").value, "x=y");
  EXPECT_EQ(cookie_value("session=1; session=2", "session").count, 2u);
  EXPECT_EQ(cookie_value("session=1; session=2", "session").value, "1");
  EXPECT_EQ(cookie_value("a=1;session=\"q\"", "session").value, "\"q\"");
  EXPECT_EQ(cookie_value("Session=1; xsession=2; sessionx=3", "session").count, 0u);
  EXPECT_EQ(cookie_value("", "session").count, 0u);
  EXPECT_EQ(cookie_value(" session = 1 ;", "session").value, "1");
}

TEST(Cookie, CanBeTakenOut) {
  EXPECT_EQ(without_cookie("a=1; session=x; b=2", "session"), "a=1; b=2");
  EXPECT_EQ(without_cookie("session=x;session =y", "session"), "");
  EXPECT_EQ(without_cookie("a=1;b=2", "session"), "a=1; b=2");
  EXPECT_EQ(without_cookie("a=session=1", "session"), "a=session=1");
  EXPECT_EQ(without_cookie("", "session"), "");
}

TEST(StripPrefix, LeavesTheRestOfThePath) {
  const std::tuple<const char*, const char*, const char*> table[] = {
      {"/api/x", "/api", "/x"}, {"/api", "/api", "/"}, {"/api/", "/api", "/"},   {"/api/api", "/api", "/api"},
      {"/a/b/c/", "/a/b", "/c/"}, {"/api/%20", "/api", "/%20"}, {"/%C3%A4/x", "/%C3%A4", "/x"}};
  for (const auto& [path, prefix, rest] : table) EXPECT_EQ(*strip_prefix(path, prefix), rest) << path;
}

TEST(StripPrefix, RefusesWhatLiesElsewhereOrIsNotCanonical) {
  for (const char* path : {"/apix", "/api.", "/ap", "/", "/other/api", "", "api", "/API/x", "/api//x", "/api/../x", "/api/./x",
                           "/api/%7e", "/api/%2F", "/api/a;b", "/api/\\"}) {
    const auto stripped = strip_prefix(path, "/api");
    ASSERT_FALSE(stripped) << path;
    EXPECT_EQ(stripped.error().code, Errc::path) << path;
  }
}

// Whatever path is routed, what is left of it is canonical and is exactly what stood behind the prefix.
TEST(StripPrefix, IsCanonicalForEveryCanonicalPath) {
  std::mt19937_64 random(9);
  constexpr std::string_view kParts[] = {"/", "a", ".", "..", "%2e", "api", "/api", "%7E", "b%20", "//", "-"};
  int stripped_some = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string raw = "/api";
    for (std::size_t n = random() % 8; n > 0; --n) raw += kParts[random() % std::size(kParts)];
    const auto path = canonical_path(raw);
    if (!path || !(path->starts_with("/api/") || *path == "/api")) continue;
    const auto rest = strip_prefix(*path, "/api");
    ASSERT_TRUE(rest) << raw;
    EXPECT_EQ(*canonical_path(*rest), *rest);
    EXPECT_TRUE("/api" + *rest == *path || (*path == "/api" && *rest == "/"));
    ++stripped_some;
  }
  EXPECT_GT(stripped_some, 1000);
}

}  // namespace
}  // namespace sluice::http
