#include "http/head.h"

#include <gtest/gtest.h>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

TEST(SameName, ComparesAsciiLettersOnly) {
  EXPECT_TRUE(same_name("Sec-WebSocket-Key", "sec-websocket-KEY"));
  EXPECT_TRUE(same_name("", ""));
  EXPECT_FALSE(same_name("host", "hos"));
  EXPECT_FALSE(same_name("host", "hosts"));
  EXPECT_FALSE(same_name("@", "`"));  // they differ in the bit that tells the cases of a letter
  EXPECT_FALSE(same_name("[", "{"));
  EXPECT_FALSE(same_name("\xc0", "\xe0"));
  EXPECT_FALSE(same_name("x-a", "x_a"));
}

TEST(HasToken, FindsWholeElementsOnly) {
  EXPECT_TRUE(has_token("Upgrade", "upgrade"));
  EXPECT_TRUE(has_token("keep-alive, Upgrade", "upgrade"));
  EXPECT_TRUE(has_token(" ,\t, upgrade\t ,", "upgrade"));
  EXPECT_FALSE(has_token("upgrades", "upgrade"));
  EXPECT_FALSE(has_token("up grade", "upgrade"));
  EXPECT_FALSE(has_token("websocket/13", "websocket"));
  EXPECT_FALSE(has_token("", "upgrade"));
  EXPECT_FALSE(has_token(std::string_view{}, "upgrade"));
  EXPECT_FALSE(has_token(",,", ""));
}

TEST(Head, FindsCountsAndLists) {
  const Head head = with_fields({{"Connection", "keep-alive"}, {"X", "1"}, {"connection", "Upgrade"}, {"x", "2"}});
  ASSERT_NE(head.find("x"), nullptr);
  EXPECT_EQ(*head.find("x"), "1");
  EXPECT_EQ(head.find("y"), nullptr);
  EXPECT_EQ(head.count("CONNECTION"), 2u);
  EXPECT_EQ(head.count("y"), 0u);
  EXPECT_TRUE(head.lists("connection", "upgrade"));
  EXPECT_FALSE(head.lists("x", "upgrade"));
}

TEST(Head, ClearForgetsEverything) {
  Head head = head_of("HTTP/1.0 200 OK\r\nA: b\r\n\r\n", Kind::response);
  head.clear();
  EXPECT_EQ(head.status, 0);
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_TRUE(head.fields.empty() && head.reason.empty() && head.method.empty() && head.target.empty());
}

TEST(KeepAlive, SaysHowLongAConnectionMayRest) {
  const auto timeout = [](std::string_view value) {
    Head head;
    head.fields.push_back({"keep-alive", value});
    const auto found = keep_alive_timeout(head);
    return found ? std::chrono::duration_cast<std::chrono::seconds>(*found).count() : -1;
  };
  EXPECT_EQ(timeout("timeout=5"), 5);
  EXPECT_EQ(timeout("max=100, Timeout=72"), 72);
  EXPECT_EQ(timeout("timeout=0"), 0);
  for (const char* bad : {"", "timeout", "timeout=", "timeout=x", "timeout=5x", "timeout=-1", "timeout=99999999999", "max=5"}) {
    EXPECT_EQ(timeout(bad), -1) << bad;
  }
  EXPECT_FALSE(keep_alive_timeout(Head{}));
}

}  // namespace
}  // namespace sluice::http
