// Reading messages before they pass: what the relay holds, shows and answers meanwhile.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "event/loop.h"
#include "relay/relay.h"
#include "support/memory_stream.h"

namespace sluice::relay {
namespace {

using test::Faults;
using test::MemoryStream;
using test::Wire;
using Why = Relay::Why;
using Found = Run;  // in a test body Run is gtest's

// A message is letters up to '.'; '!' and one octet is a control frame, which may stand anywhere; '#' breaks the protocol.
class LetterFramer final : public Framer {
 public:
  Result<Run> next(MutableBytes bytes) override {
    Run run;
    if (bytes.empty() || (bytes[0] == '!' && bytes.size() < 2)) return run;
    if (bytes[0] == '#') return fail(Errc::ws_opcode, Side::client, "");
    if (bytes[0] == '!') {
      run.size = 2;
      run.control = true;
      run.opcode = bytes[1];
      return run;
    }
    run.begins = !inside_;
    while (run.size < bytes.size() && bytes[run.size] != '!' && bytes[run.size] != '#') {
      run.ends = bytes[run.size++] == '.';
      if (run.ends) break;
    }
    run.payload = run.size;
    inside_ = !run.ends;
    return run;
  }
  Preview preview(MutableBytes bytes, const Appetite& wanted, std::size_t controls, bool last) const override {
    LetterFramer ahead(*this);
    Preview message;
    std::size_t size = 0;
    for (std::size_t at = 0; true;) {
      const auto run = ahead.next(bytes.subspan(at));
      if (!run) {
        message.state = size > 0 ? Preview::State::broken : Preview::State::none;
        message.error = run.error();
        return message;
      }
      if (run->control && (size == 0 || controls == 0)) {
        message.state = size == 0 ? Preview::State::none : Preview::State::control;
        message.control = *run;
        return message;
      }
      if (run->size == 0) break;
      if (run->control) {
        --controls;
      } else {
        for (std::size_t i = 0; i < run->size && size < wanted.text; ++i) wanted.room[size++] = bytes[at + i];
        message.whole = run->ends;
      }
      at += run->size;
      if (run->ends || size == wanted.text) break;
    }
    message.content = wanted.room.first(size);
    const bool enough = message.whole || size == wanted.text || last;
    message.state = size == 0 ? Preview::State::none : enough ? Preview::State::ready : Preview::State::waiting;
    return message;
  }
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return !inside_; }

 private:
  bool inside_ = false;
};

struct Host final : RelayHost {
  Verdict admit(const Found& run) override {
    if (run.control) {
      controls += static_cast<char>(run.opcode);
      return run.opcode == 'x' ? Verdict::deny({Errc::flood_ctl, Side::client, false, ""}) : Verdict::consume();
    }
    if (run.begins) log += "[";
    if (swallow) return Verdict::consume();
    return hold ? Verdict::pending() : Verdict::allow();
  }
  Appetite appetite() override { return {.text = wanted, .binary = wanted, .room = room}; }
  void inspect(const Preview& message) override {
    seen.emplace_back(as_text(message.content));
    log += "?";
    whole = message.whole;
  }
  net::Stream* route(const Found&) override { return to; }
  void settled() override {}

  net::Stream* to = nullptr;
  std::vector<std::uint8_t> room = std::vector<std::uint8_t>(64 * 1024);
  std::uint32_t wanted = 100;
  std::vector<std::string> seen;
  std::string controls;
  std::string log;  // '?': was shown a message; '[': was asked about the first run of one
  bool whole = false;
  bool hold = false;
  bool swallow = false;
};

struct InspectTest : testing::Test {
  InspectTest() {
    host.to = &to;
    relay.inspect_messages();
  }
  Why pump() {
    from_wire.deliver();
    to_wire.deliver();
    Budget budget;
    return relay.pump(budget);
  }
  event::Loop loop;
  Turn turn;
  BufferPool pool;
  net::Place place{loop, turn, pool};
  Faults faults;
  Wire from_wire{faults};
  Wire to_wire{faults};
  MemoryStream from{place, from_wire};
  MemoryStream to{place, to_wire};
  LetterFramer framer;
  Host host;
  Relay relay{from, framer, host, pool};
};

TEST_F(InspectTest, ShowsEachMessageBeforeItPassesAndWritesThemTogether) {
  from_wire.send("one.two.three.");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.seen, (std::vector<std::string>{"one.", "two.", "three."}));
  EXPECT_EQ(host.log, "?[?[?[");
  EXPECT_EQ(to_wire.out, "one.two.three.");
  EXPECT_EQ(to_wire.writes.size(), 1u);
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(InspectTest, HoldsAMessageUntilItIsWhole) {
  for (const char octet : std::string("hello")) {
    from_wire.send({&octet, 1});
    EXPECT_EQ(pump(), Why::starved);
    EXPECT_EQ(to_wire.out, "");
    EXPECT_FALSE(relay.idle());
  }
  from_wire.send(".");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.seen, std::vector<std::string>{"hello."});
  EXPECT_EQ(to_wire.out, "hello.");
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(InspectTest, HoldsOnlyWhatTheHostWants) {
  host.wanted = 3;
  from_wire.send("he");
  (void)pump();
  EXPECT_EQ(to_wire.out, "");
  from_wire.send("l");
  (void)pump();
  EXPECT_EQ(host.seen, std::vector<std::string>{"hel"});
  EXPECT_FALSE(host.whole);
  EXPECT_EQ(to_wire.out, "hel");
  from_wire.send("lo");
  (void)pump();
  EXPECT_EQ(to_wire.out, "hello");
  EXPECT_EQ(host.seen.size(), 1u);
}

TEST_F(InspectTest, NeverHoldsMoreThanAStreamKeeps) {
  host.wanted = 60 * 1024;
  const std::string large(kMostHeld - 1, 'x');
  from_wire.send(large);
  (void)pump();
  EXPECT_TRUE(host.seen.empty());
  from_wire.send("x");
  (void)pump();
  ASSERT_EQ(host.seen.size(), 1u);
  EXPECT_EQ(host.seen[0].size(), kMostHeld);
  EXPECT_FALSE(host.whole);
  EXPECT_EQ(to_wire.out.size(), kMostHeld);
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(InspectTest, AnswersControlFramesInsideOfWhatIsHeldOnce) {
  from_wire.send("!a");
  from_wire.send("hel!blo!c");
  (void)pump();
  EXPECT_EQ(host.controls, "abc");
  EXPECT_EQ(to_wire.out, "");
  (void)pump();
  EXPECT_EQ(host.controls, "abc");
  from_wire.send("x!dx.!e");
  (void)pump();
  EXPECT_EQ(host.controls, "abcde");
  EXPECT_EQ(to_wire.out, "helloxx.");
  EXPECT_EQ(host.seen, std::vector<std::string>{"helloxx."});
  from_wire.send("!fmore.");
  (void)pump();
  EXPECT_EQ(host.controls, "abcdef");
  EXPECT_EQ(to_wire.out, "helloxx.more.");
}

TEST_F(InspectTest, EndsAtAControlFrameThatIsRefused) {
  from_wire.send("he!xllo.");
  EXPECT_EQ(pump(), Why::denied);
  EXPECT_EQ(relay.error().code, Errc::flood_ctl);
  EXPECT_EQ(to_wire.out, "");
}

TEST_F(InspectTest, ForwardsNothingOfAMessageThatBreaksTheProtocol) {
  from_wire.send("good.he#lo.");
  EXPECT_EQ(pump(), Why::denied);
  EXPECT_EQ(relay.error().code, Errc::ws_opcode);
  EXPECT_EQ(to_wire.out, "good.");
}

TEST_F(InspectTest, ShowsAMessageOnceHoweverOftenItIsHeldThen) {
  host.hold = true;
  from_wire.send("hello.");
  EXPECT_EQ(pump(), Why::held);
  EXPECT_EQ(pump(), Why::held);
  host.hold = false;
  host.to = nullptr;
  EXPECT_EQ(pump(), Why::held);
  host.to = &to;
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.seen.size(), 1u);
  EXPECT_EQ(to_wire.out, "hello.");
}

TEST_F(InspectTest, SwallowsAMessageThatItHasSeenAndShowsTheNext) {
  host.swallow = true;
  from_wire.send("hel!alo.");
  EXPECT_EQ(pump(), Why::starved);
  host.swallow = false;
  from_wire.send("two.");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.seen, (std::vector<std::string>{"hello.", "two."}));
  EXPECT_EQ(host.controls, "a");
  EXPECT_EQ(to_wire.out, "two.");
}

TEST_F(InspectTest, DropsTheBeginningOfAMessageThatNeverEnds) {
  from_wire.send("one.half");
  from_wire.finish();
  EXPECT_EQ(pump(), Why::from_end);
  EXPECT_EQ(to_wire.out, "one.");
}

TEST_F(InspectTest, MovesTheSameHoweverItIsCutAndJammed) {
  const std::string all = "one.!at!bwo.three.!c....long!dlong!elong.";
  const std::string out = "one.two.three.....longlonglong.";
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    for (std::size_t window = 1; window < 8; ++window) {
      Wire in(faults);
      Wire sent(faults);
      MemoryStream source(place, in);
      MemoryStream sink(place, sent);
      LetterFramer letters;
      Host one;
      one.to = &sink;
      Relay under_test(source, letters, one, pool);
      under_test.inspect_messages();
      sent.open_window(0);
      for (int step = 0; step < 40; ++step) {
        if (step == 0) in.send(all.substr(0, cut));
        if (step == 2) in.send(all.substr(cut));
        sent.open_window(window);
        in.deliver();
        sent.deliver();
        Budget budget;
        if (!under_test.idle()) (void)under_test.pump(budget);
      }
      ASSERT_EQ(sent.out, out) << cut << " " << window;
      ASSERT_EQ(one.controls, "abcde");
      ASSERT_EQ(one.seen.size(), 8u);
    }
  }
  EXPECT_EQ(pool.lent(), 0u);
}

}  // namespace
}  // namespace sluice::relay
