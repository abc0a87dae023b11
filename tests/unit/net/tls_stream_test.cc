// TlsStream against itself, both ends on one loop and one Turn, over a socket pair.
#include "net/tls_stream.h"

#include <gtest/gtest.h>

#include "support/pattern.h"
#include "support/tls_pair.h"

namespace sluice::net {
namespace {

using test::client;
using test::Holder;
using test::Pair;
using test::pattern;
using test::wildcard_certificate;

struct TlsStreamTest : test::TlsTest {};

TEST_F(TlsStreamTest, ShakesHandsAndCarriesOctetsBothWays) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake()) << pair.client().failure() << pair.server().failure();
  EXPECT_EQ(pair.server().version(), "TLSv1.3");
  EXPECT_EQ(pair.server().sni(), "gw.test");
  EXPECT_FALSE(pair.server().has_client_certificate());
  pair.a.say("hello");
  pair.b.say("welcome");
  EXPECT_TRUE(pair.until([&] { return pair.b.in == "hello" && pair.a.in == "welcome"; }));
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, DeliversDataThatComesInTheFlightOfFinished) {
  // The client speaks at once: its first record follows its Finished in one segment.
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  pair.b.reads = false;
  pair.a.say("GET / HTTP/1.1\r\n\r\n");
  // The server reads as Arrival does: until established, and then looks at what is there.
  ASSERT_TRUE(pair.until([&] {
    while (!pair.server().established() && pair.server().fill() == Io::ok) pair.server().settle();
    pair.server().settle();
    return pair.server().established();
  }));
  pair.b.reads = true;
  EXPECT_TRUE(pair.until([&] {
    pair.b.work();
    return pair.b.in + std::string(as_text(pair.server().received())) == "GET / HTTP/1.1\r\n\r\n";
  }));
}

TEST_F(TlsStreamTest, ReportsNoEarlyStarvationWhileOctetsWaitInside) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.b.reads = false;
  const std::string much = pattern(300'000);
  pair.a.say(much);
  std::string got;
  EXPECT_TRUE(pair.until([&] {
    while (pair.server().fill() == Io::ok) {
      EXPECT_LE(pair.server().received().size(), kChunk + kSlack);
      got += as_text(pair.server().received());
      pair.server().consume(pair.server().received().size());
      pair.server().settle();
    }
    return got.size() == much.size();
  }));
  EXPECT_EQ(got, much);
}

TEST_F(TlsStreamTest, CarriesLargeAmountsBothWaysAtOnce) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  const std::string up = pattern(5'000'001);
  const std::string down = pattern(3'000'017);
  pair.a.say(up);
  pair.b.say(down);
  EXPECT_TRUE(pair.until([&] { return pair.b.in.size() == up.size() && pair.a.in.size() == down.size(); }));
  EXPECT_EQ(pair.b.in, up);
  EXPECT_EQ(pair.a.in, down);
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, JamsKeepsABoundedRestAndGoesOn) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.a.reads = false;
  const std::string much = pattern(20'000'000);
  pair.b.say(much);
  ASSERT_TRUE(pair.until([&] { return pair.b.stream->jammed(); }));
  EXPECT_FALSE(pair.b.out.empty());
  EXPECT_LE(pair.server().owed(), 128u * 1024);
  EXPECT_LE(bench.pool.lent(), 256u * 1024);
  // While it is jammed it takes nothing more.
  std::size_t taken = 1;
  const Bytes part = as_bytes("x");
  EXPECT_EQ(pair.server().write({&part, 1}, taken), Io::blocked);
  EXPECT_EQ(taken, 0u);
  pair.a.reads = true;
  pair.a.work();
  EXPECT_TRUE(pair.until([&] { return pair.a.in.size() == much.size(); }));
  EXPECT_EQ(pair.a.in, much);
  EXPECT_EQ(pair.server().owed(), 0u);
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, JoinsSmallPartsInOneRecord) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  std::vector<std::string> texts(net::kMostParts, "part ");
  std::vector<Bytes> parts;
  for (const std::string& text : texts) parts.push_back(as_bytes(text));
  std::size_t taken = 0;
  EXPECT_EQ(pair.client().write(parts, taken), Io::ok);
  EXPECT_EQ(taken, 5 * net::kMostParts);
  EXPECT_TRUE(pair.until([&] { return pair.b.in.size() == taken; }));
}

TEST_F(TlsStreamTest, EndsInOrderWithCloseNotifyBehindWhatItOwes) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  const std::string much = pattern(10'000'000);
  pair.a.reads = false;
  pair.b.finishes = true;
  pair.b.say(much);
  pair.a.reads = true;
  pair.a.work();
  EXPECT_TRUE(pair.until([&] { return pair.a.ended; }));
  EXPECT_EQ(pair.a.in.size(), much.size());
  EXPECT_FALSE(pair.a.failed);
}

TEST_F(TlsStreamTest, TakesAnAbruptEndForTheEndOrAnErrorButNeverForMore) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.b.say("last");
  ASSERT_TRUE(pair.until([&] { return pair.a.in == "last"; }));
  pair.server().close();
  EXPECT_TRUE(pair.until([&] { return pair.a.ended || pair.a.failed; }));
  EXPECT_EQ(pair.a.in, "last");
}

TEST_F(TlsStreamTest, ReportsAReset) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.server().abort();
  // It may come together with the last octets and then has no edge of its own: a sweep finds it.
  EXPECT_TRUE(pair.until([&] {
    if (pair.client().recheck()) pair.a.work();
    return pair.a.failed;
  }));
}

TEST_F(TlsStreamTest, RefusesWhoSpeaksNoTls) {
  auto fds = test::loopback_pair();
  Holder plain(std::make_unique<TcpStream>(bench.place, std::move(fds.first), false));
  Holder tls(std::make_unique<TlsStream>(bench.place, std::move(fds.second), server->accept(), false));
  plain.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(bench.until([&] { return tls.failed; }));
  EXPECT_NE(static_cast<TlsStream&>(*tls.stream).failure(), "");
  EXPECT_EQ(tls.in, "");
}

TEST_F(TlsStreamTest, RefusesAnUnknownAuthority) {
  auto stranger = client(crypto, {.ca = wildcard_certificate().certificate, .certificate = {}, .key = {}});
  Pair pair(bench, stranger->connect("gw.test"), server->accept());
  EXPECT_FALSE(pair.shake());
  EXPECT_TRUE(pair.a.failed);
  EXPECT_NE(pair.client().failure(), "");
}

TEST_F(TlsStreamTest, RefusesAnotherName) {
  Pair pair(bench, peer->connect("other.test"), server->accept());
  EXPECT_FALSE(pair.shake());
  EXPECT_TRUE(pair.a.failed);
}

TEST_F(TlsStreamTest, VerifiesAnAddressByItsLiteral) {
  Pair pair(bench, peer->connect("127.0.0.1"), server->accept());
  EXPECT_TRUE(pair.shake()) << pair.client().failure();
  EXPECT_EQ(pair.server().sni(), "");
}

}  // namespace
}  // namespace sluice::net
