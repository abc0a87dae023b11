// One direction by itself, with a host and a framer by script.
#include "relay/relay.h"

#include <gtest/gtest.h>

#include <functional>

#include "event/loop.h"
#include "support/memory_stream.h"

namespace sluice::relay {
namespace {

using test::Faults;
using test::MemoryStream;
using test::Wire;
using Why = Relay::Why;
using Found = Run;  // in a test body Run is gtest's

// Messages are digits: "5hello" is one of five octets. '!' and one octet is a control frame.
class DigitFramer final : public Framer {
 public:
  Result<Run> next(MutableBytes bytes) override {
    Run run;
    if (bytes.empty()) return run;
    if (left_ == 0) {
      if (bytes[0] == 'X') return fail(Errc::ws_opcode, Side::client, "");
      if (bytes[0] == '!') {
        if (bytes.size() < 2) return run;
        run.size = 2;
        run.control = true;
        run.opcode = bytes[1];
        return run;
      }
      left_ = bytes[0] - '0';
      run.begins = true;
      run.size = 1;
      run.skip = skips ? 1 : 0;
      if (prefixes) {
        run.prefix[0] = '<';
        run.prefix_size = 1;
      }
    }
    const std::size_t n = std::min(left_, bytes.size() - run.size);
    run.size += n;
    run.payload = n;
    left_ -= n;
    run.ends = left_ == 0;
    return run;
  }
  bool at_frame_boundary() const override { return left_ == 0; }
  bool at_message_boundary() const override { return left_ == 0; }

  bool skips = false;
  bool prefixes = false;

 private:
  std::size_t left_ = 0;
};

struct Host final : RelayHost {
  Verdict admit(const Found& run) override { return on_admit ? on_admit(run) : Verdict::allow(); }
  net::Stream* route(const Found& run) override { return on_route ? on_route(run) : to; }
  void settled() override { ++settles; }

  std::function<Verdict(const Found&)> on_admit;
  std::function<net::Stream*(const Found&)> on_route;
  net::Stream* to = nullptr;
  int settles = 0;
};

struct RelayTest : testing::Test {
  RelayTest() { host.to = &to; }
  Why pump() {
    from_wire.deliver();
    to_wire.deliver();
    other_wire.deliver();
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
  Wire other_wire{faults};
  MemoryStream from{place, from_wire};
  MemoryStream to{place, to_wire};
  MemoryStream other{place, other_wire};
  DigitFramer framer;
  Host host;
  Relay relay{from, framer, host, pool};
};

TEST_F(RelayTest, MovesEverythingInOneWriteAndStarves) {
  from_wire.send("5hello2hi0!p1x");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "5hello2hi0!p1x");
  EXPECT_EQ(to_wire.writes.size(), 1u);
  EXPECT_EQ(pool.lent(), 0u);
  EXPECT_TRUE(relay.take_activity());
  EXPECT_FALSE(relay.take_activity());
  EXPECT_GT(host.settles, 0);
}

TEST_F(RelayTest, LeavesOutWhatARunSkipsAndPutsPrefixesBefore) {
  framer.skips = framer.prefixes = true;
  from_wire.send("5hello2hi3abc3abc3abc3abc3abc3abc");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "<hello<hi<abc<abc<abc<abc<abc<abc");
}

TEST_F(RelayTest, PassesPartsOfAMessageAsTheyCome) {
  for (const char octet : std::string("5hello")) {
    from_wire.send({&octet, 1});
    EXPECT_EQ(pump(), Why::starved);
  }
  EXPECT_EQ(to_wire.out, "5hello");
  EXPECT_EQ(to_wire.writes.size(), 6u);
}

TEST_F(RelayTest, KeepsWhatIsNoWholeControlFrame) {
  from_wire.send("2hi!");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "2hi");
  EXPECT_GT(pool.lent(), 0u);
  from_wire.send("p");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "2hi!p");
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(RelayTest, OwesWhatWasNotTakenAndReadsNothingUntilItHasLeft) {
  to_wire.open_window(3);
  from_wire.send("5hello");
  EXPECT_EQ(pump(), Why::jammed);
  EXPECT_TRUE(relay.owes());
  from_wire.send("2hi");
  const std::size_t fills = from_wire.fills;
  EXPECT_EQ(pump(), Why::jammed);
  EXPECT_EQ(from_wire.fills, fills);
  EXPECT_FALSE(relay.at_frame_boundary());
  to_wire.open_window(Wire::kUnlimited);
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "5hello2hi");
  EXPECT_FALSE(relay.owes());
}

TEST_F(RelayTest, HoldsARunUntilTheHostAllows) {
  bool allowed = false;
  int asked = 0;
  host.on_admit = [&](const Found&) {
    ++asked;
    return allowed ? Verdict::allow() : Verdict::wait(Instant());
  };
  from_wire.send("5hello2hi");
  EXPECT_EQ(pump(), Why::held);
  EXPECT_TRUE(relay.holds());
  EXPECT_TRUE(relay.at_message_boundary());  // nothing of it has left
  EXPECT_EQ(to_wire.out, "");
  allowed = true;
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "5hello2hi");
  EXPECT_EQ(asked, 3);
}

TEST_F(RelayTest, HoldsARunThatHasNowhereToGoAndAsksTheHostOnlyForTheRoute) {
  int admitted = 0;
  host.on_admit = [&](const Found&) {
    ++admitted;
    return Verdict::allow();
  };
  host.to = nullptr;
  from_wire.send("5hello");
  EXPECT_EQ(pump(), Why::held);
  EXPECT_EQ(pump(), Why::held);
  host.to = &to;
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "5hello");
  EXPECT_EQ(admitted, 1);
}

TEST_F(RelayTest, SwallowsAWholeMessageAndNoMore) {
  host.on_admit = [](const Found& run) {
    return run.begins && run.size == 3 ? Verdict::consume() : Verdict::allow();
  };
  from_wire.send("1a2bb1c");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "1a1c");

  from_wire.send("5de");  // begins with a run of three octets: all of it goes
  EXPECT_EQ(pump(), Why::starved);
  from_wire.send("fgh!p1i");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "1a1c!p1i");
}

TEST_F(RelayTest, SwallowsAControlFrameAlone) {
  host.on_admit = [](const Found& run) { return run.control ? Verdict::consume() : Verdict::allow(); };
  from_wire.send("1a!p1b");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "1a1b");
}

TEST_F(RelayTest, SendsWhatWasApprovedBeforeADenial) {
  host.on_admit = [](const Found& run) {
    return run.size == 3 ? Verdict::deny({Errc::rl_route, Side::client, false, ""}) : Verdict::allow();
  };
  from_wire.send("1a2bb1c");
  EXPECT_EQ(pump(), Why::denied);
  EXPECT_EQ(relay.error().code, Errc::rl_route);
  EXPECT_EQ(to_wire.out, "1a");
}

TEST_F(RelayTest, SendsWhatWasApprovedBeforeAFramersError) {
  from_wire.send("1aX");
  EXPECT_EQ(pump(), Why::denied);
  EXPECT_EQ(relay.error().code, Errc::ws_opcode);
  EXPECT_EQ(to_wire.out, "1a");
}

TEST_F(RelayTest, ChangesTheDestinationBetweenMessages) {
  int n = 0;
  host.on_route = [&](const Found& run) -> net::Stream* {
    if (run.begins) ++n;
    return n % 2 == 1 ? &to : &other;
  };
  from_wire.send("1a2bb1c2dd5ee");
  EXPECT_EQ(pump(), Why::starved);
  from_wire.send("eee");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "1a1c5eeeee");
  EXPECT_EQ(other_wire.out, "2bb2dd");
  EXPECT_EQ(n, 5);  // each message is routed once
}

TEST_F(RelayTest, WaitsForAFullDestinationBeforeItGoesOnToAnother) {
  int n = 0;
  host.on_route = [&](const Found&) -> net::Stream* { return ++n == 1 ? &to : &other; };
  to_wire.open_window(1);
  from_wire.send("1a2bb");
  EXPECT_EQ(pump(), Why::jammed);
  EXPECT_EQ(other_wire.out, "");
  to_wire.open_window(10);
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "1a");
  EXPECT_EQ(other_wire.out, "2bb");
}

TEST_F(RelayTest, StopsWhenTheBudgetIsSpent) {
  from_wire.send(std::string(300'000, '0'));
  from_wire.deliver();
  Budget budget{1000};
  EXPECT_EQ(relay.pump(budget), Why::budget);
  EXPECT_LE(to_wire.out.size(), kChunk);
  std::size_t rounds = 1;
  while (true) {
    Budget next{1000};
    if (relay.pump(next) != Why::budget) break;
    ++rounds;
  }
  EXPECT_EQ(to_wire.out.size(), 300'000u);
  EXPECT_GE(rounds, 4u);
}

TEST_F(RelayTest, ReportsTheEndBehindTheLastOctets) {
  from_wire.send("2hi");
  from_wire.finish();
  EXPECT_EQ(pump(), Why::from_end);
  EXPECT_EQ(to_wire.out, "2hi");
}

TEST_F(RelayTest, ReportsWhoDied) {
  from_wire.reset();
  EXPECT_EQ(pump(), Why::from_error);
}

TEST_F(RelayTest, ReportsADestinationThatDied) {
  to_wire.reset();
  from_wire.send("2hi");
  EXPECT_EQ(pump(), Why::to_error);
  EXPECT_EQ(relay.to(), &to);
}

TEST_F(RelayTest, InjectsOnlyBetweenFrames) {
  const std::string frame = "!c";
  from_wire.send("5he");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_FALSE(relay.inject(to, as_bytes(frame)));
  from_wire.send("llo");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_TRUE(relay.inject(to, as_bytes(frame)));
  EXPECT_EQ(to_wire.out, "5hello!c");
}

TEST_F(RelayTest, OwesTheRestOfAnInjectedFrame) {
  to_wire.open_window(1);
  const std::string frame = "!c";
  EXPECT_TRUE(relay.inject(to, as_bytes(frame)));
  EXPECT_TRUE(relay.owes());
  EXPECT_FALSE(relay.inject(to, as_bytes(frame)));
  from_wire.send("1a");
  EXPECT_EQ(pump(), Why::jammed);
  to_wire.open_window(10);
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "!c1a");
}

TEST_F(RelayTest, InjectsNothingIntoAFullStream) {
  to_wire.open_window(0);
  const std::string frame = "!c";
  EXPECT_FALSE(relay.inject(to, as_bytes(frame)));
  EXPECT_FALSE(relay.owes());
}

TEST_F(RelayTest, ForgetsAStreamWithWhatWasOwedToIt) {
  to_wire.open_window(1);
  from_wire.send("5hello");
  EXPECT_EQ(pump(), Why::jammed);
  relay.forget(to);
  EXPECT_FALSE(relay.owes());
  EXPECT_EQ(relay.to(), nullptr);
  EXPECT_EQ(pool.lent(), 0u);
  host.to = &other;
  from_wire.send("1a");
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(other_wire.out, "1a");
}

TEST_F(RelayTest, FlushesWhatItOwes) {
  to_wire.open_window(1);
  from_wire.send("2hi");
  EXPECT_EQ(pump(), Why::jammed);
  EXPECT_FALSE(relay.flush_owed());
  to_wire.open_window(10);
  to_wire.deliver();
  EXPECT_TRUE(relay.flush_owed());
  EXPECT_EQ(to_wire.out, "2hi");
}

TEST_F(RelayTest, TellsTheHostOnceThatAMessageHasLeft) {
  to_wire.open_window(1);
  from_wire.send("2hi");
  EXPECT_EQ(pump(), Why::jammed);
  EXPECT_EQ(host.settles, 0);
  to_wire.open_window(10);
  to_wire.deliver();
  EXPECT_TRUE(relay.flush_owed());
  EXPECT_FALSE(relay.idle());  // the host is still to be told
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.settles, 1);
  EXPECT_TRUE(relay.idle());
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(host.settles, 1);
}

TEST_F(RelayTest, IsNotIdleWhileTheDestinationKeepsOctets) {
  to_wire.takes_all = true;
  to_wire.open_window(1);
  from_wire.send("2hi");
  (void)pump();
  EXPECT_FALSE(relay.owes());
  EXPECT_FALSE(relay.idle());
  to_wire.open_window(10);
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "2hi");
  EXPECT_TRUE(relay.idle());
}

TEST_F(RelayTest, SendsTheRestOfAnInjectedFrameThatTheStreamKeeps) {
  to_wire.takes_all = true;
  to_wire.open_window(1);
  EXPECT_TRUE(relay.inject(to, as_bytes(std::string_view("pong"))));
  EXPECT_FALSE(relay.idle());
  to_wire.open_window(10);
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, "pong");
  EXPECT_TRUE(relay.idle());
}

// Frames of one digit, offered as batches of all that is there.
class BatchFramer final : public Framer {
 public:
  Result<Run> next(MutableBytes bytes) override {
    Run run;
    run.size = run.payload = bytes.empty() ? 0 : 1;
    run.begins = run.ends = true;
    return run;
  }
  Batch peek(Bytes bytes, std::uint32_t) const override {
    ++peeks;
    Batch batch;
    batch.size = batch.payload = batch.binary = static_cast<std::uint32_t>(bytes.size());
    return batch;
  }
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }
  mutable int peeks = 0;
};

TEST_F(RelayTest, LooksForABatchOnceATurnWhenItIsRefused) {
  BatchFramer batches;
  Relay one_by_one(from, batches, host, pool);
  const std::string all(5000, '1');
  from_wire.send(all);
  from_wire.deliver();
  Budget budget;
  EXPECT_EQ(one_by_one.pump(budget), Why::starved);
  EXPECT_EQ(to_wire.out, all);
  EXPECT_EQ(batches.peeks, 1);
}

// Pumped only when it says that it is not idle, it moves the same.
TEST_F(RelayTest, MovesTheSameHoweverItIsCutAndJammed) {
  const std::string all = "5hello!p0" "3abc9ninechars!q1x";
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    for (std::size_t window = 1; window < 16; ++window) {
      Wire in(faults);
      Wire out(faults);
      out.takes_all = window >= 8;
      MemoryStream source(place, in);
      MemoryStream sink(place, out);
      DigitFramer digits;
      Host one;
      one.to = &sink;
      Relay under_test(source, digits, one, pool);
      out.open_window(0);
      for (int step = 0; step < 60; ++step) {
        if (step == 0) in.send(all.substr(0, cut));
        if (step == 2) in.send(all.substr(cut));
        out.open_window(1 + window % 8);
        in.deliver();
        out.deliver();
        Budget budget;
        if (!under_test.idle()) (void)under_test.pump(budget);
      }
      ASSERT_EQ(out.out, all) << cut << " " << window;
    }
  }
  EXPECT_EQ(pool.lent(), 0u);
}

}  // namespace
}  // namespace sluice::relay
