// WsFramer::preview: what stands in a message is read ahead of it, and next() finds all of it as if nobody had looked.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "frames.h"
#include "ws/tunnel.h"
#include "ws/ws_framer.h"

namespace sluice::ws {
namespace {

using relay::Preview;
using test::client;
using test::Octets;
using test::server;
using test::text;
using test::operator+;
using State = Preview::State;

// Keeps the room and the stream that a Preview points into.
struct Reader {
  explicit Reader(FramingRules rules = {}) : framer(rules) {}
  Preview read(Octets octets, std::uint32_t wanted, std::size_t controls = 0, bool last = false) {
    stream = std::move(octets);
    room.assign(wanted, 0xEE);
    return framer.preview(stream, {.text = wanted, .binary = wanted, .room = room}, controls, last);
  }
  WsFramer framer;
  Octets stream;
  Octets room;
};

std::string shown(const Preview& message) { return std::string(as_text(message.content)); }

TEST(WsFramerPreview, ShowsAWholeMessageUnmaskedAndLeavesItMasked) {
  Reader reader;
  const Octets stream = client(0x81, text("hello")) + client(0x81, text("next"));
  const Preview message = reader.read(stream, 100);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_TRUE(message.whole);
  EXPECT_EQ(message.opcode, kText);
  EXPECT_EQ(shown(message), "hello");
  EXPECT_EQ(reader.stream, stream);
}

TEST(WsFramerPreview, ShowsWhatAServerSays) {
  Reader reader({.side = Side::upstream});
  const Preview message = reader.read(server(0x82, text("hello")), 100);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_EQ(message.opcode, kBinary);
  EXPECT_EQ(shown(message), "hello");
}

TEST(WsFramerPreview, JoinsFragmentsWithMasksOfTheirOwn) {
  Reader reader;
  const Octets stream = client(0x01, text("one "), {1, 2, 3, 4}) + client(0x00, text(""), {5, 6, 7, 8}) +
                        client(0x00, text("two"), {9, 10, 11, 12}) + client(0x80, text(" three"), {13, 14, 15, 16});
  for (std::size_t cut = 0; cut < stream.size(); ++cut) {
    const Preview message = reader.read({stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(cut)}, 100);
    EXPECT_EQ(message.state, cut < 6 ? State::none : State::waiting) << cut;
  }
  const Preview message = reader.read(stream, 100);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_TRUE(message.whole);
  EXPECT_EQ(shown(message), "one two three");
}

TEST(WsFramerPreview, NamesEachControlFrameInsideOfTheMessageOnce) {
  Reader reader;
  const Octets stream = client(0x01, text("a")) + client(0x89, text("first")) + client(0x00, text("b")) +
                        client(0x8A, text("second")) + client(0x80, text("c"));
  Preview message = reader.read(stream, 100);
  EXPECT_EQ(message.state, State::control);
  EXPECT_EQ(message.control.opcode, kPing);
  EXPECT_EQ(as_text(message.control.content), "first");
  message = reader.read(stream, 100, 1);
  EXPECT_EQ(message.state, State::control);
  EXPECT_EQ(message.control.opcode, kPong);
  EXPECT_EQ(as_text(message.control.content), "second");
  message = reader.read(stream, 100, 2);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_EQ(shown(message), "abc");
}

TEST(WsFramerPreview, LeavesAControlFrameInFrontToNext) {
  Reader reader;
  EXPECT_EQ(reader.read(client(0x89, text("ping")) + client(0x81, text("a")), 100).state, State::none);
  EXPECT_EQ(reader.read({}, 100).state, State::none);
}

TEST(WsFramerPreview, IsContentWithAsMuchAsWasWanted) {
  const Octets stream = client(0x01, text("0123")) + client(0x80, text("456789"));
  for (std::uint32_t wanted = 0; wanted <= 12; ++wanted) {
    Reader reader;
    const Preview message = reader.read(stream, wanted);
    EXPECT_EQ(message.state, State::ready);
    EXPECT_EQ(message.whole, wanted >= 10) << wanted;
    EXPECT_EQ(shown(message), std::string("0123456789").substr(0, wanted));
  }
  // Of a message that is larger than what is wanted only that much is waited for.
  Reader reader;
  Octets large = client(0x82, text(std::string(5000, 'x')));
  large.resize(8 + 16);
  EXPECT_EQ(reader.read(large, 17).state, State::waiting);
  const Preview message = reader.read(large, 16);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_FALSE(message.whole);
  EXPECT_EQ(shown(message), std::string(16, 'x'));
}

TEST(WsFramerPreview, WantsByKind) {
  Octets room(10);
  const relay::Appetite wanted{.text = 10, .binary = 0, .room = room};
  Octets binary = client(0x82, text("0123456789"));
  binary.resize(6);
  Preview message = WsFramer({}).preview(binary, wanted, 0, false);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_EQ(message.opcode, kBinary);
  EXPECT_TRUE(message.content.empty());
  Octets words = client(0x81, text("0123456789"));
  words.resize(6);
  EXPECT_EQ(WsFramer({}).preview(words, wanted, 0, false).state, State::waiting);
}

TEST(WsFramerPreview, OfATextThatBeginsOtherwiseNothingIsWaitedFor) {
  Octets room(10);
  const relay::Appetite wanted{.text = 10, .binary = 0, .room = room, .only = '{'};
  Octets object = client(0x01, text("")) + client(0x80, text("{123456789"));
  for (std::size_t size = 1; size < object.size(); ++size) {
    Octets cut(object.begin(), object.begin() + static_cast<std::ptrdiff_t>(size));
    const State state = WsFramer({}).preview(cut, wanted, 0, false).state;
    EXPECT_EQ(state, size < 6 ? State::none : State::waiting) << size;
  }
  EXPECT_EQ(shown(WsFramer({}).preview(object, wanted, 0, false)), "{123456789");
  Octets other = client(0x01, text("")) + client(0x80, text("x{23456789"));
  other.resize(6 + 6);
  EXPECT_EQ(WsFramer({}).preview(other, wanted, 0, false).state, State::waiting) << "nothing of it has come";
  other = client(0x81, text("x{23456789"));
  other.resize(7);
  const Preview message = WsFramer({}).preview(other, wanted, 0, false);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_FALSE(message.whole);
  EXPECT_TRUE(message.content.empty());
}

TEST(WsFramerPreview, MakesDoWithWhatIsThereWhenNoMoreWillCome) {
  Reader reader;
  Octets stream = client(0x01, text("0123")) + client(0x80, text("456789"));
  stream.resize(stream.size() - 2);
  EXPECT_EQ(reader.read(stream, 100).state, State::waiting);
  const Preview message = reader.read(stream, 100, 0, true);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_FALSE(message.whole);
  EXPECT_EQ(shown(message), "01234567");
}

TEST(WsFramerPreview, TellsThatTheMessageWillNeverBeWhole) {
  Reader reader({.max_message = 100});
  EXPECT_EQ(reader.read(client(0x01, text("a")) + client(0x81, text("b")), 50).error.code, Errc::ws_frag);
  EXPECT_EQ(reader.read(client(0x01, text("a")) + client(0xA0, text("b")), 50).error.code, Errc::ws_rsv);
  const Preview large = reader.read(client(0x01, text("a")) + client(0x80, text(std::string(100, 'b'))), 50);
  EXPECT_EQ(large.state, State::broken);
  EXPECT_EQ(large.error.code, Errc::too_big);
  // What is broken in its first frame is next()'s to tell.
  EXPECT_EQ(reader.read(client(0x83, text("a")), 50).state, State::none);
  EXPECT_EQ(reader.read(client(0x82, text(std::string(101, 'b'))), 50).state, State::none);
}

TEST(WsFramerPreview, LooksThroughTheFramerOfATunnel) {
  Octets stream = client(0x81, text("hello"));
  Octets room(10);
  const Preview message = WsToTcp({}).preview(stream, {.text = 10, .binary = 10, .room = room}, 0, false);
  EXPECT_EQ(message.state, State::ready);
  EXPECT_EQ(as_text(message.content), "hello");
}

// Random messages, cut at every octet, and the same framer afterwards: next() says what it would have said.
TEST(WsFramerPreview, ChangesNothingWhereverTheStreamIsCut) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    Octets stream;
    std::string whole;
    std::size_t controls = 0;
    const int fragments = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < fragments; ++i) {
      std::string piece(random() % 200, static_cast<char>('a' + i));
      const auto first = static_cast<std::uint8_t>((i == 0 ? 1 : 0) | (i == fragments - 1 ? 0x80 : 0));
      stream = stream + client(first, text(piece), {static_cast<std::uint8_t>(random()), 7, 9, 1});
      whole += piece;
      if (i < fragments - 1 && random() % 2) {
        stream = stream + client(0x89, text("p"));
        ++controls;
      }
    }
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      Reader reader;
      const Octets part(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(cut));
      std::size_t known = 0;
      Preview message = reader.read(part, 1000, known);
      while (message.state == State::control) message = reader.read(part, 1000, ++known);
      ASSERT_EQ(reader.stream, part);
      ASSERT_LE(known, controls);
      if (cut == stream.size()) {
        ASSERT_EQ(message.state, State::ready);
        ASSERT_EQ(shown(message), whole);
        ASSERT_EQ(known, controls);
      } else {
        ASSERT_NE(message.state, State::ready) << cut;
      }
      WsFramer plain({});
      Octets copy = part;
      const auto expected = plain.next(copy);
      const auto found = reader.framer.next(reader.stream);
      ASSERT_EQ(found->size, expected->size);
      ASSERT_EQ(found->ends, expected->ends);
      ASSERT_EQ(reader.framer.at_message_boundary(), plain.at_message_boundary());
    }
  }
}

}  // namespace
}  // namespace sluice::ws
