// WsFramer::peek: a batch is what next() would have reported one by one.
#include <gtest/gtest.h>

#include <random>

#include "ws/ws_framer.h"
#include "frames.h"

namespace sluice::ws {
namespace {

using test::client;
using test::Octets;
using test::server;
using test::operator+;

Octets of(std::size_t size) { return Octets(size, 'x'); }

relay::Batch peek(const FramingRules& rules, const Octets& stream) { return WsFramer(rules).peek(stream); }

TEST(WsFramerPeek, TakesWholeMessagesTogether) {
  const Octets stream = client(0x81, of(5)) + client(0x82, of(300)) + client(0x82, {});
  const relay::Batch batch = peek({.side = Side::client}, stream);
  EXPECT_EQ(batch.size, stream.size());
  EXPECT_EQ(batch.text, 1u);
  EXPECT_EQ(batch.binary, 2u);
  EXPECT_EQ(batch.payload, 305u);
  EXPECT_EQ(batch.sizes.buckets[0], 2u);
  EXPECT_EQ(batch.sizes.buckets[2], 1u);
}

TEST(WsFramerPeek, StopsBeforeWhateverMustBeJudged) {
  const Octets good = client(0x82, of(3));
  const Octets doubtful[] = {client(0x89, of(1)),            // control
                             client(0x02, of(1)),            // first fragment
                             client(0x80, of(1)),            // continuation of nothing
                             client(0xC2, of(1)),            // RSV1
                             client(0x83, of(1)),            // reserved opcode
                             server(0x82, of(1)),            // not masked
                             test::frame(0x82, of(5), nullptr, 2),  // length not minimal
                             client(0x82, of(2000)),         // over the limit
                             client(0x82, of(70000))};       // large: it streams
  for (const Octets& frame : doubtful) {
    EXPECT_EQ(peek({.side = Side::client, .max_message = 1000}, good + frame + good).size, good.size());
  }
}

TEST(WsFramerPeek, LeavesTextThatIsToBeValidated) {
  const Octets stream = client(0x82, of(3)) + client(0x81, of(3));
  EXPECT_EQ(peek({.side = Side::client, .validate_utf8 = true}, stream).messages(), 1u);
}

TEST(WsFramerPeek, NeverTakesACutFrame) {
  const Octets first = server(0x82, of(10));
  const Octets stream = first + server(0x81, of(200));
  for (std::size_t cut = 0; cut < stream.size(); ++cut) {
    const Octets part(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(cut));
    EXPECT_EQ(peek({.side = Side::upstream}, part).size, cut < first.size() ? 0 : first.size()) << cut;
  }
}

TEST(WsFramerPeek, AgreesWithNextOnRandomStreams) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    Octets stream;
    for (int i = 0; i < 20; ++i) {
      const std::uint8_t firsts[] = {0x81, 0x82, 0x82, 0x82, 0x89, 0x01, 0x80, 0x8A};
      const std::uint8_t first = firsts[random() % 8];
      stream = stream + client(first, of(first & 8 ? random() % 100 : random() % 400));
    }
    for (std::size_t i = 0; i < 3; ++i) stream[random() % stream.size()] ^= static_cast<std::uint8_t>(1u << (random() % 8));
    const FramingRules rules{.side = Side::client, .max_message = 300};
    const relay::Batch batch = peek(rules, stream);
    WsFramer framer(rules);
    std::size_t at = 0;
    std::uint64_t payload = 0;
    std::uint32_t messages = 0;
    while (at < batch.size) {
      const auto run = framer.next(MutableBytes(stream).subspan(at));
      ASSERT_TRUE(run.has_value() && run->size > 0 && !run->control && run->begins && run->ends);
      at += run->size;
      payload += run->payload;
      ++messages;
    }
    EXPECT_EQ(at, batch.size);
    EXPECT_EQ(payload, batch.payload);
    EXPECT_EQ(messages, batch.messages());
  }
}

}  // namespace
}  // namespace sluice::ws
