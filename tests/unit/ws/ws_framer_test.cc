#include "ws/ws_framer.h"

#include <gtest/gtest.h>

#include <random>

#include "unit/ws/frames.h"

namespace sluice::ws {
namespace {

using namespace test;

const Mask kZero = {0, 0, 0, 0};
const Octets kM = {0, 0, 0, 0};

FramingRules rules(Side side = Side::client) {
  FramingRules rules;
  rules.side = side;
  return rules;
}

// The error must be the same whole, octet by octet, and cut once anywhere.
Errc refusal(const FramingRules& from, const Octets& stream) {
  WsFramer whole(from);
  const Walk expected = walk_whole(whole, stream);
  EXPECT_EQ(expected.side, expected.error == Errc::none ? Side::gateway : from.side);
  WsFramer slow(from);
  EXPECT_EQ(walk(slow, stream, every_octet(stream.size())).error, expected.error);
  for (std::size_t cut = 0; cut <= stream.size() && stream.size() < 4096; ++cut) {
    WsFramer framer(from);
    EXPECT_EQ(walk(framer, stream, {cut, stream.size()}).error, expected.error) << cut;
  }
  return expected.error;
}

// How many octets it takes until the error is raised when they come one by one; 0: it never is.
std::size_t refused_at(const FramingRules& from, const Octets& stream) {
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    WsFramer framer(from);
    const Octets prefix(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    if (walk(framer, prefix, every_octet(size)).error != Errc::none) return size;
  }
  return 0;
}

TEST(WsFramer, StaysWithinACacheLine) { EXPECT_LE(sizeof(WsFramer), 64u); }

TEST(WsFramer, CoversAWholeFrameWithOneRun) {  // A14
  WsFramer framer(rules());
  Octets stream = Octets{0x81, 0x85} + kM + text("Hello");
  const auto run = framer.next(stream);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->size, 11u);
  EXPECT_EQ(run->skip, 0u);
  EXPECT_EQ(run->payload, 5u);
  EXPECT_TRUE(run->begins);
  EXPECT_TRUE(run->ends);
  EXPECT_FALSE(run->control);
  EXPECT_EQ(run->opcode, kText);
  EXPECT_EQ(run->prefix_size, 0);
}

TEST(WsFramer, CoversPayloadAsItComes) {
  WsFramer framer(rules());
  Octets stream = client(0x82, Octets(300, 7));
  EXPECT_EQ(framer.next(MutableBytes(stream).first(7))->size, 0u);
  EXPECT_TRUE(framer.at_frame_boundary());
  auto run = framer.next(MutableBytes(stream).first(8));  // the header alone
  EXPECT_EQ(run->size, 8u);
  EXPECT_EQ(run->payload, 0u);
  EXPECT_TRUE(run->begins);
  EXPECT_FALSE(run->ends);
  EXPECT_FALSE(framer.at_frame_boundary());
  EXPECT_EQ(framer.next({})->size, 0u);
  run = framer.next(MutableBytes(stream).subspan(8, 100));
  EXPECT_EQ(run->size, 100u);
  EXPECT_EQ(run->payload, 100u);
  EXPECT_EQ(run->opcode, kBinary);
  EXPECT_FALSE(run->begins);
  EXPECT_FALSE(run->ends);
  run = framer.next(MutableBytes(stream).subspan(108));
  EXPECT_EQ(run->size, 200u);
  EXPECT_FALSE(run->begins);
  EXPECT_TRUE(run->ends);
  EXPECT_TRUE(framer.at_message_boundary());
}

TEST(WsFramer, LeavesTheBytesUntouched) {
  FramingRules checked = rules();
  checked.validate_utf8 = true;
  WsFramer framer(checked);
  const Octets before = client(0x81, text("untouched")) + client(0x89, text("ping"));
  Octets stream = before;
  const auto run = framer.next(stream);
  ASSERT_TRUE(framer.next(MutableBytes(stream).subspan(run->size)));
  EXPECT_EQ(stream, before);
}

TEST(WsFramer, KeepsTheOpcodeOfTheMessageOverItsFragments) {
  WsFramer framer(rules());
  Octets stream = client(0x01, text("a")) + client(0x00, text("b")) + client(0x80, text("c"));
  std::size_t at = 0;
  for (int i = 0; i < 3; ++i) {
    const auto run = framer.next(MutableBytes(stream).subspan(at));
    ASSERT_TRUE(run);
    EXPECT_EQ(run->size, 7u);
    EXPECT_EQ(run->opcode, kText);
    EXPECT_EQ(run->begins, i == 0);
    EXPECT_EQ(run->ends, i == 2);
    EXPECT_TRUE(framer.at_frame_boundary());
    EXPECT_EQ(framer.at_message_boundary(), i == 2);
    at += run->size;
  }
}

TEST(WsFramer, AllowsControlFramesInsideAMessage) {  // A19
  WsFramer framer(rules());
  const Octets stream = Octets{0x01, 0x81} + kM + text("A") + Octets{0x89, 0x81} + kM + text("B") +
                        Octets{0x80, 0x81} + kM + text("C");
  const Walk seen = walk_whole(framer, stream);
  EXPECT_EQ(seen.error, Errc::none);
  ASSERT_EQ(seen.events.size(), 2u);
  EXPECT_EQ(seen.events[0], (Event{kText, false, true, 2, {}}));
  EXPECT_EQ(seen.events[1], (Event{kPing, true, true, 0, text("B")}));
  EXPECT_EQ(seen.forwarded, stream);
}

TEST(WsFramer, WaitsForTheWholeOfAControlFrame) {
  const Octets stream = client(0x8A, text("pong with a mask"));
  for (std::size_t cut = 0; cut < stream.size(); ++cut) {
    WsFramer framer(rules());
    Octets copy = stream;
    EXPECT_EQ(framer.next(MutableBytes(copy).first(cut))->size, 0u);
    const auto run = framer.next(copy);
    EXPECT_EQ(run->size, stream.size());
    EXPECT_TRUE(run->control);
    EXPECT_FALSE(run->begins || run->ends);
    EXPECT_EQ(run->opcode, kPong);
    EXPECT_EQ(as_text(run->content), "pong with a mask");
    EXPECT_TRUE(framer.at_message_boundary());
  }
}

TEST(WsFramer, HandsOverCloseContentWithoutJudgingIt) {  // A25-A27
  for (const Octets& content : {Octets{}, Octets{3}, Octets{3, 0xEC}, Octets{0x0F, 0xA1}}) {
    WsFramer framer(rules());
    const Walk seen = walk_whole(framer, client(0x88, content));
    ASSERT_EQ(seen.error, Errc::none);
    EXPECT_EQ(seen.events.at(0).content, content);
  }
}

TEST(WsFramer, RefusesTheWrongMask) {
  EXPECT_EQ(refusal(rules(), Octets{0x81, 0x05} + text("Hello")), Errc::ws_mask);                 // A15
  EXPECT_EQ(refusal(rules(Side::upstream), Octets{0x81, 0x81} + kM + text("A")), Errc::ws_mask);  // A33
  EXPECT_EQ(refusal(rules(), Octets{0x89, 0x00}), Errc::ws_mask);
}

TEST(WsFramer, RefusesReservedBits) {
  EXPECT_EQ(refusal(rules(), Octets{0xC1, 0x80} + kM), Errc::ws_rsv);  // A16
  EXPECT_EQ(refusal(rules(), Octets{0xA1, 0x80} + kM), Errc::ws_rsv);
  EXPECT_EQ(refusal(rules(), Octets{0x91, 0x80} + kM), Errc::ws_rsv);
  EXPECT_EQ(refusal(rules(), text("GET / HTTP/1.1\r\n")), Errc::ws_rsv);  // A07
  EXPECT_EQ(refused_at(rules(), text("GET / HTTP/1.1\r\n")), 1u);
}

TEST(WsFramer, AllowsTheFirstReservedBitOnlyWhereDeflatePutsIt) {
  FramingRules deflate = rules();
  deflate.rsv1 = true;
  EXPECT_EQ(refusal(deflate, Octets{0xC1, 0x80} + kM), Errc::none);
  EXPECT_EQ(refusal(deflate, Octets{0x42, 0x80} + kM + Octets{0x80, 0x80} + kM), Errc::none);
  EXPECT_EQ(refusal(deflate, Octets{0x01, 0x80} + kM + Octets{0xC0, 0x80} + kM), Errc::ws_rsv);
  EXPECT_EQ(refusal(deflate, Octets{0xC9, 0x80} + kM), Errc::ws_rsv);
  EXPECT_EQ(refusal(deflate, Octets{0xE1, 0x80} + kM), Errc::ws_rsv);
  EXPECT_EQ(refusal(deflate, Octets{0xC3, 0x80} + kM), Errc::ws_rsv);
}

TEST(WsFramer, RefusesUnknownOpcodes) {  // A17
  for (const std::uint8_t opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    const Octets stream = Octets{static_cast<std::uint8_t>(0x80 | opcode), 0x80} + kM;
    EXPECT_EQ(refusal(rules(), stream), Errc::ws_opcode);
    EXPECT_EQ(refused_at(rules(), stream), 1u);
  }
}

TEST(WsFramer, RefusesControlFramesThatAreCutOrTooLong) {  // A18
  EXPECT_EQ(refusal(rules(), Octets{0x09, 0x80} + kM), Errc::ws_ctl);
  const Octets long_ping = Octets{0x89, 0xFE, 0x00, 0x7E} + kM + Octets(126, 'x');
  EXPECT_EQ(refusal(rules(), long_ping), Errc::ws_ctl);
  EXPECT_EQ(refused_at(rules(), long_ping), 2u);
  EXPECT_EQ(refusal(rules(), Octets{0x88, 0xFF}), Errc::ws_ctl);
  EXPECT_EQ(refusal(rules(), Octets{0x8A, 0xFD} + kM + Octets(125, 'x')), Errc::none);
}

TEST(WsFramer, RefusesBrokenFragmentation) {  // A20
  EXPECT_EQ(refusal(rules(), Octets{0x80, 0x80} + kM), Errc::ws_frag);
  EXPECT_EQ(refusal(rules(), Octets{0x00, 0x81} + kM + text("x")), Errc::ws_frag);
  const Octets open = Octets{0x01, 0x81} + kM + text("A");
  EXPECT_EQ(refusal(rules(), open + Octets{0x81, 0x81} + kM + text("B")), Errc::ws_frag);
  EXPECT_EQ(refusal(rules(), open + Octets{0x02, 0x80} + kM), Errc::ws_frag);
  EXPECT_EQ(refusal(rules(), open + Octets{0x80, 0x80} + kM + Octets{0x80, 0x80} + kM), Errc::ws_frag);
}

TEST(WsFramer, RefusesLengthsThatAreNotMinimal) {  // A21
  EXPECT_EQ(refusal(rules(), Octets{0x82, 0xFE, 0x00, 0x7D} + kM), Errc::ws_len);
  EXPECT_EQ(refusal(rules(), Octets{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF} + kM), Errc::ws_len);
  EXPECT_EQ(refusal(rules(), Octets{0x82, 0xFE, 0x00, 0x7E} + kM + Octets(126, 0)), Errc::none);
  EXPECT_EQ(refusal(rules(), Octets{0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0} + kM), Errc::none);
  EXPECT_EQ(refused_at(rules(), Octets{0x82, 0xFE, 0x00, 0x7D} + kM), 4u);
  EXPECT_EQ(refused_at(rules(), Octets{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF} + kM), 8u);
}

TEST(WsFramer, RefusesTheTopBitOfA64BitLength) {  // A22
  EXPECT_EQ(refusal(rules(), Octets{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0} + kM), Errc::ws_len);
  EXPECT_EQ(refused_at(rules(), Octets{0x82, 0xFF, 0x80}), 3u);
  FramingRules limited = rules();
  limited.max_message = 1 << 20;
  EXPECT_EQ(refusal(limited, Octets{0x82} + Octets(9, 0xFF) + kM), Errc::ws_len);
}

TEST(WsFramer, RefusesMessagesOverTheLimitByTheirHeader) {  // A23
  FramingRules limited = rules();
  limited.max_message = 1 << 20;
  const Octets giant = Octets{0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0} + kM;
  EXPECT_EQ(refusal(limited, giant), Errc::too_big);
  EXPECT_EQ(refused_at(limited, giant), 7u);
  EXPECT_EQ(refusal(limited, Octets{0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0} + kM), Errc::too_big);
  EXPECT_EQ(refusal(limited, Octets{0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1} + kM), Errc::too_big);
  EXPECT_EQ(refusal(limited, Octets{0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0} + kM), Errc::none);
}

TEST(WsFramer, AddsUpTheFragmentsOfAMessageOnly) {
  FramingRules limited = rules();
  limited.max_message = 10;
  const Octets five = text("12345");
  const Octets open = client(0x01, five) + client(0x00, five);
  EXPECT_EQ(refusal(limited, open + client(0x80, {})), Errc::none);
  EXPECT_EQ(refusal(limited, open + client(0x80, {1})), Errc::too_big);
  EXPECT_EQ(refusal(limited, open + client(0x89, five) + client(0x80, {}) + client(0x82, Octets(10, 0))),
            Errc::none);
  EXPECT_EQ(refusal(limited, client(0x82, Octets(10, 0)) + client(0x82, Octets(11, 0))), Errc::too_big);
  EXPECT_EQ(refusal(limited, client(0x82, Octets(300, 0))), Errc::too_big);
}

TEST(WsFramer, SurvivesLengthsWhoseSumOverflows) {
  for (const Side side : {Side::client, Side::upstream}) {
    FramingRules unlimited = rules(side);
    WsFramer framer(unlimited);
    FramingRules limited = unlimited;
    limited.max_message = ~std::uint64_t{0} - 5;
    const Octets huge = {0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    const Octets stream = Octets{0x02, static_cast<std::uint8_t>(side == Side::client ? 0xFF : 0x7F)} + huge +
                          (side == Side::client ? kM : Octets{}) + text("abc");
    const Walk seen = walk_whole(framer, stream);
    EXPECT_EQ(seen.error, Errc::none);
    EXPECT_EQ(seen.covered, stream.size());
    EXPECT_FALSE(seen.at_frame);
    EXPECT_EQ(refusal(limited, stream), Errc::none);
  }
}

TEST(WsFramer, KeepsTheOrderOfItsChecks) {
  FramingRules limited = rules();
  limited.max_message = 1;
  limited.max_fragments = 1;
  EXPECT_EQ(refusal(limited, Octets{0xC3, 0x7F} + Octets(8, 0xFF)), Errc::ws_rsv);
  EXPECT_EQ(refusal(limited, Octets{0x03, 0x7F} + Octets(8, 0xFF)), Errc::ws_opcode);
  EXPECT_EQ(refusal(limited, Octets{0x08, 0x7F} + Octets(8, 0xFF)), Errc::ws_mask);
  EXPECT_EQ(refusal(limited, Octets{0x08, 0xFF} + Octets(8, 0xFF)), Errc::ws_ctl);
  EXPECT_EQ(refusal(limited, Octets{0x00, 0xFF} + Octets(8, 0xFF)), Errc::ws_len);
  EXPECT_EQ(refusal(limited, Octets{0x00, 0xFE, 0, 5} + kM), Errc::ws_len);
  EXPECT_EQ(refusal(limited, Octets{0x00, 0xFE, 0xFF, 0xFF} + kM), Errc::ws_frag);
  EXPECT_EQ(refusal(limited, Octets{0x01, 0x80} + kM + Octets{0x00, 0x85} + kM), Errc::too_big);
  EXPECT_EQ(refusal(limited, Octets{0x01, 0x80} + kM + Octets{0x00, 0x81} + kM), Errc::flood_frag);
  // Two octets of length that may still prove either: the earlier check decides, so nothing is said before it
  // can.
  limited.max_message = 300;
  EXPECT_EQ(refusal(limited, Octets{0x01, 0x80} + kM + Octets{0x00, 0xFE, 0x01, 0xF0} + kM), Errc::too_big);
  EXPECT_EQ(refusal(limited, Octets{0x01, 0x80} + kM + Octets{0x00, 0xFE, 0x01, 0x10} + kM),
            Errc::flood_frag);
}

TEST(WsFramer, RefusesAFloodOfShortFragments) {  // A28
  for (const Octets& fragment : {Octets{0x00, 0x80} + kM, Octets{0x00, 0x81} + kM + text("x")}) {
    Octets stream = Octets{0x01, 0x81} + kM + text("A");
    for (int i = 0; i < 1023; ++i) stream = std::move(stream) + fragment;
    WsFramer framer(rules());
    EXPECT_EQ(walk_whole(framer, stream).error, Errc::none);  // 1024 data frames
    Octets next = fragment;
    const auto run = framer.next(next);
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, Errc::flood_frag);
  }
}

TEST(WsFramer, CountsOnlyFragmentsUnder1KiBOfOneMessage) {
  FramingRules few = rules(Side::upstream);
  few.max_fragments = 2;
  const Octets large = server(0x00, Octets(1024, 1));
  const Octets almost = server(0x00, Octets(1023, 1));
  EXPECT_EQ(refusal(few, server(0x02, Octets(1024, 1)) + large + large + almost + almost + large),
            Errc::none);
  EXPECT_EQ(refusal(few, server(0x02, {}) + almost + large), Errc::none);
  EXPECT_EQ(refusal(few, server(0x02, {}) + almost + almost), Errc::flood_frag);
  const Octets message = server(0x02, {}) + server(0x80, {});
  EXPECT_EQ(refusal(few, message + message + message), Errc::none);
  few.max_fragments = 0;  // none
  EXPECT_EQ(refusal(few, server(0x02, {}) + almost + almost + almost), Errc::none);
}

FramingRules checked(Side side = Side::client) {
  FramingRules from = rules(side);
  from.validate_utf8 = true;
  return from;
}

TEST(WsFramer, ChecksTextWhenAsked) {
  const Octets surrogate = Octets{0x81, 0x83} + kM + Octets{0xED, 0xA0, 0x80};  // A24
  EXPECT_EQ(refusal(checked(), surrogate), Errc::ws_utf8);
  EXPECT_EQ(refused_at(checked(), surrogate), 8u);
  EXPECT_EQ(refusal(rules(), surrogate), Errc::none);
  const Octets mixed = {0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5, 0xED, 0xA0, 0x80};
  EXPECT_EQ(refusal(checked(), client(0x81, mixed)), Errc::ws_utf8);
  EXPECT_EQ(refusal(checked(Side::upstream), server(0x81, mixed)), Errc::ws_utf8);
  EXPECT_EQ(refusal(checked(), client(0x82, mixed)), Errc::none);
  EXPECT_EQ(refused_at(checked(), client(0x81, {0xF4, 0x90, 0x80, 0x80})), 8u);
}

TEST(WsFramer, ChecksTextAcrossFragments) {
  const Octets open = client(0x01, {0xF0}) + client(0x00, {0x9F, 0x98}, {9, 9, 9, 9});
  EXPECT_EQ(refusal(checked(), open + client(0x89, {0xFF}) + client(0x80, {0x80})), Errc::none);
  EXPECT_EQ(refusal(checked(), open + client(0x80, {})), Errc::ws_utf8);
  EXPECT_EQ(refusal(checked(), open + client(0x80, {0x41})), Errc::ws_utf8);
  EXPECT_EQ(refusal(checked(), client(0x81, {0xC3})), Errc::ws_utf8);
  EXPECT_EQ(refusal(checked(), client(0x81, {}) + client(0x81, text("a"))), Errc::none);
}

TEST(WsFramer, ChecksTextOfManyBlocks) {
  Octets payload;
  while (payload.size() < 20000) payload = std::move(payload) + Octets{'a', 0xE2, 0x82, 0xAC};
  WsFramer good(checked());
  EXPECT_EQ(walk_whole(good, client(0x81, payload)).error, Errc::none);
  payload[15000] = 0xFF;
  WsFramer bad(checked());
  EXPECT_EQ(walk_whole(bad, client(0x81, payload)).error, Errc::ws_utf8);
}

TEST(WsFramer, DoesNotCheckCompressedText) {
  FramingRules deflate = checked();
  deflate.rsv1 = true;
  const Octets compressed = client(0xC1, {0xFF, 0xFE});
  EXPECT_EQ(refusal(deflate, compressed), Errc::none);
  EXPECT_EQ(refusal(deflate, compressed + client(0x81, {0xFF})), Errc::ws_utf8);
}

// One stream with everything in it: each form of length, fragments with control frames between, empty frames.
Octets rich_stream(Side side) {
  const auto put = [side](std::uint8_t first, const Octets& payload) {
    return side == Side::client ? client(first, payload) : server(first, payload);
  };
  return put(0x81, text("hello")) + put(0x01, text("f\xC3")) + put(0x89, {}) + put(0x00, {}) +
         put(0x00, {0xA9}) + put(0x8A, text("pong")) + put(0x80, {}) + put(0x82, Octets(126, 1)) +
         put(0x82, {}) + put(0x02, Octets(700, 2)) + put(0x89, Octets(125, 'p')) + put(0x80, Octets(125, 3)) +
         put(0x88, {3, 0xE8});
}

TEST(WsFramer, SaysTheSameAtEveryCut) {
  for (const Side side : {Side::client, Side::upstream}) {
    const Octets stream = rich_stream(side);
    const std::vector<Event> expected = reference(stream);
    ASSERT_EQ(expected.size(), 9u);
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      WsFramer framer(checked(side));
      const Walk seen = walk(framer, stream, {cut, stream.size()});
      ASSERT_EQ(seen.error, Errc::none) << cut;
      ASSERT_EQ(seen.events, expected) << cut;
      ASSERT_EQ(seen.forwarded, stream) << cut;
      ASSERT_TRUE(seen.at_message);
    }
    WsFramer framer(checked(side));
    EXPECT_EQ(walk(framer, stream, every_octet(stream.size())).events, expected);
  }
}

TEST(WsFramer, SaysTheSameAtEveryCutOfA64BitHeader) {
  const Octets stream = client(0x82, Octets(65536, 5)) + client(0x81, text("after"));
  const std::vector<Event> expected = reference(stream);
  for (std::size_t cut = 0; cut < 40; ++cut) {
    for (const std::size_t at : {cut, stream.size() - cut}) {
      WsFramer framer(rules());
      const Walk seen = walk(framer, stream, {at, stream.size()});
      ASSERT_EQ(seen.error, Errc::none) << at;
      ASSERT_EQ(seen.events, expected) << at;
    }
  }
}

TEST(WsFramer, KnowsItsBoundariesAtEveryPrefix) {
  const Octets stream = rich_stream(Side::client);
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    WsFramer framer(rules());
    const Octets prefix(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    const Walk seen = walk_whole(framer, prefix);
    // A message is at hand exactly when the last data event of the reference has not ended.
    bool open = false;
    for (const Event& event : reference(prefix)) open = event.control ? open : !event.whole;
    ASSERT_EQ(seen.at_message, !open) << size;
    ASSERT_TRUE(seen.at_frame || !seen.at_message) << size;
  }
}

// Random streams of correct frames against the reference decoder, cut at random.
TEST(WsFramer, AgreesWithTheReferenceOnRandomStreams) {
  std::mt19937 random(42);
  const auto pick = [&random](unsigned bound) { return static_cast<unsigned>(random() % bound); };
  for (int round = 0; round < 2000; ++round) {
    const Side side = pick(2) == 0 ? Side::client : Side::upstream;
    Octets stream;
    bool open = false;
    for (unsigned frames = 1 + pick(12); frames > 0; --frames) {
      Octets payload(pick(4) == 0 ? pick(1500) : pick(8));
      for (auto& octet : payload) octet = static_cast<std::uint8_t>(random());
      std::uint8_t first = 0;
      if (pick(4) == 0) {
        first = static_cast<std::uint8_t>(0x88 + pick(3));
        payload.resize(std::min<std::size_t>(payload.size(), 125));
      } else {
        const bool fin = pick(2) == 0;
        first = static_cast<std::uint8_t>((fin ? 0x80 : 0) | (open ? 0 : 1 + pick(2)));
        open = !fin;
      }
      Mask mask;
      for (auto& octet : mask) octet = static_cast<std::uint8_t>(random());
      stream = std::move(stream) + frame(first, payload, side == Side::client ? &mask : nullptr);
    }
    if (pick(3) == 0) stream.resize(1 + pick(static_cast<unsigned>(stream.size())));
    std::vector<std::size_t> ends;
    for (std::size_t end = 0; end < stream.size();) {
      end = std::min(stream.size(), end + 1 + (pick(2) == 0 ? pick(5) : pick(600)));
      ends.push_back(end);
    }
    WsFramer framer(rules(side));
    const Walk seen = walk(framer, stream, ends);
    ASSERT_EQ(seen.error, Errc::none) << round;
    ASSERT_EQ(seen.events, reference(stream)) << round;
  }
}

// Random octets: whatever the verdict is, it must not depend on the cuts.
TEST(WsFramer, GivesOneVerdictOnRandomOctetsHoweverCut) {
  std::mt19937 random(43);
  for (int round = 0; round < 5000; ++round) {
    FramingRules from = checked(random() % 2 == 0 ? Side::client : Side::upstream);
    from.max_message = random() % 3 == 0 ? 0 : random() % 2000;
    from.max_fragments = random() % 4;
    from.rsv1 = random() % 2 == 0;
    static constexpr std::uint8_t kFirst[] = {0x00, 0x01, 0x02, 0x80, 0x81, 0x82,
                                              0x88, 0x89, 0xC1, 0x41, 0x83};
    Octets stream;
    for (unsigned frames = random() % 6; frames > 0; --frames) {
      Octets piece(2 + random() % 30);
      for (auto& octet : piece) octet = static_cast<std::uint8_t>(random() % 5 == 0 ? random() : 0);
      piece[0] = kFirst[random() % std::size(kFirst)];
      piece[1] = static_cast<std::uint8_t>((from.side == Side::client ? 0x80 : 0) |
                                           (random() % 3 == 0 ? 126 + random() % 2 : random() % 20));
      stream = std::move(stream) + piece;
    }
    WsFramer whole(from);
    const Walk expected = walk_whole(whole, stream);
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      WsFramer framer(from);
      const Walk seen = walk(framer, stream, {cut, stream.size()});
      ASSERT_EQ(seen.error, expected.error) << round << ' ' << cut;
      ASSERT_TRUE(seen.error != Errc::none || seen.events == expected.events) << round << ' ' << cut;
    }
  }
}

}  // namespace
}  // namespace sluice::ws
