// The client survives the loss of TCP servers whose protocol has frames: per connection, and message by message.
#include <gtest/gtest.h>

#include "support/survivor.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using config::InFlight;
using session::Dropped;
using session::Revived;
using ws::TcpFraming;
using Messages = std::vector<std::string>;

config::Settings bridged(config::Settings settings, bool lengths) {
  for (std::size_t i = 0; i < settings.backends[0].servers.size(); ++i) {
    settings.backends[0].servers[i].scheme = upstream::Scheme::tcp;
  }
  TcpFraming& framing = settings.backends[0].framing;
  framing.type = lengths ? TcpFraming::Type::length : TcpFraming::Type::delimiter;
  framing.delimiter = ws::Delimiter("\r\n");
  framing.length.kind = ws::LengthPrefix::Kind::u16;
  return settings;
}

std::string framed(std::string_view text, bool lengths) {
  if (!lengths) return std::string(text) + "\r\n";
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size())} + std::string(text);
}

struct Bridged {
  explicit Bridged(bool with_lengths, upstream::Unit unit = upstream::Unit::connection, InFlight policy = InFlight::hold,
                   std::size_t servers = 2)
      : lengths(with_lengths), house(settings(policy, servers, unit)), client(start(house)) {
    for (int i = 0; unit == upstream::Unit::message && house.dials() < servers && i < 20; ++i) {
      client.peer.text("warm up");
      house.run();
    }
    for (std::size_t i = 0; i < house.dials(); ++i) begins.push_back(house.upstream(i).wire.out.size());
  }
  config::Settings settings(InFlight policy, std::size_t servers, upstream::Unit unit) const {
    config::Settings all = bridged(surviving(policy, servers), lengths);
    all.backends[0].unit = unit;
    all.routes[0].close_on_server_down = true;
    return all;
  }
  static Client& start(SimHouse& house) {
    house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
    return house.open();
  }
  // What a server got since the beginning, or all of it.
  std::string heard(std::size_t i) const {
    return const_cast<SimHouse&>(house).upstream(i).wire.out.substr(i < begins.size() ? begins[i] : 0);
  }
  std::string all_heard() const {
    std::string all;
    for (std::size_t i = 0; i < house.dials(); ++i) all += heard(i);
    return all;
  }
  std::size_t holder() const {  // who has a part of what was sent since
    for (std::size_t i = 0; i < house.dials(); ++i) {
      if (!heard(i).empty()) return i;
    }
    return 99;
  }
  std::uint64_t all_dropped() {
    std::uint64_t sum = 0;
    for (const Counter& counter : house.route_tally().dropped) sum += counter.get();
    return sum;
  }
  void expect_alive() {
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    EXPECT_FALSE(client.wire.closed);
  }
  void leave() {
    client.wire.finish();
    house.run();
    house.advance(8s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_TRUE(house.upstream(i).wire.closed) << i;
  }

  const bool lengths;
  SimHouse house;
  Client& client;
  std::vector<std::size_t> begins;
};

template <typename Test>
void each(Test test) {
  for (const bool lengths : {false, true}) {
    for (const upstream::Unit unit : {upstream::Unit::connection, upstream::Unit::message}) {
      SCOPED_TRACE((lengths ? "length, " : "delimiter, ") + std::string(unit == upstream::Unit::message ? "message" : "connection"));
      test(lengths, unit);
    }
  }
}

void lose(Upstream& up, bool in_order) { in_order ? up.wire.finish() : up.wire.reset(); }

TEST(SurviveBridge, AnEndBetweenFramesIsNotSeen) {
  each([](bool lengths, upstream::Unit unit) {
    for (const bool in_order : {false, true}) {
      Bridged s(lengths, unit);
      s.house.upstream(0).wire.send(framed("last words", lengths) + framed("", lengths).substr(0, 1));
      s.house.run();
      for (std::size_t i = 0; i < s.begins.size(); ++i) {
        lose(s.house.upstream(i), in_order);
        s.house.run();
      }
      s.house.advance(2s);
      ASSERT_GT(s.house.dials(), s.begins.size());
      s.client.peer.text("on");
      s.house.run();
      EXPECT_EQ(s.all_heard(), framed("on", lengths));
      s.house.last().wire.send(framed("hello", lengths));
      s.house.run();
      s.expect_alive();
      EXPECT_EQ(s.client.peer.messages(), (Messages{"last words", "hello"}));
      EXPECT_EQ(s.all_dropped(), 0u);
      EXPECT_EQ(s.house.route_tally().revivals[static_cast<std::size_t>(Revived::revived)].get(), s.begins.size());
      s.leave();
    }
  });
}

// A frame is longer than its payload, and a message with its length ahead is kept by the framer until its last fragment.
TEST(SurviveBridge, AMessageOnItsWayIsSentAgainDroppedOrFails) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  each([](bool lengths, upstream::Unit unit) {
    const std::string text(400, 'm');
    const std::size_t whole = framed(text, lengths).size();
    for (const InFlight policy : {InFlight::hold, InFlight::drop, InFlight::fail}) {
      for (const std::size_t taken : {std::size_t{1}, std::size_t{2}, std::size_t{200}, whole - 2, whole - 1}) {
        for (const int form : {0, 1, 2}) {
          SCOPED_TRACE(std::to_string(taken) + ", form " + std::to_string(form));
          Bridged s(lengths, unit, policy);
          for (std::size_t i = 0; i < s.begins.size(); ++i) s.house.upstream(i).wire.open_window(taken);
          if (form == 0) {
            s.client.peer.text(text);
          } else {
            s.client.peer.send(0x01, text.substr(0, 150));
            if (form == 2) s.house.run();
            s.client.peer.send(0x80, text.substr(150));
          }
          s.client.peer.text("behind");
          s.house.run();
          const std::size_t holder = s.holder();
          ASSERT_LT(holder, s.begins.size());
          lose(s.house.upstream(holder), true);
          s.house.run();
          for (std::size_t i = 0; i < s.begins.size(); ++i) s.house.upstream(i).wire.open_window(Wire::kUnlimited);
          s.house.run();
          s.house.advance(2s);
          EXPECT_TRUE(s.house.upstream(holder).wire.aborted) << "it must not take the beginning of a frame for all of it";
          const std::string part = framed(text, lengths).substr(0, taken);
          EXPECT_EQ(s.heard(holder), part);
          if (policy == InFlight::fail) {
            EXPECT_EQ(s.client.peer.close_code(), 1011u);
            continue;
          }
          s.expect_alive();
          std::string others;
          for (std::size_t i = 0; i < s.house.dials(); ++i) others += i == holder ? "" : s.heard(i);
          const std::string again = policy == InFlight::hold ? framed(text, lengths) : "";
          EXPECT_TRUE(others == again + framed("behind", lengths) || others == framed("behind", lengths) + again) << others;
          EXPECT_EQ(s.all_dropped(), policy == InFlight::hold ? 0u : 1u);
          s.leave();
        }
      }
    }
  });
}

TEST(SurviveBridge, HalfAFrameToTheClientCannotBeSurvived) {
  each([](bool lengths, upstream::Unit unit) {
    Bridged s(lengths, unit);
    s.house.upstream(0).wire.send(framed("a frame that breaks off", lengths).substr(0, 12));
    s.house.run();
    ASSERT_EQ(s.client.peer.frames.size(), 1u);
    s.house.upstream(0).wire.finish();
    s.house.run();
    EXPECT_EQ(s.client.peer.close_code(), 1011u);
    EXPECT_EQ(s.house.route_tally().revivals[static_cast<std::size_t>(Revived::half_sent)].get(), 1u);
  });
}

// A server that is to be left is told the end behind a whole frame, and is read to its own.
TEST(SurviveBridge, AServerThatIsDownIsLeftBehindAFrame) {
  each([](bool lengths, upstream::Unit unit) {
    Bridged s(lengths, unit);
    s.client.peer.send(0x01, "begun ");
    s.house.run();
    const std::size_t old = unit == upstream::Unit::connection || lengths ? 0 : s.holder();
    Upstream& up = s.house.upstream(old);
    s.house.server(up.address.starts_with("10.0.0.1") ? 0 : 1).command_duty(upstream::Duty::down);
    s.house.advance(2s);
    // With a length ahead nothing of the message has gone up before its last fragment.
    if (!lengths) EXPECT_FALSE(up.wire.finished);
    s.client.peer.send(0x80, "and ended");
    s.house.run();
    s.house.advance(1s);
    EXPECT_TRUE(up.wire.finished);
    EXPECT_FALSE(up.wire.closed);
    up.wire.send(framed("goodbye", lengths));
    up.wire.finish();
    s.house.run();
    s.client.peer.text("after");
    s.house.run();
    s.expect_alive();
    EXPECT_TRUE(up.wire.closed);
    EXPECT_FALSE(up.wire.aborted);
    EXPECT_EQ(s.client.peer.messages(), Messages{"goodbye"});
    EXPECT_NE(s.all_heard().find(framed("begun and ended", lengths)), std::string::npos);
    EXPECT_EQ(s.heard(old).find(framed("after", lengths)), std::string::npos);
    EXPECT_EQ(s.house.route_tally().revivals[static_cast<std::size_t>(Revived::moved)].get(), 1u);
    s.leave();
  });
}

TEST(SurviveBridge, AServerThatDoesNotEndIsLeftAfterItsTime) {
  each([](bool lengths, upstream::Unit unit) {
    Bridged s(lengths, unit);
    Upstream& up = s.house.upstream(0);
    s.house.server(up.address.starts_with("10.0.0.1") ? 0 : 1).command_duty(upstream::Duty::down);
    s.house.advance(3s);
    EXPECT_TRUE(up.wire.finished);
    EXPECT_FALSE(up.wire.closed);
    s.house.advance(6s);
    EXPECT_TRUE(up.wire.closed);
    s.expect_alive();
    s.leave();
  });
}

TEST(SurviveBridge, TheClientsOwnEndIsAsAlways) {
  each([](bool lengths, upstream::Unit unit) {
    for (const bool away : {false, true}) {
      Bridged s(lengths, unit);
      if (away) {
        s.house.on_dial = [](Upstream& up) { up.script = SimHouse::Script::refuse; };
        for (std::size_t i = 0; i < s.begins.size(); ++i) {
          s.house.upstream(i).wire.finish();
          s.house.run();
        }
        s.client.peer.text("kept");
        s.house.run();
      }
      s.client.peer.close(1000, "bye");
      s.house.run();
      for (std::size_t i = 0; i < s.begins.size(); ++i) {
        EXPECT_TRUE(away || s.house.upstream(i).wire.finished);
        s.house.upstream(i).wire.finish();
      }
      s.house.run();
      EXPECT_EQ(s.client.peer.close_code(), 1000u);
      EXPECT_EQ(s.all_dropped(), away ? 1u : 0u);
      s.leave();
    }
  });
}

}  // namespace
}  // namespace sluice::test
