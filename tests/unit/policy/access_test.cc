#include "policy/access.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

std::vector<OriginPattern> patterns(std::initializer_list<const char*> texts) {
  std::vector<OriginPattern> all;
  for (const char* text : texts) all.push_back(OriginPattern::parse(text).value());
  return all;
}

http::Head head_of(std::initializer_list<http::Field> fields) {
  http::Head head;
  head.fields = fields;
  return head;
}

bool allowed(const std::vector<OriginPattern>& list, std::string_view origin) {
  const auto answer = check_origin(head_of({{"Host", "a.test"}, {"Origin", origin}}), list, false);
  EXPECT_TRUE(answer || answer.error().code == Errc::origin);
  return answer.has_value();
}

TEST(Origin, IsAllowedByExactSchemeHostAndPort) {
  const auto list = patterns(
      {"https://example.com", "http://localhost:3000", "https://[::1]:8443", "capacitor://localhost"});
  for (const char* origin : {"https://example.com", "HTTPS://EXAMPLE.COM:443", "https://example.com:443",
                             "http://localhost:3000", "https://[::1]:8443", "capacitor://localhost"}) {
    EXPECT_TRUE(allowed(list, origin)) << origin;
  }
  for (const char* origin : {"https://evil.com",
                             "https://example.com.evil.com",
                             "https://evilexample.com",
                             "https://sub.example.com",
                             "http://example.com",
                             "https://example.com:8443",
                             "https://example.com:80",
                             "http://localhost",
                             "http://localhost:3001",
                             "null",
                             "NULL",
                             "",
                             "example.com",
                             "https://",
                             "https:///",
                             "https://example.com/",
                             "https://example.com/path",
                             "https://user@example.com",
                             "https://example.com@evil.com",
                             "https://example.com https://evil.com",
                             "https://example.com,https://evil.com",
                             "https://example.com\\@evil.com",
                             "https:/example.com",
                             "https//example.com",
                             "://example.com",
                             "*",
                             "https://*.com",
                             "https://example.com#",
                             "https://example.com?",
                             "https://example.com:",
                             "https://example.com:99999",
                             "https://example%2ecom",
                             "javascript://example.com",
                             "capacitor://localhost:1"}) {
    EXPECT_FALSE(allowed(list, origin)) << origin;
  }
}

TEST(Origin, MatchesAWildcardByWholeLabels) {
  const auto list = patterns({"https://*.example.com"});
  EXPECT_TRUE(allowed(list, "https://a.example.com"));
  EXPECT_TRUE(allowed(list, "https://a.b.example.com"));
  EXPECT_TRUE(allowed(list, "https://A.Example.Com:443"));
  for (const char* origin :
       {"https://example.com", "https://.example.com", "https://aexample.com",
        "https://a.example.com.evil.com", "http://a.example.com", "https://a.example.com:444",
        "https://*.example.com", "https://evil.com/a.example.com", "https://evil.com#.example.com",
        "https://a..example.com"}) {
    EXPECT_FALSE(allowed(list, origin)) << origin;
  }
}

TEST(Origin, IsRefusedWhenItStandsTwice) {
  const auto list = patterns({"https://example.com"});
  const auto twice = head_of({{"Origin", "https://example.com"}, {"origin", "https://example.com"}});
  EXPECT_FALSE(check_origin(twice, list, false));
  EXPECT_TRUE(check_origin(twice, {}, false));
}

TEST(Origin, MayBeAbsent) {
  EXPECT_TRUE(check_origin(head_of({{"Host", "a.test"}}), patterns({"https://example.com"}), false));
  EXPECT_TRUE(check_origin(head_of({{"Host", "a.test"}}), {}, true));
}

TEST(Origin, IsNotLookedAtWithoutAList) {
  EXPECT_TRUE(allowed({}, "https://evil.com"));
  EXPECT_TRUE(allowed({}, "null"));
}

TEST(Origin, MustNameTheHostWhenCookiesAreCarriersWithoutAList) {
  const auto same = [](std::string_view host, std::string_view origin) {
    return check_origin(head_of({{"Host", host}, {"Origin", origin}}), {}, true).has_value();
  };
  EXPECT_TRUE(same("chat.test", "https://chat.test"));
  EXPECT_TRUE(same("Chat.Test", "https://CHAT.test:443"));
  EXPECT_TRUE(same("chat.test:8443", "https://chat.test:8443"));
  EXPECT_TRUE(same("chat.test:443", "https://chat.test"));
  EXPECT_TRUE(same("[::1]:80", "http://[::1]"));
  for (const auto& [host, origin] :
       std::initializer_list<std::pair<const char*, const char*>>{{"chat.test", "https://evil.test"},
                                                                  {"chat.test", "https://a.chat.test"},
                                                                  {"chat.test", "https://chat.test:8443"},
                                                                  {"chat.test:8443", "https://chat.test"},
                                                                  {"chat.test", "null"},
                                                                  {"chat.test", "chat.test"},
                                                                  {"", "https://chat.test"}}) {
    EXPECT_FALSE(same(host, origin)) << host << " " << origin;
  }
  EXPECT_FALSE(check_origin(head_of({{"Origin", "https://chat.test"}}), {}, true));
}

TEST(OriginPattern, RefusesWhatIsNoOrigin) {
  for (const char* text :
       {"", "*", "null", "example.com", "https://", "https://*", "https://*.", "https://a.*.com",
        "https://**.a.com", "https://*a.com", "https://a.com/", "https://a.com/x", "https://u@a.com",
        "1https://a.com", "https://a.com:x", "https://*.[::1]", "https ://a.com"}) {
    EXPECT_FALSE(OriginPattern::parse(text)) << text;
  }
}

TEST(OriginPattern, KeepsItsParts) {
  const auto pattern = OriginPattern::parse("HTTPS://*.Example.COM:8443");
  ASSERT_TRUE(pattern);
  EXPECT_EQ(pattern->scheme, "https");
  EXPECT_EQ(pattern->host, ".example.com");
  EXPECT_EQ(pattern->port, 8443);
  EXPECT_TRUE(pattern->wildcard);
  EXPECT_EQ(OriginPattern::parse("https://a.com")->port, 443);
}

}  // namespace
}  // namespace sluice::policy
