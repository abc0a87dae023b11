#include "net/preamble.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "support/run_until.h"
#include "support/stream_pair.h"

namespace sluice::net {
namespace {

const std::string kHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

struct PreambleTest : testing::Test, Ready {
  PreambleTest() {
    auto [near, its_far] = test::loopback_pair();
    far = std::move(its_far);
    preamble.emplace(loop, std::move(near), *this);
  }
  void on_ready() override {
    ++wakes;
    if (verdict == Io::blocked) verdict = preamble->advance();
  }
  void say(std::string_view octets) {
    ASSERT_EQ(::send(far.get(), octets.data(), octets.size(), MSG_NOSIGNAL), static_cast<ssize_t>(octets.size()));
  }
  bool until(Io wanted) {
    return run_until(loop, [&] { return verdict == wanted; });
  }

  event::Loop loop;
  Fd far;
  std::optional<Preamble> preamble;
  Io verdict = Io::blocked;
  int wakes = 0;
};

TEST_F(PreambleTest, TakesTheHeaderAndNotAnOctetMore) {
  say(kHeader + "what follows");
  ASSERT_TRUE(until(Io::ok));
  EXPECT_EQ(preamble->header().source.text(), "192.0.2.7:40000");
  const Fd fd = preamble->take();
  char room[64];
  const ssize_t got = ::recv(fd.get(), room, sizeof room, MSG_DONTWAIT);
  EXPECT_EQ(std::string(room, got > 0 ? static_cast<std::size_t>(got) : 0), "what follows");
}

TEST_F(PreambleTest, WaitsForEachOctet) {
  for (const char octet : kHeader) {
    EXPECT_EQ(verdict, Io::blocked);
    const int before = wakes;
    say({&octet, 1});
    ASSERT_TRUE(run_until(loop, [&] { return wakes > before; }));
  }
  EXPECT_EQ(verdict, Io::ok);
}

TEST_F(PreambleTest, SaysWhatIsWrong) {
  say("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(until(Io::error));
  EXPECT_EQ(preamble->error().code, Errc::proxy_hdr);
}

TEST_F(PreambleTest, EndsWithTheConnection) {
  say(kHeader.substr(0, 20));
  ::shutdown(far.get(), SHUT_WR);
  EXPECT_TRUE(until(Io::end));
}

TEST_F(PreambleTest, TakesAHeaderAfterWhichTheOtherSideEnds) {
  say(kHeader);
  ::shutdown(far.get(), SHUT_WR);
  EXPECT_TRUE(until(Io::ok));
}

}  // namespace
}  // namespace sluice::net
