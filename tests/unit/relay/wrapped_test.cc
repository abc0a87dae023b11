// Runs that are wrapped in octets of their framer's: gathered, lent, and never mixed up when little leaves at a time.
#include <gtest/gtest.h>

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

// Lines. Each becomes <line>, with so many octets lent behind it.
class LineFramer final : public Framer {
 public:
  Result<Found> next(MutableBytes bytes) override {
    Found run;
    const std::string_view text = as_text(bytes);
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return run;
    EXPECT_TRUE(lent_.empty() || behind <= 64) << "what was lent is still in use";
    run.size = end + 1;
    run.payload = end;
    run.tail = 1;
    run.prefix[0] = '<';
    run.prefix_size = 1;
    run.begins = run.ends = true;
    if (behind > 0) {
      lent_.assign(behind, static_cast<char>('a' + count_++ % 26));
      run.content = as_bytes(lent_);
    }
    return run;
  }
  void sent() override {
    ++sents;
    lent_.clear();
  }
  bool at_frame_boundary() const override { return true; }
  bool at_message_boundary() const override { return true; }

  std::size_t behind = 0;
  int sents = 0;

 private:
  std::string lent_;
  unsigned count_ = 0;
};

struct Host final : RelayHost {
  Verdict admit(const Found&) override { return waits ? Verdict::wait(Instant{}) : Verdict::allow(); }
  net::Stream* route(const Found&) override { return to; }
  void settled() override {}
  net::Stream* to = nullptr;
  bool waits = false;
};

struct Wrapped : testing::Test {
  Wrapped() { host.to = &to; }
  Why pump() {
    from_wire.deliver();
    to_wire.deliver();
    Budget budget;
    return relay.pump(budget);
  }
  // `lines` as they must arrive.
  std::string expected(const std::vector<std::string>& lines) const {
    std::string all;
    unsigned count = 0;
    for (const std::string& line : lines) {
      all += "<" + line;
      if (framer.behind > 0) all += std::string(framer.behind, static_cast<char>('a' + count++ % 26));
    }
    return all;
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
  LineFramer framer;
  Host host;
  Relay relay{from, framer, host, pool};
};

std::vector<std::string> lines_of(std::initializer_list<std::size_t> sizes) {
  std::vector<std::string> lines;
  for (const std::size_t size : sizes) lines.emplace_back(size, static_cast<char>('A' + lines.size() % 26));
  return lines;
}

TEST_F(Wrapped, SmallRunsAreGatheredIntoOneWrite) {
  for (const std::size_t behind : {0, 2, 64}) {
    framer.behind = behind;
    const auto lines = lines_of({0, 1, 5, 0, 100, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 400});
    to_wire.out.clear();
    to_wire.writes.clear();
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    from_wire.send(all);
    EXPECT_EQ(pump(), Why::starved);
    EXPECT_EQ(to_wire.writes.size(), 1u);
    EXPECT_EQ(to_wire.out.size(), expected(lines).size());
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(Wrapped, LargeRunsAndSmallOnesKeepTheirOrder) {
  for (const std::size_t window : {std::size_t{1}, std::size_t{7}, std::size_t{4000}, Wire::kUnlimited}) {
    for (const std::size_t behind : {0, 3, 65, 5000}) {
      SCOPED_TRACE(testing::Message() << window << " " << behind);
      Wire in(faults);
      Wire out(faults);
      MemoryStream source(place, in);
      MemoryStream sink(place, out);
      LineFramer lines_framer;
      lines_framer.behind = behind;
      framer.behind = behind;
      Host its_host;
      its_host.to = &sink;
      Relay one(source, lines_framer, its_host, pool);
      const auto lines = lines_of({3000, 0, 10, 512, 513, 1, 20'000, 2, 2, 600, 0});
      std::string all;
      for (const std::string& line : lines) all += line + "\n";
      in.send(all);
      if (window != Wire::kUnlimited) out.open_window(0);
      for (std::size_t i = 0; i < 200'000 && out.out.size() < expected(lines).size(); ++i) {
        if (window != Wire::kUnlimited) out.open_window(window < 4000 ? window * 64 : window);
        in.deliver();
        out.deliver();
        Budget budget;
        one.pump(budget);
      }
      EXPECT_EQ(out.out, expected(lines));
      EXPECT_EQ(lines_framer.sents > 0, behind > 64);
    }
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST_F(Wrapped, WhatIsLentWaitsWithItsRun) {
  framer.behind = 1000;
  host.waits = true;
  from_wire.send("one\ntwo\n");
  EXPECT_EQ(pump(), Why::held);
  EXPECT_EQ(framer.sents, 0);
  host.waits = false;
  EXPECT_EQ(pump(), Why::starved);
  EXPECT_EQ(to_wire.out, expected({"one", "two"}));
  EXPECT_EQ(framer.sents, 2);
  EXPECT_EQ(to_wire.writes.size(), 2u);
}

}  // namespace
}  // namespace sluice::relay
