#include "ws/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice::ws {
namespace {

TEST(FrameHeader, EncodesTheMinimalFormAndDecodesIt) {
  const std::pair<std::uint64_t, std::size_t> lengths[] = {
      {0, 2}, {125, 2}, {126, 4}, {0xFFFF, 4}, {0x10000, 10}, {std::uint64_t{1} << 62, 10}};
  for (const auto& [length, size] : lengths) {
    for (const bool masked : {false, true}) {
      FrameHeader header;
      header.fin = length % 2 == 0;
      header.rsv = 4;
      header.opcode = kText;
      header.masked = masked;
      header.mask = {1, 2, 3, 4};
      header.length = length;
      std::uint8_t out[14];
      const std::size_t written = header.encode(out);
      EXPECT_EQ(written, size + (masked ? 4 : 0));
      for (std::size_t cut = 0; cut < written; ++cut) EXPECT_FALSE(FrameHeader::decode(Bytes(out, cut)));
      const auto decoded = FrameHeader::decode(Bytes(out, written));
      ASSERT_TRUE(decoded);
      EXPECT_EQ(decoded->fin, header.fin);
      EXPECT_EQ(decoded->rsv, 4);
      EXPECT_EQ(decoded->opcode, kText);
      EXPECT_EQ(decoded->masked, masked);
      EXPECT_EQ(decoded->mask, (masked ? header.mask : std::array<std::uint8_t, 4>{}));
      EXPECT_EQ(decoded->length, length);
      EXPECT_EQ(decoded->size, written);
    }
  }
}

TEST(FrameHeader, DecodesTheExamplesOfTheRfc) {
  const std::uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};  // §5.7
  const auto header = FrameHeader::decode(hello);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->size, 6);
  EXPECT_EQ(header->length, 5u);
  std::vector<std::uint8_t> payload(hello + 6, hello + 11);
  apply_mask(payload, header->mask);
  EXPECT_EQ(as_text(payload), "Hello");
}

TEST(Mask, MatchesTheOctetRuleAtEveryPhaseSizeAndAlignment) {
  const std::array<std::uint8_t, 4> mask = {0xA1, 0x02, 0x73, 0xF4};
  std::mt19937 random(1);
  for (std::size_t phase = 0; phase < 9; ++phase) {
    for (std::size_t size = 0; size < 200; ++size) {
      std::vector<std::uint8_t> room(size + 8);
      for (auto& octet : room) octet = static_cast<std::uint8_t>(random());
      const std::size_t offset = size % 8;
      std::vector<std::uint8_t> expected = room;
      for (std::size_t i = 0; i < size; ++i) expected[offset + i] ^= mask[(phase + i) % 4];
      apply_mask(MutableBytes(room).subspan(offset, size), mask, phase);
      ASSERT_EQ(room, expected) << phase << ' ' << size;
    }
  }
}

TEST(Mask, IsItsOwnInverseAcrossCuts) {
  const std::array<std::uint8_t, 4> mask = {9, 8, 7, 6};
  std::vector<std::uint8_t> text(333);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::uint8_t>(i);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::vector<std::uint8_t> copy = text;
    apply_mask(copy, mask);
    apply_mask(MutableBytes(copy).first(cut), mask);
    apply_mask(MutableBytes(copy).subspan(cut), mask, cut);
    ASSERT_EQ(copy, text);
  }
}

}  // namespace
}  // namespace sluice::ws
