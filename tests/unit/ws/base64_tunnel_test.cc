#include "ws/base64_tunnel.h"

#include <gtest/gtest.h>

#include "net/crypto.h"
#include "unit/ws/carry.h"

namespace sluice::ws {
namespace {

using namespace test;

TEST(Base64ToTcp, DecodesEachMessageHoweverItIsCut) {
  Octets all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  const Octets stream = client(0x81, text("YQ==")) + client(0x81, text("YWI=")) + client(0x81, text("YWJj")) +
                        client(0x01, text("YW")) + client(0x89, text("ping")) + client(0x00, text("JjZ")) +
                        client(0x80, text("A==")) + client(0x81, {}) + client(0x81, text(net::base64(all)));
  const Octets expected = text("aababcabcd") + all;
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    Base64ToTcp framer{FramingRules{}};
    const Carried got = carry(framer, stream, {cut, stream.size()});
    ASSERT_EQ(got.error, Errc::none) << cut;
    ASSERT_EQ(got.sent, expected) << cut;
  }
  Base64ToTcp framer{FramingRules{}};
  EXPECT_EQ(carry(framer, stream, every_octet(stream.size())).sent, expected);
}

TEST(Base64ToTcp, RefusesWhatIsNoBase64) {
  for (const std::string_view bad : {"YQ", "YQ=", "YR==", "YWJ=", "Y", "=", "====", "YQ==YQ==", "YQ=a", "YW J", "YW-_", "YQ==="}) {
    const Octets stream = client(0x81, text(bad));
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      Base64ToTcp framer{FramingRules{}};
      EXPECT_EQ(carry(framer, stream, {cut, stream.size()}).error, Errc::ws_base64) << bad;
    }
  }
  Base64ToTcp framer{FramingRules{}};
  EXPECT_EQ(carry_whole(framer, client(0x82, text("YQ=="))).error, Errc::ws_base64);
}

TEST(TcpToBase64, EncodesAllThatCame) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{100}, std::size_t{60'000}}) {
    TcpToBase64 framer;
    const Octets octets(size, 0xE7);
    const Carried got = carry_whole(framer, octets);
    EXPECT_EQ(got.payload, size);
    EXPECT_EQ(messages(got.sent), (std::vector<Message>{textual(net::base64(octets))}));
  }
  TcpToBase64 framer;
  EXPECT_EQ(framer.next({})->size, 0u);
}

}  // namespace
}  // namespace sluice::ws
