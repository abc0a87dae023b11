#include "http/h1_writer.h"

#include <gtest/gtest.h>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

TEST(HeadWriter, WritesARequestThatTheParserReads) {
  HeadWriter writer;
  writer.request("GET", "/ws?a=b");
  writer.field("Host", "gw.test");
  writer.field("X-Count", std::uint64_t{18446744073709551615u});
  writer.field("X-Empty", "");
  const std::string text = writer.finish().value();
  EXPECT_EQ(text, "GET /ws?a=b HTTP/1.1\r\nHost: gw.test\r\nX-Count: 18446744073709551615\r\nX-Empty: \r\n\r\n");
  EXPECT_EQ(head_of(text).fields.size(), 3u);
}

TEST(HeadWriter, WritesResponsesWithTheirReason) {
  HeadWriter writer;
  writer.response(426);
  writer.field("Sec-WebSocket-Version", "13");
  EXPECT_EQ(writer.finish(), "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\r\n");
  writer.response(299);
  EXPECT_EQ(writer.finish(), "HTTP/1.1 299 \r\n\r\n");
}

template <typename Write>
void expect_refused(Write write) {
  HeadWriter writer;
  write(writer);
  const auto result = writer.finish();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::internal);
  EXPECT_EQ(result.error().side, Side::gateway);
  writer.response(200);
  EXPECT_TRUE(writer.finish()) << "one bad head must not spoil the next";
}

TEST(HeadWriter, RefusesOctetsThatBreakALine) {
  for (const std::string_view bad : {std::string_view("a\r\nX-Admin: 1"), std::string_view("a\rb"), std::string_view("a\nb"),
                                     std::string_view("a\0b", 3), std::string_view("\x7f"), std::string_view("\x01")}) {
    expect_refused([bad](HeadWriter& w) { w.response(200), w.field("X", bad); });
    expect_refused([bad](HeadWriter& w) { w.response(200), w.field(bad, "v"); });
    expect_refused([bad](HeadWriter& w) { w.request("GET", bad); });
    expect_refused([bad](HeadWriter& w) { w.request(bad, "/"); });
  }
  for (const std::string_view name : {"", "a b", "a:", "\xc3\xa9"}) {
    expect_refused([name](HeadWriter& w) { w.response(200), w.field(name, "v"); });
  }
  expect_refused([](HeadWriter& w) { w.request("GET", "/a b"); });
  expect_refused([](HeadWriter& w) { w.request("GET", ""); });
  expect_refused([](HeadWriter& w) { w.request("GET", "/\xc3\xa9"); });
}

TEST(HeadWriter, WantsExactlyOneFirstLine) {
  expect_refused([](HeadWriter&) {});
  expect_refused([](HeadWriter& w) { w.field("A", "b"); });
  expect_refused([](HeadWriter& w) { w.response(200), w.response(200); });
  expect_refused([](HeadWriter& w) { w.request("GET", "/"), w.request("GET", "/"); });
  expect_refused([](HeadWriter& w) { w.response(99); });
  expect_refused([](HeadWriter& w) { w.response(600); });
}

TEST(HeadWriter, PassesObsTextAndTabs) {
  HeadWriter writer;
  writer.response(200);
  writer.field("X", "caf\xe9\tau lait");
  EXPECT_TRUE(writer.finish());
}

TEST(HeadWriter, TakesAReasonOfItsCallers) {
  HeadWriter head;
  head.response(299, "Made Up");
  EXPECT_EQ(*head.finish(), "HTTP/1.1 299 Made Up\r\n\r\n");
  head.response(200, "");
  EXPECT_EQ(*head.finish(), "HTTP/1.1 200 \r\n\r\n");
  head.response(200, "a\r\nX: b");
  EXPECT_FALSE(head.finish());
}

}  // namespace
}  // namespace sluice::http
