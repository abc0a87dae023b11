#include "http/url.h"

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

// "host port target", or why not.
std::string read(std::string_view text) {
  std::string why;
  const auto url = Url::parse(text, why);
  if (!url) return why;
  return (url->secure ? "https " : "http ") + url->host() + " " + std::to_string(url->port()) + " " + url->target;
}

TEST(Url, ReadsHostPortAndTarget) {
  EXPECT_EQ(read("https://id.example.com/keys?v=1"), "https id.example.com 443 /keys?v=1");
  EXPECT_EQ(read("HTTPS://ID.Example.com:8443/Keys"), "https id.example.com 8443 /Keys");
  EXPECT_EQ(read("http://127.0.0.1"), "http 127.0.0.1 80 /");
  EXPECT_EQ(read("https://[2001:db8::1]:444/"), "https 2001:db8::1 444 /");
  EXPECT_EQ(read("https://[::1]"), "https ::1 443 /");
  EXPECT_EQ(read("https://id.example.com?x=/a"), "https id.example.com 443 /?x=/a");
}

TEST(Url, SaysItselfAgain) {
  std::string why;
  EXPECT_EQ(Url::parse("https://Id.Example.com:8443/a?b", why)->text(), "https://id.example.com:8443/a?b");
  EXPECT_EQ(Url::parse("http://[::1]", why)->text(), "http://[::1]/");
}

TEST(Url, RefusesEveryOtherScheme) {
  for (const char* bad : {"", "id.example.com/keys", "ftp://h/", "file:///etc/passwd", "//h/", "https:/h/", "https:h", "ws://h/"}) {
    EXPECT_NE(read(bad).find(*bad ? "https://" : "octet"), std::string::npos) << bad << ": " << read(bad);
  }
}

TEST(Url, RefusesWhatParsersReadDifferently) {
  EXPECT_EQ(read("https://user@h/"), "holds a user name");
  EXPECT_EQ(read("https://user:pass@127.0.0.1/"), "holds a user name");
  EXPECT_EQ(read("https://h/#part"), "has a fragment or a backslash");
  EXPECT_EQ(read("https://good.example\\@evil.example/"), "has a fragment or a backslash");
  EXPECT_EQ(read("https://h/a b"), "holds an octet that no URL may hold");
  EXPECT_EQ(read("https://h/\r\nHost: x"), "holds an octet that no URL may hold");
  EXPECT_EQ(read("https://h\xc3\xbc/"), "holds an octet that no URL may hold");
  EXPECT_EQ(read(std::string("https://h/\0x", 12)), "holds an octet that no URL may hold");
  EXPECT_EQ(read("https://h/" + std::string(2040, 'a')), "is longer than 2048 octets");
}

TEST(Url, NeedsAHostAndAUsablePort) {
  for (const char* bad : {"https://", "https:///keys", "https://:443/", "https://h:0/", "https://h:65536/", "https://h:x/", "https://h:/",
                          "https://[::1/", "https://[zz]/", "https://a..b/", "https://h%2f/"}) {
    EXPECT_EQ(read(bad), "has no valid host and port") << bad;
  }
}

}  // namespace
}  // namespace sluice::http
