#include "ws/control.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"

namespace sluice::ws {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets octets(const ControlFrame& frame) { return {frame.bytes().begin(), frame.bytes().end()}; }

Octets unmasked_payload(const ControlFrame& frame) {
  const auto header = FrameHeader::decode(frame.bytes());
  Octets payload(frame.bytes().begin() + header->size, frame.bytes().end());
  if (header->masked) apply_mask(payload, header->mask);
  return payload;
}

TEST(ControlFrame, IsWrittenUnmaskedTowardsAClient) {
  const Octets payload = {'h', 'i'};
  EXPECT_EQ(octets(ControlFrame::make(kPong, payload, false)), (Octets{0x8A, 2, 'h', 'i'}));
  EXPECT_EQ(octets(ControlFrame::make(kPing, {}, false)), (Octets{0x89, 0}));
}

TEST(ControlFrame, IsMaskedWithFreshOctetsTowardsAnUpstream) {
  const Octets payload(125, 'x');
  const ControlFrame one = ControlFrame::make(kPing, payload, true);
  const ControlFrame two = ControlFrame::make(kPing, payload, true);
  EXPECT_EQ(one.bytes().size(), 131u);
  EXPECT_EQ(one.bytes()[1], 0x80 | 125);
  EXPECT_EQ(unmasked_payload(one), payload);
  EXPECT_EQ(unmasked_payload(two), payload);
  EXPECT_NE(octets(one), octets(two));
}

TEST(ControlFrame, ClosesWithCodeAndReason) {
  EXPECT_EQ(octets(ControlFrame::close(1002, "", false)), (Octets{0x88, 2, 0x03, 0xEA}));
  EXPECT_EQ(octets(ControlFrame::close(4401, "ab", false)), (Octets{0x88, 4, 0x11, 0x31, 'a', 'b'}));
  EXPECT_EQ(octets(ControlFrame::close(1005, "", false)), (Octets{0x88, 0}));
}

TEST(ControlFrame, CutsALongReasonBetweenCodePoints) {
  for (std::size_t lead = 0; lead < 4; ++lead) {
    std::string reason(118 + lead, 'a');
    for (int i = 0; i < 4; ++i) reason += "\xF0\x9F\x98\x80";
    const Octets payload = unmasked_payload(ControlFrame::close(1008, reason, true));
    EXPECT_LE(payload.size(), 125u);
    EXPECT_GT(payload.size(), 121u);
    EXPECT_TRUE(parse_close(payload, Side::gateway)) << lead;
  }
  EXPECT_EQ(ControlFrame::close(1008, std::string(123, 'a'), false).bytes().size(), 127u);
  EXPECT_EQ(ControlFrame::close(1008, std::string(124, 'a'), false).bytes().size(), 127u);
}

using ControlFrameDeathTest = ::testing::Test;

TEST(ControlFrameDeathTest, RefusesWhatMayNeverBeSent) {
  EXPECT_DEATH(ControlFrame::close(1006, "", false), "close code");
  EXPECT_DEATH(ControlFrame::make(kPing, Octets(126), false), "125");
  EXPECT_DEATH(ControlFrame::make(kText, {}, false), "control frame");
}

TEST(CloseCode, AllowsExactlyThoseOfTheWire) {
  for (unsigned code = 0; code <= 0xFFFF; ++code) {
    const bool expected =
        (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    ASSERT_EQ(valid_close_code(static_cast<std::uint16_t>(code)), expected) << code;
  }
}

Errc refusal(const Octets& payload) {
  const auto parsed = parse_close(payload, Side::upstream);
  if (parsed) return Errc::none;
  EXPECT_EQ(parsed.error().side, Side::upstream);
  return parsed.error().code;
}

TEST(ParseClose, ReadsNothingACodeOrACodeWithAReason) {
  const auto none = parse_close({}, Side::client);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->code, 1005);
  const Octets private_code = {0x0F, 0xA1};  // A27
  EXPECT_EQ(parse_close(private_code, Side::client)->code, 4001);
  const Octets reasoned = {0x03, 0xE8, 'b', 'y', 'e'};
  const auto parsed = parse_close(reasoned, Side::client);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->code, 1000);
  EXPECT_EQ(parsed->reason, "bye");
}

TEST(ParseClose, RefusesHalfACodeAndCodesThatAreNeverOnTheWire) {
  EXPECT_EQ(refusal({0x03}), Errc::ws_close);        // A25
  EXPECT_EQ(refusal({0x03, 0xEC}), Errc::ws_close);  // 1004
  EXPECT_EQ(refusal({0x03, 0xED}), Errc::ws_close);  // 1005
  EXPECT_EQ(refusal({0x07, 0xD0}), Errc::ws_close);  // 2000
  for (const unsigned code :
       {0u, 999u, 1004u, 1005u, 1006u, 1015u, 1016u, 1100u, 2000u, 2999u, 5000u, 65535u}) {
    EXPECT_EQ(refusal({static_cast<std::uint8_t>(code / 256), static_cast<std::uint8_t>(code % 256)}),
              Errc::ws_close);
  }
}

TEST(ParseClose, RefusesAReasonThatIsNotUtf8) {
  EXPECT_EQ(refusal({0x03, 0xE8, 0xED, 0xA0, 0x80}), Errc::ws_utf8);
  EXPECT_EQ(refusal({0x03, 0xE8, 'a', 0xC3}), Errc::ws_utf8);
}

}  // namespace
}  // namespace sluice::ws
