#include "ws/tunnel.h"

#include <gtest/gtest.h>

#include "unit/ws/carry.h"

namespace sluice::ws {
namespace {

using namespace test;

TEST(WsToTcp, ForwardsUnmaskedPayloadOnlyHoweverItIsCut) {
  const Octets large(3000, 0xE7);
  const Octets stream = client(0x82, text("hello ")) + client(0x02, text("wor"), {1, 2, 3, 4}) +
                        client(0x89, text("ping")) + client(0x00, {}) +
                        client(0x80, text("ld"), {5, 6, 7, 8}) + client(0x82, large) +
                        client(0x88, {3, 0xE8});
  const Octets expected = text("hello world") + large;
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    WsToTcp framer{FramingRules{}};
    const Walk seen = walk(framer, stream, {cut, stream.size()});
    ASSERT_EQ(seen.error, Errc::none) << cut;
    ASSERT_EQ(seen.forwarded, expected) << cut;
    ASSERT_EQ(seen.events, reference(stream)) << cut;
    ASSERT_TRUE(seen.at_message && seen.at_frame);
  }
  WsToTcp framer{FramingRules{}};
  EXPECT_EQ(walk(framer, stream, every_octet(stream.size())).forwarded, expected);
}

TEST(WsToTcp, ReportsTheHeaderAsSkipped) {
  WsToTcp framer{FramingRules{}};
  Octets stream = client(0x82, Octets(200, 1)) + client(0x89, text("x"));
  const auto run = framer.next(stream);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->skip, 8u);
  EXPECT_EQ(run->payload, 200u);
  EXPECT_EQ(run->size, 208u);
  const auto ping = framer.next(MutableBytes(stream).subspan(208));
  EXPECT_TRUE(ping->control);
  EXPECT_EQ(ping->skip, ping->size);
  EXPECT_EQ(as_text(ping->content), "x");
}

TEST(WsToTcp, ValidatesLikeTheFramer) {
  FramingRules rules;
  rules.validate_utf8 = true;
  for (std::size_t cut = 0; cut <= 9; ++cut) {
    WsToTcp framer(rules);
    EXPECT_EQ(walk(framer, client(0x81, {0xED, 0xA0, 0x80}), {cut, 9}).error, Errc::ws_utf8);
    WsToTcp good(rules);
    const Walk seen = walk(good, client(0x81, {0xE2, 0x82, 0xAC}), {cut, 9});
    EXPECT_EQ(seen.error, Errc::none);
    EXPECT_EQ(seen.forwarded, (Octets{0xE2, 0x82, 0xAC}));
  }
  WsToTcp framer(rules);
  EXPECT_EQ(walk_whole(framer, server(0x81, text("a"))).error, Errc::ws_mask);
}

TEST(TcpToWs, PutsOneHeaderInFrontOfAllThatCame) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{125}, std::size_t{126}, std::size_t{65535}, std::size_t{65536}}) {
    TcpToWs framer(kBinary);
    Octets bytes(size, 0xFF);
    const auto run = framer.next(bytes);
    ASSERT_TRUE(run);
    EXPECT_EQ(run->size, size);
    EXPECT_EQ(run->payload, size);
    EXPECT_EQ(run->skip, 0u);
    EXPECT_TRUE(run->begins && run->ends);
    EXPECT_EQ(run->opcode, kBinary);
    const Octets sent = Octets(run->prefix.begin(), run->prefix.begin() + run->prefix_size) + bytes;
    EXPECT_EQ(sent, server(0x82, bytes));
  }
}

TEST(TcpToWs, SaysNothingAboutNothing) {
  TcpToWs framer(kText);
  EXPECT_EQ(framer.next({})->size, 0u);
  EXPECT_EQ(framer.next({})->prefix_size, 0);
}

TEST(TcpToWs, HoldsBackACutCodePointInTextMode) {
  const Octets euro = text(
      "a\xE2\x82\xAC"
      "b\xF0\x9F\x98\x80");
  for (std::size_t cut = 0; cut <= euro.size(); ++cut) {
    TcpToWs framer(kText);
    Octets bytes = euro;
    const auto run = framer.next(MutableBytes(bytes).first(cut));
    ASSERT_TRUE(run) << cut;
    Utf8Validator validator;
    EXPECT_TRUE(validator.feed(Bytes(bytes).first(run->size)));
    EXPECT_TRUE(validator.complete());
    EXPECT_LE(cut - run->size, 3u);
    const auto rest = framer.next(MutableBytes(bytes).subspan(run->size));
    ASSERT_TRUE(rest);
    EXPECT_EQ(run->size + rest->size, euro.size());
  }
}

TEST(TcpToWs, RefusesTextThatIsNotUtf8) {
  for (const Octets& bad : {Octets{'a', 0xFF}, Octets{0xF4, 0x90}, Octets{0xC3, 'a'}}) {
    TcpToWs framer(kText);
    Octets bytes = bad;
    const auto run = framer.next(bytes);
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, Errc::tcp_utf8);
    EXPECT_EQ(run.error().side, Side::upstream);
    TcpToWs binary(kBinary);
    EXPECT_TRUE(binary.next(bytes));
  }
}

TEST(TcpToWs, TextThatIsNotUtf8MayGoAsBinary) {
  TcpToWs framer(kText, TcpFraming::InvalidText::binary);
  EXPECT_EQ(messages(carry_whole(framer, text("fine")).sent), (std::vector<Message>{textual("fine")}));
  EXPECT_EQ(messages(carry_whole(framer, text("a\xFFz")).sent), (std::vector<Message>{binary(text("a\xFFz"))}));
}

TEST(TcpToWs, TextThatIsNotUtf8MayBeReplaced) {
  const Octets octets = text("a\xFF\xFF\xFF\xFF\xFFz\xE2\x82");
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    TcpToWs framer(kText, TcpFraming::InvalidText::replace);
    const Carried got = carry(framer, octets, {cut, octets.size()});
    EXPECT_EQ(got.error, Errc::none);
    EXPECT_EQ(got.covered, octets.size() - 2) << "a cut character waits";
    Octets all;
    for (const Message& message : messages(got.sent)) {
      EXPECT_EQ(message.opcode, kText);
      EXPECT_TRUE(valid_utf8(message.payload));
      all = all + message.payload;
    }
    EXPECT_EQ(all, text("a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDz"));
  }
}

// What a client sends through WsToTcp to an echo and back through TcpToWs arrives as it left.
TEST(Tunnel, CarriesBytesThereAndBackCutEverywhere) {
  const Octets stream = client(0x82, text("one")) + client(0x02, text("two")) + client(0x80, text("three"));
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    WsToTcp there{FramingRules{}};
    Octets bytes = walk(there, stream, {cut, stream.size()}).forwarded;
    TcpToWs back(kBinary);
    Octets sent;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto run =
          back.next(MutableBytes(bytes).subspan(at, std::min<std::size_t>(4, bytes.size() - at)));
      sent = std::move(sent) + Octets(run->prefix.begin(), run->prefix.begin() + run->prefix_size) +
             Octets(bytes.begin() + at, bytes.begin() + at + run->size);
      at += run->size;
    }
    FramingRules rules;
    rules.side = Side::upstream;
    WsFramer client_reads(rules);
    const Walk seen = walk_whole(client_reads, sent);
    ASSERT_EQ(seen.error, Errc::none);
    ASSERT_EQ(seen.events.size(), 3u);
    std::uint64_t total = 0;
    for (const Event& event : seen.events) total += event.payload;
    EXPECT_EQ(total, 11u);
    EXPECT_EQ(bytes, text("onetwothree"));
  }
}

}  // namespace
}  // namespace sluice::ws
