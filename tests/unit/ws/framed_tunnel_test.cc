#include "ws/framed_tunnel.h"

#include <gtest/gtest.h>

#include <functional>

#include "unit/ws/carry.h"

namespace sluice::ws {
namespace {

using namespace test;
using Invalid = TcpFraming::InvalidText;
using Kind = LengthPrefix::Kind;

TcpFraming lines(std::string delimiter = "\n", bool keep = false) {
  TcpFraming framing;
  framing.type = TcpFraming::Type::delimiter;
  framing.delimiter = Delimiter(std::move(delimiter));
  framing.keep = keep;
  return framing;
}

TcpFraming counted(Kind kind = Kind::u16) {
  TcpFraming framing;
  framing.type = TcpFraming::Type::length;
  framing.length = {kind, false, false};
  return framing;
}

// Every way of showing the stream in two pieces, and octet by octet.
template <typename Make>
void however_cut(const Octets& stream, Make&& make, const std::function<void(const Carried&)>& expect) {
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    SCOPED_TRACE(cut);
    auto framer = make();
    expect(carry(framer, stream, {cut, stream.size()}));
    if (testing::Test::HasFailure()) return;
  }
  auto framer = make();
  expect(carry(framer, stream, every_octet(stream.size())));
}

// ---- up, delimited -----------------------------------------------------------------------------------------------------

TEST(WsToDelimited, PutsTheDelimiterBehindEachMessage) {
  const Octets stream = client(0x82, text("one")) + client(0x01, text("tw")) + client(0x89, text("ping")) +
                        client(0x80, text("o")) + client(0x81, {}) + client(0x82, Octets(3000, 'x'));
  for (const bool keep : {false, true}) {
    const TcpFraming framing = lines("\r\n", keep);
    however_cut(stream, [&] { return WsToDelimited({}, framing); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::none);
      EXPECT_EQ(got.sent, text("one\r\ntwo\r\n\r\n") + Octets(3000, 'x') + text("\r\n"));
      EXPECT_EQ(got.begun, 4u);
      EXPECT_EQ(got.ended, 4u);
      EXPECT_EQ(got.payload, 3006u);
      EXPECT_EQ(got.controls, std::vector<Octets>{text("ping")});
      EXPECT_TRUE(got.at_frame && got.at_message);
    });
  }
}

TEST(WsToDelimited, RefusesAMessageThatWouldBeTwoFrames) {
  const TcpFraming framing = lines("\r\n");
  for (const Octets& stream : {client(0x82, text("a\r\nb")), client(0x82, text("a\r\n")),
                               client(0x02, text("a\r")) + client(0x80, text("\nb"))}) {
    however_cut(stream, [&] { return WsToDelimited({}, framing); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::ws_delimiter);
      EXPECT_EQ(got.side, Side::client);
      EXPECT_EQ(as_text(got.sent).find("\r\n"), std::string_view::npos);
      EXPECT_EQ(got.ended, 0u);
    });
  }
  const TcpFraming doubled = lines("aa");  // "a" + "aa" reads as "" and "a"
  however_cut(client(0x82, text("a")), [&] { return WsToDelimited({}, doubled); },
              [&](const Carried& got) { EXPECT_EQ(got.error, Errc::ws_delimiter); });
}

TEST(WsToDelimited, AMessageMayEndWithADelimiterThatIsKept) {
  const TcpFraming framing = lines("\r\n", true);
  const Octets good = client(0x82, text("a\r\n")) + client(0x02, text("b\r")) + client(0x80, text("\n")) +
                      client(0x82, text("\r\n"));
  however_cut(good, [&] { return WsToDelimited({}, framing); }, [&](const Carried& got) {
    EXPECT_EQ(got.error, Errc::none);
    EXPECT_EQ(got.sent, text("a\r\nb\r\n\r\n"));
  });
  // A server that reads to the delimiter would take what comes before the end of the message for all of it.
  for (const Octets& bad : {client(0x82, text("a\r\nb")), client(0x02, text("a\r\n")) + client(0x80, text("b")),
                            client(0x02, text("a\r\n")) + client(0x80, {})}) {
    however_cut(bad, [&] { return WsToDelimited({}, framing); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::ws_delimiter);
      EXPECT_EQ(as_text(got.sent).find("\r\n"), std::string_view::npos);
    });
  }
}

TEST(WsToDelimited, AMessageOverTheLongestFrameIsTooBig) {
  TcpFraming framing = lines();
  framing.max_frame = 10;
  WsToDelimited good({}, framing);
  EXPECT_EQ(carry_whole(good, client(0x82, Octets(10, 'x'))).error, Errc::none);
  WsToDelimited bad({}, framing);
  EXPECT_EQ(carry_whole(bad, client(0x82, Octets(11, 'x'))).error, Errc::too_big);
  WsToDelimited ruled({.max_message = 5}, framing);
  EXPECT_EQ(carry_whole(ruled, client(0x82, Octets(6, 'x'))).error, Errc::too_big);
}

TEST(WsToDelimited, StandsAtAFrameOnlyBetweenMessages) {
  const TcpFraming framing = lines();
  WsToDelimited framer({}, framing);
  EXPECT_TRUE(framer.at_frame_boundary());
  EXPECT_FALSE(carry_whole(framer, client(0x02, text("half"))).at_frame);
}

// ---- up, with a length -------------------------------------------------------------------------------------------------

TEST(WsToLengths, PutsTheLengthBeforeEachMessage) {
  const Octets stream = client(0x82, text("one")) + client(0x01, text("tw")) + client(0x89, text("ping")) +
                        client(0x00, {}) + client(0x00, text("o th")) + client(0x80, text("ree")) +
                        client(0x81, {}) + client(0x02, text("x")) + client(0x80, {}) + client(0x02, {}) +
                        client(0x80, {}) + client(0x82, Octets(3000, 'x'));
  const TcpFraming framing = counted();
  however_cut(stream, [&] { return WsToLengths({}, framing); }, [&](const Carried& got) {
    EXPECT_EQ(got.error, Errc::none);
    EXPECT_EQ(got.sent, Octets({0, 3}) + text("one") + Octets({0, 9}) + text("two three") + Octets({0, 0, 0, 1, 'x', 0, 0}) +
                            Octets({3000 >> 8, 3000 & 255}) + Octets(3000, 'x'));
    EXPECT_EQ(got.begun, 6u);
    EXPECT_EQ(got.ended, 6u);
    EXPECT_EQ(got.controls, std::vector<Octets>{text("ping")});
    EXPECT_TRUE(got.at_frame && got.at_message);
  });
}

TEST(WsToLengths, StreamsAMessageWhoseLengthIsKnown) {
  TcpFraming framing = counted(Kind::u32);
  framing.max_frame = std::uint64_t{1} << 40;
  WsToLengths framer({}, framing);
  Octets stream = client(0x82, Octets(100'000, 'x'));
  const auto first = framer.next(MutableBytes(stream).first(1000));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size, 1000u);
  EXPECT_EQ(first->prefix_size, 4u);
  EXPECT_FALSE(framer.at_frame_boundary());
  // So does the last fragment of a cut one.
  WsToLengths other({}, framing);
  ASSERT_EQ(carry_whole(other, client(0x02, text("held"))).error, Errc::none);
  EXPECT_TRUE(other.at_frame_boundary()) << "nothing of it has passed";
  EXPECT_FALSE(other.at_message_boundary());
  Octets rest = client(0x80, Octets(100'000, 'y'));
  const auto header = other.next(MutableBytes(rest).first(500));
  ASSERT_TRUE(header);
  EXPECT_EQ(as_text(header->content), "held");
  EXPECT_EQ(Octets(header->prefix.begin(), header->prefix.begin() + 4), (Octets{0, 1, 0x86, 0xA4}));
  EXPECT_EQ(header->size, header->skip);
  EXPECT_FALSE(other.at_frame_boundary());
}

TEST(WsToLengths, KeepsNoMoreOfFragmentsThanItsBound) {
  TcpFraming framing = counted(Kind::u32);
  framing.max_frame = std::uint64_t{1} << 40;
  WsToLengths good({}, framing);
  EXPECT_EQ(carry_whole(good, client(0x02, Octets(WsToLengths::kMostHeld, 'x')) + client(0x80, Octets(500'000, 'y'))).error,
            Errc::none);
  WsToLengths bad({}, framing);
  Octets declared = client(0x02, Octets(WsToLengths::kMostHeld + 1, 'x'));
  declared.resize(20);  // what is declared is refused before it has come
  const Carried got = carry_whole(bad, declared);
  EXPECT_EQ(got.error, Errc::too_big);
  EXPECT_EQ(got.side, Side::client);
  WsToLengths sum({}, framing);
  EXPECT_EQ(carry_whole(sum, client(0x02, Octets(40'000, 'x')) + client(0x00, Octets(40'000, 'x'))).error, Errc::too_big);
}

TEST(WsToLengths, AMessageThatItsPrefixCannotSayIsTooBig) {
  const TcpFraming framing = counted(Kind::u8);
  WsToLengths good({}, framing);
  EXPECT_EQ(carry_whole(good, client(0x82, Octets(255, 'x'))).error, Errc::none);
  WsToLengths bad({}, framing);
  EXPECT_EQ(carry_whole(bad, client(0x82, Octets(256, 'x'))).error, Errc::too_big);
  WsToLengths cut({}, framing);
  EXPECT_EQ(carry_whole(cut, client(0x02, Octets(200, 'x')) + client(0x80, Octets(56, 'x'))).error, Errc::too_big);
}

// ---- down --------------------------------------------------------------------------------------------------------------

TEST(FramesToWs, ADelimitedPieceIsAMessage) {
  const Octets stream = text("one\r\n\r\nt\rwo\r\r\n") + Octets(5000, 'x') + text("\r\n");
  for (const bool keep : {false, true}) {
    const TcpFraming framing = lines("\r\n", keep);
    const std::string end = keep ? "\r\n" : "";
    const std::vector<Message> expected = {binary(text("one" + end)), binary(text(end)), binary(text("t\rwo\r" + end)),
                                           binary(Octets(5000, 'x') + text(end))};
    however_cut(stream, [&] { return FramesToWs(framing, kBinary); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::none);
      EXPECT_EQ(messages(got.sent), expected);
      EXPECT_EQ(got.covered, stream.size());
      EXPECT_EQ(got.ended, 4u);
      EXPECT_TRUE(got.at_message);
    });
  }
}

TEST(FramesToWs, APieceThatIsThereAsAWholeIsOneFrame) {
  const TcpFraming framing = lines();
  FramesToWs framer(framing, kText);
  EXPECT_EQ(carry_whole(framer, text("a line\n\nx\n")).sent, server(0x81, text("a line")) + server(0x81, {}) + server(0x81, text("x")));
  FramesToWs cut(framing, kText);
  const Carried got = carry(cut, text("a line\n"), {3, 7});
  EXPECT_EQ(got.sent, server(0x01, text("a l")) + server(0x80, text("ine")));
}

TEST(FramesToWs, AFrameWithALengthIsAMessage) {
  for (const Kind kind : {Kind::u16, Kind::u32, Kind::varint, Kind::u64}) {
    const TcpFraming framing = counted(kind);
    Octets stream;
    const auto put = [&](const Octets& payload) {
      std::array<std::uint8_t, LengthPrefix::kMost> prefix;
      const std::size_t size = framing.length.encode(payload.size(), prefix.data());
      stream = stream + Octets(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(size)) + payload;
    };
    put(text("one"));
    put({});
    put(Octets(3000, 'x'));
    put(text("two"));
    however_cut(stream, [&] { return FramesToWs(framing, kBinary); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::none);
      EXPECT_EQ(messages(got.sent), (std::vector<Message>{binary(text("one")), binary({}), binary(Octets(3000, 'x')),
                                                          binary(text("two"))}));
      EXPECT_EQ(got.covered, stream.size());
      EXPECT_TRUE(got.at_message);
    });
  }
}

TEST(FramesToWs, AFrameOverItsLimitIsRefusedBeforeItComes) {
  TcpFraming framing = counted(Kind::u32);
  framing.max_frame = 100;
  however_cut({0x7F, 0xFF, 0xFF, 0xFF}, [&] { return FramesToWs(framing, kBinary); }, [](const Carried& got) {
    EXPECT_EQ(got.error, Errc::tcp_frame_too_big);
    EXPECT_EQ(got.side, Side::upstream);
    EXPECT_EQ(got.covered, 0u);
  });
  TcpFraming delimited = lines("\r\n");
  delimited.max_frame = 100;
  however_cut(Octets(100, 'x') + text("\r\n"), [&] { return FramesToWs(delimited, kBinary); },
              [](const Carried& got) { EXPECT_EQ(got.error, Errc::none); });
  for (const Octets& stream : {Octets(101, 'x') + text("\r\n"), Octets(101, 'x')}) {
    however_cut(stream, [&] { return FramesToWs(delimited, kBinary); },
                [](const Carried& got) { EXPECT_EQ(got.error, Errc::tcp_frame_too_big); });
  }
}

TEST(FramesToWs, ALengthThatIsNoneIsRefused) {
  TcpFraming framing = counted(Kind::u16);
  framing.length.counted = true;
  FramesToWs framer(framing, kBinary);
  EXPECT_EQ(carry_whole(framer, {0, 1}).error, Errc::tcp_frame_bad);
}

// ---- text --------------------------------------------------------------------------------------------------------------

TcpFraming textual_lines(Invalid invalid) {
  TcpFraming framing = lines();
  framing.invalid_text = invalid;
  return framing;
}

TEST(FramesToWs, TextIsUtf8OverTheWholeMessage) {
  const Octets stream = text("gr\xC3\xBC\xC3\x9F\x65\n\xF0\x9F\x98\x80\n");
  for (const Invalid invalid : {Invalid::close, Invalid::binary, Invalid::replace}) {
    const TcpFraming framing = textual_lines(invalid);
    however_cut(stream, [&] { return FramesToWs(framing, kText); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::none);
      EXPECT_EQ(messages(got.sent),
                (std::vector<Message>{textual("gr\xC3\xBC\xC3\x9F\x65"), textual("\xF0\x9F\x98\x80")}));
    });
  }
}

TEST(FramesToWs, WhatIsNoUtf8EndsTheConnection) {
  const TcpFraming framing = textual_lines(Invalid::close);
  for (const Octets& stream : {text("a\xFFz\n"), text("a\xC3\n"), text("\xED\xA0\x80\n")}) {
    however_cut(stream, [&] { return FramesToWs(framing, kText); }, [](const Carried& got) {
      EXPECT_EQ(got.error, Errc::tcp_utf8);
      EXPECT_EQ(got.ended, 0u);
    });
  }
}

TEST(FramesToWs, WhatIsNoUtf8GoesAsBinary) {
  const TcpFraming framing = textual_lines(Invalid::binary);
  however_cut(text("a\xFFz\nfine\na\xC3\n"), [&] { return FramesToWs(framing, kText); }, [](const Carried& got) {
    EXPECT_EQ(got.error, Errc::none);
    EXPECT_EQ(messages(got.sent),
              (std::vector<Message>{binary(text("a\xFFz")), textual("fine"), binary(text("a\xC3"))}));
  });
  // So much is judged; what is found later comes too late.
  FramesToWs late(framing, kText);
  EXPECT_EQ(carry(late, Octets(FramesToWs::kMostJudged, 'x') + text("\xFF\n"), {FramesToWs::kMostJudged, FramesToWs::kMostJudged + 2}).error,
            Errc::tcp_utf8);
  // A message that has begun as binary stays it.
  FramesToWs long_one(framing, kText);
  const Octets octets = text("\xFF") + Octets(100'000, 'x');
  std::vector<std::size_t> ends;
  for (std::size_t end = 1; end <= octets.size() + 1; end += 10'000) ends.push_back(end);
  ends.push_back(octets.size() + 1);
  const Carried got = carry(long_one, octets + text("\n"), ends);
  EXPECT_EQ(messages(got.sent), (std::vector<Message>{binary(octets)}));
  // Nothing is held for ever: a length is judged by the same rule.
  TcpFraming with_length = counted(Kind::u32);
  with_length.invalid_text = Invalid::binary;
  however_cut({0, 0, 0, 2, 'a', 0xFF, 0, 0, 0, 1, 'b'}, [&] { return FramesToWs(with_length, kText); }, [](const Carried& one) {
    EXPECT_EQ(messages(one.sent), (std::vector<Message>{binary({'a', 0xFF}), textual("b")}));
  });
}

// Unicode, section 3.9, table 3-8 and its neighbours.
TEST(FramesToWs, WhatIsNoUtf8IsReplaced) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\xFFz", "a\uFFFDz"},
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41\uFFFD\uFFFD\x42"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\x41"},
      {"cut\xE2\x82", "cut\uFFFD"},
      {"\xC3", "\uFFFD"},
  };
  for (const auto& [octets, expected] : cases) {
    TcpFraming framing = textual_lines(Invalid::replace);
    however_cut(text(octets) + text("\nnext\n"), [&] { return FramesToWs(framing, kText); }, [&](const Carried& got) {
      EXPECT_EQ(got.error, Errc::none);
      EXPECT_EQ(messages(got.sent), (std::vector<Message>{textual(expected), textual("next")}));
      EXPECT_TRUE(got.at_message);
    });
    framing = counted();
    framing.invalid_text = Invalid::replace;
    const auto size = static_cast<std::uint8_t>(text(octets).size());
    however_cut(Octets{0, size} + text(octets) + Octets{0, 1, 'x'}, [&] { return FramesToWs(framing, kText); }, [&](const Carried& got) {
      EXPECT_EQ(messages(got.sent), (std::vector<Message>{textual(expected), textual("x")}));
    });
  }
  // Without end and without a character: each octet costs one look.
  const TcpFraming framing = textual_lines(Invalid::replace);
  FramesToWs framer(framing, kText);
  const Carried got = carry_whole(framer, Octets(60'000, 0xFF) + text("\n"));
  ASSERT_EQ(messages(got.sent).size(), 1u);
  EXPECT_EQ(messages(got.sent)[0].payload.size(), 180'000u);
}

}  // namespace
}  // namespace sluice::ws
