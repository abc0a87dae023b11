#include "base/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

// The simplest reference: decode code point by code point (RFC 3629 §3).
bool reference(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    const std::size_t size = lead < 0x80         ? 1
                             : (lead >> 5) == 6  ? 2
                             : (lead >> 4) == 14 ? 3
                             : (lead >> 3) == 30 ? 4
                                                 : 0;
    if (size == 0 || i + size > text.size()) return false;
    std::uint32_t point = size == 1 ? lead : lead & (0x7Fu >> size);
    for (std::size_t k = 1; k < size; ++k) {
      const auto octet = static_cast<std::uint8_t>(text[i + k]);
      if ((octet & 0xC0) != 0x80) return false;
      point = point << 6 | (octet & 0x3F);
    }
    static constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[size] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    i += size;
  }
  return true;
}

std::string encode(std::uint32_t point) {
  std::string out;
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
  return out;
}

bool fed_in_pieces(std::string_view text, std::size_t piece) {
  Utf8Validator validator;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (!validator.feed(as_bytes(text.substr(at, piece)))) return false;
  }
  return validator.complete();
}

// The number of octets after which an octet-by-octet feed refuses; 0: never.
std::size_t refused_at(std::string_view text) {
  Utf8Validator validator;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!validator.feed(as_bytes(text.substr(i, 1)))) return i + 1;
  }
  return 0;
}

TEST(Utf8, AcceptsTheBordersOfEveryLength) {
  for (const std::uint32_t point :
       {0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    const std::string text = encode(point);
    EXPECT_TRUE(valid_utf8(as_bytes(text))) << point;
    for (std::size_t piece = 1; piece <= 4; ++piece) EXPECT_TRUE(fed_in_pieces(text, piece)) << point;
  }
  EXPECT_TRUE(valid_utf8({}));
}

TEST(Utf8, RefusesOverlongSurrogatesAndBeyondUnicode) {
  for (const std::string_view text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\x80", "\xBF"}) {
    EXPECT_FALSE(valid_utf8(as_bytes(text)));
    for (std::size_t piece = 1; piece <= 4; ++piece) EXPECT_FALSE(fed_in_pieces(text, piece));
  }
}

TEST(Utf8Validator, RefusesAsEarlyAsTheOctetsAllow) {
  EXPECT_EQ(refused_at("\xF4\x90\x80\x80"), 2u);
  EXPECT_EQ(refused_at("\xED\xA0\x80"), 2u);
  EXPECT_EQ(refused_at("\xE0\x9F"), 2u);
  EXPECT_EQ(refused_at("\xF0\x8F"), 2u);
  EXPECT_EQ(refused_at("\xC1"), 1u);
  EXPECT_EQ(refused_at("\xF5"), 1u);
  EXPECT_EQ(refused_at("\x80"), 1u);
  EXPECT_EQ(refused_at("a\xE2\x82"
                       "a"),
            4u);
  EXPECT_EQ(refused_at("a\xE2\x82\xAC"), 0u);
}

TEST(Utf8Validator, RefusesABadTailInOnePieceToo) {
  Utf8Validator validator;
  EXPECT_FALSE(validator.feed(as_bytes("abc\xF4\x90")));
}

TEST(Utf8Validator, IsIncompleteInsideACodePointOnly) {
  Utf8Validator validator;
  EXPECT_TRUE(validator.complete());
  EXPECT_TRUE(validator.feed(as_bytes("\xF0")));
  EXPECT_FALSE(validator.complete());
  EXPECT_TRUE(validator.feed({}));
  EXPECT_FALSE(validator.complete());
  EXPECT_TRUE(validator.feed(as_bytes("\x9F\x98")));
  EXPECT_FALSE(validator.complete());
  EXPECT_TRUE(validator.feed(as_bytes("\x80")));
  EXPECT_TRUE(validator.complete());
  EXPECT_TRUE(validator.feed(as_bytes("\xC3")));
  validator.reset();
  EXPECT_TRUE(validator.complete());
}

TEST(Utf8, CountsTheOctetsOfACutCodePoint) {
  EXPECT_EQ(cut_code_point({}), 0u);
  EXPECT_EQ(cut_code_point(as_bytes("abc")), 0u);
  EXPECT_EQ(cut_code_point(as_bytes("a\xC3")), 1u);
  EXPECT_EQ(cut_code_point(as_bytes("a\xC3\xA9")), 0u);
  EXPECT_EQ(cut_code_point(as_bytes("a\xE2\x82")), 2u);
  EXPECT_EQ(cut_code_point(as_bytes("\xF0\x9F\x98")), 3u);
  EXPECT_EQ(cut_code_point(as_bytes("\xF0\x9F\x98\x80")), 0u);
  // What can never become a code point is left to be judged, not waited for.
  EXPECT_EQ(cut_code_point(as_bytes("a\xF4\x90")), 0u);
  EXPECT_EQ(cut_code_point(as_bytes("a\xC0")), 0u);
  EXPECT_EQ(cut_code_point(as_bytes("\x80\x80\x80")), 0u);
}

TEST(Utf8, AgreesWithTheReferenceOnEveryPairAndOnRandomTexts) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const std::string text = {static_cast<char>(a), static_cast<char>(b)};
      ASSERT_EQ(valid_utf8(as_bytes(text)), reference(text)) << a << ' ' << b;
      ASSERT_EQ(fed_in_pieces(text, 1), reference(text)) << a << ' ' << b;
    }
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (unsigned n = random() % 40; n > 0; --n) {
      std::uint32_t point = random() % 4 == 0 ? random() % 0x110000 : random() % 0x900;
      if (point >= 0xD800 && point < 0xE000) point = 'x';
      text += encode(point);
    }
    if (!text.empty() && random() % 2 == 0) text[random() % text.size()] = static_cast<char>(random());
    const bool expected = reference(text);
    ASSERT_EQ(valid_utf8(as_bytes(text)), expected);
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 7u}) ASSERT_EQ(fed_in_pieces(text, piece), expected);
  }
}

}  // namespace
}  // namespace sluice
