#include "net/tcp_stream.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/pattern.h"
#include "support/stream_pair.h"

namespace sluice::net {
namespace {

using test::Bench;
using test::Holder;
using test::pattern;

struct TcpStreamTest : testing::Test {
  explicit TcpStreamTest(std::pair<Fd, Fd> fds = test::loopback_pair())
      : a(std::make_unique<TcpStream>(bench.place, std::move(fds.first), false)),
        b(std::make_unique<TcpStream>(bench.place, std::move(fds.second), false)) {}

  Bench bench;
  Holder a;
  Holder b;
};

TEST_F(TcpStreamTest, CarriesOctetsBothWays) {
  a.say("hello");
  b.say("welcome");
  EXPECT_TRUE(bench.until([&] { return b.in == "hello" && a.in == "welcome"; }));
  EXPECT_TRUE(a.stream->starved());
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TcpStreamTest, JamsAndGoesOnAfterAnEdge) {
  const std::string much = pattern(20'000'000);
  b.reads = false;
  a.say(much);
  EXPECT_TRUE(a.stream->jammed());
  EXPECT_FALSE(a.out.empty());
  EXPECT_GT(a.stream->undelivered(), 0u);
  std::size_t taken = 1;
  const Bytes part = as_bytes("x");
  EXPECT_EQ(a.stream->write({&part, 1}, taken), Io::blocked);
  EXPECT_EQ(taken, 0u);
  b.reads = true;
  b.work();
  EXPECT_TRUE(bench.until([&] { return b.in.size() == much.size(); }));
  EXPECT_EQ(b.in, much);
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TcpStreamTest, GathersParts) {
  const std::string one = "one ";
  const std::string two = "two ";
  const Bytes parts[] = {as_bytes(one), Bytes{}, as_bytes(two), as_bytes(one)};
  std::size_t taken = 0;
  EXPECT_EQ(a.stream->write(parts, taken), Io::ok);
  EXPECT_EQ(taken, 12u);
  EXPECT_TRUE(bench.until([&] { return b.in == "one two one "; }));
}

TEST_F(TcpStreamTest, SaysTheEndAfterEverythingElse) {
  a.finishes = true;
  a.say("last");
  EXPECT_TRUE(bench.until([&] { return b.ended; }));
  EXPECT_EQ(b.in, "last");
  b.say("but I am here");  // half-closed
  EXPECT_TRUE(bench.until([&] { return a.in == "but I am here"; }));
}

TEST_F(TcpStreamTest, KeepsARemainderInItsBufferAndPutsTheNextOctetsBehind) {
  b.reads = false;
  a.say("abc");
  ASSERT_TRUE(bench.until([&] { return b.stream->fill() == Io::ok; }));
  EXPECT_EQ(as_text(b.stream->received()), "abc");
  b.stream->consume(1);
  b.stream->settle();
  EXPECT_GT(bench.pool.lent(), 0u);
  EXPECT_EQ(as_text(b.stream->received()), "bc");
  a.say("def");
  ASSERT_TRUE(bench.until([&] { return b.stream->fill() == Io::ok; }));
  EXPECT_EQ(as_text(b.stream->received()), "bcdef");
  b.stream->consume(5);
  b.stream->settle();
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TcpStreamTest, KeepsALargeRemainderAndNeverMoreThanAChunk) {
  b.reads = false;
  const std::string much = pattern(200'000);
  a.say(much);
  for (int i = 0; i < 20; ++i) {
    bench.until([&] { return !b.stream->starved(); });
    if (b.stream->fill() != Io::ok) break;
    b.stream->settle();
  }
  EXPECT_EQ(b.stream->received().size(), kChunk);
  EXPECT_EQ(b.stream->fill(), Io::blocked);
  EXPECT_EQ(as_text(b.stream->received()), std::string_view(much).substr(0, kChunk));
  b.stream->consume(kChunk);
  b.reads = true;
  b.work();
  EXPECT_TRUE(bench.until([&] { return b.in.size() == much.size() - kChunk; }));
  EXPECT_EQ(b.in, much.substr(kChunk));
}

TEST_F(TcpStreamTest, TwoStreamsShareATurnOneAfterTheOther) {
  auto more = test::loopback_pair();
  Holder c(std::make_unique<TcpStream>(bench.place, std::move(more.first), false));
  Holder d(std::make_unique<TcpStream>(bench.place, std::move(more.second), false));
  b.reads = d.reads = false;
  a.say("for b");
  c.say("for d");
  ASSERT_TRUE(bench.until([&] { return b.stream->fill() == Io::ok; }));
  b.stream->settle();
  ASSERT_TRUE(bench.until([&] { return d.stream->fill() == Io::ok; }));
  d.stream->settle();
  EXPECT_EQ(as_text(b.stream->received()), "for b");
  EXPECT_EQ(as_text(d.stream->received()), "for d");
}

TEST_F(TcpStreamTest, ReportsAReset) {
  a.stream->abort();
  EXPECT_TRUE(bench.until([&] {
    if (b.stream->recheck()) b.work();
    return b.failed;
  }));
  EXPECT_NE(static_cast<TcpStream&>(*b.stream).last_errno(), 0);
}

TEST_F(TcpStreamTest, IsSilentOnceClosed) {
  const std::size_t edges = b.edges;
  b.stream->close();
  b.stream->close();
  a.say("nobody hears");
  EXPECT_TRUE(bench.until([&] { return a.ended || a.failed; }));
  EXPECT_EQ(b.edges, edges);
  std::size_t taken = 0;
  const Bytes part = as_bytes("x");
  EXPECT_EQ(b.stream->write({&part, 1}, taken), Io::error);
  EXPECT_EQ(b.stream->received().size(), 0u);
}

TEST_F(TcpStreamTest, GivesItsBufferBackWhenItCloses) {
  b.reads = false;
  a.say("abc");
  ASSERT_TRUE(bench.until([&] { return b.stream->fill() == Io::ok; }));
  b.stream->settle();
  EXPECT_GT(bench.pool.lent(), 0u);
  b.stream->close();
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST(TcpStream, WaitsForTheEndOfAConnect) {
  Bench bench;
  int error = 0;
  Fd listener = listen_on(*Address::parse("127.0.0.1", 0), error);
  ASSERT_TRUE(listener);
  Fd fd = connect_to(local_address(listener.get()), {}, error);
  ASSERT_TRUE(fd);
  Holder holder(std::make_unique<TcpStream>(bench.place, std::move(fd), true));
  EXPECT_TRUE(holder.stream->jammed());
  EXPECT_TRUE(bench.until([&] { return !holder.stream->jammed(); }));
}

}  // namespace
}  // namespace sluice::net
