#include "ws/tcp_framing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/ws/frames.h"

namespace sluice::ws {
namespace {

using namespace test;
using Kind = LengthPrefix::Kind;
using Outcome = LengthPrefix::Decoded::Kind;

TEST(Delimiter, IsFoundHoweverTheOctetsAreCut) {
  for (const std::string_view octets : {"\n", "\r\n", "aab", "abab", "aaaa"}) {
    const Delimiter delimiter{std::string(octets)};
    // All streams of up to nine octets of a small alphabet.
    for (unsigned code = 0; code < 19683; ++code) {
      std::string stream;
      for (unsigned rest = code, i = 0; i < 9; ++i, rest /= 3) stream += "\nab"[rest % 3];
      if (octets[0] == '\r') std::ranges::replace(stream, 'a', '\r');
      const std::size_t first = stream.find(octets);
      const auto whole = delimiter.find(as_bytes(stream));
      ASSERT_EQ(whole.value_or(std::string::npos), first);
      std::size_t matched = 0;
      std::size_t end = 0;
      for (std::size_t i = 0; i < stream.size() && end == 0; ++i) {
        if (delimiter.feed(as_bytes(stream).subspan(i, 1), matched)) end = i + 1;
      }
      ASSERT_EQ(end, first == std::string::npos ? 0 : first + octets.size()) << stream;
    }
  }
}

TEST(Delimiter, KnowsWhatMayBeItsBeginning) {
  const Delimiter delimiter{"abac"};
  EXPECT_EQ(delimiter.cut_at_end(as_bytes(std::string_view("xxab"))), 2u);
  EXPECT_EQ(delimiter.cut_at_end(as_bytes(std::string_view("xaba"))), 3u);
  EXPECT_EQ(delimiter.cut_at_end(as_bytes(std::string_view("a"))), 1u);
  EXPECT_EQ(delimiter.cut_at_end(as_bytes(std::string_view("abax"))), 0u);
  EXPECT_EQ(delimiter.cut_at_end({}), 0u);
}

// "a" + "aa" would be read as "" and "a".
TEST(Delimiter, SeesThatAPayloadWouldMoveIt) {
  const auto ends_after = [](std::string_view octets, std::string_view payload) {
    const Delimiter delimiter{std::string(octets)};
    std::size_t matched = 0;
    EXPECT_FALSE(delimiter.feed(as_bytes(payload), matched));
    return delimiter.ends_after(matched);
  };
  EXPECT_FALSE(ends_after("aa", "a"));
  EXPECT_FALSE(ends_after("abab", "xab"));
  EXPECT_TRUE(ends_after("\r\n", "x\r"));
  EXPECT_TRUE(ends_after("\r\n", ""));
  EXPECT_TRUE(ends_after("aab", "xa"));  // "xaaab": the first is the one that was put there
}

TEST(LengthPrefix, SaysWhatItWrote) {
  for (const Kind kind : {Kind::u8, Kind::u16, Kind::u24, Kind::u32, Kind::u64, Kind::varint}) {
    for (const bool little : {false, true}) {
      for (const bool counted : {false, true}) {
        if (kind == Kind::varint && counted) continue;
        const LengthPrefix prefix{kind, little, counted};
        for (const std::uint64_t length :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{250},
              std::uint64_t{65530}, std::uint64_t{70000}, std::uint64_t{1} << 33, prefix.longest()}) {
          if (length > prefix.longest()) continue;
          std::array<std::uint8_t, LengthPrefix::kMost> out;
          const std::size_t size = prefix.encode(length, out.data());
          for (std::size_t there = 0; there < size; ++there) {
            EXPECT_EQ(prefix.decode(Bytes(out).first(there)).kind, Outcome::more);
          }
          const auto decoded = prefix.decode(Bytes(out).first(size));
          ASSERT_EQ(decoded.kind, Outcome::whole);
          EXPECT_EQ(decoded.length, length);
          EXPECT_EQ(decoded.size, size);
        }
      }
    }
  }
}

Octets encoded(const LengthPrefix& prefix, std::uint64_t length) {
  std::array<std::uint8_t, LengthPrefix::kMost> out;
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(prefix.encode(length, out.data()))};
}

TEST(LengthPrefix, OctetsAreInTheirOrder) {
  EXPECT_EQ(encoded({Kind::u24, false, false}, 0x010203), (Octets{1, 2, 3}));
  EXPECT_EQ(encoded({Kind::u24, true, false}, 0x010203), (Octets{3, 2, 1}));
  EXPECT_EQ(encoded({Kind::u16, false, true}, 5), (Octets{0, 7}));
  EXPECT_EQ(encoded({Kind::u32, true, true}, 5), (Octets{9, 0, 0, 0}));
  EXPECT_EQ(encoded({Kind::varint}, 300), (Octets{0xAC, 0x02}));
  EXPECT_EQ(encoded({Kind::varint}, ~std::uint64_t{0}).size(), 10u);
}

TEST(LengthPrefix, RefusesWhatIsNoLength) {
  const LengthPrefix counted{Kind::u32, false, true};
  EXPECT_EQ(counted.decode(Octets{0, 0, 0, 3}).kind, Outcome::bad);
  EXPECT_EQ(counted.decode(Octets{0, 0, 0, 4}).kind, Outcome::whole);
  const LengthPrefix varint{Kind::varint};
  EXPECT_EQ(varint.decode(Octets{0x80, 0x00}).kind, Outcome::bad);        // not minimal
  EXPECT_EQ(varint.decode(Octets(10, 0xFF)).kind, Outcome::bad);          // no end
  EXPECT_EQ(varint.decode(Octets(9, 0xFF)).kind, Outcome::more);
  Octets most(9, 0xFF);
  most.push_back(0x01);
  EXPECT_EQ(varint.decode(most).length, ~std::uint64_t{0});
  most.back() = 0x02;
  EXPECT_EQ(varint.decode(most).kind, Outcome::bad);                      // 65 bits
}

TEST(LengthPrefix, LongestIsWhatFits) {
  EXPECT_EQ((LengthPrefix{Kind::u8}).longest(), 255u);
  EXPECT_EQ((LengthPrefix{Kind::u8, false, true}).longest(), 254u);
  EXPECT_EQ((LengthPrefix{Kind::u64, false, true}).longest(), ~std::uint64_t{0} - 8);
}

}  // namespace
}  // namespace sluice::ws
