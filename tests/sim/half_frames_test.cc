// Frames that were forwarded in part when their sender was refused: nothing may ever stand in place of the rest.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Limit = policy::LimitSettings;

config::Settings checked() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).validate_utf8 = true;
  return settings;
}

TEST(HalfFrames, EndBothSidesAtOnceWhenTheirTextBreaksOff) {
  const std::string bad = frame_octets(0x81, std::string(100, 'a') + "\xff" + std::string(100, 'b'), true);
  for (std::size_t cut = 9; cut < 100; cut += 13) {
    SCOPED_TRACE(cut);
    SimHouse house(checked());
    Client& client = house.open();
    Upstream& server = house.last();
    client.wire.send(bad.substr(0, cut));
    house.run();
    client.wire.send(bad.substr(cut));
    house.run();  // no time passes
    EXPECT_EQ(client.peer.close_code(), 1007u);
    EXPECT_TRUE(client.wire.finished);
    EXPECT_TRUE(server.wire.closed);
    EXPECT_EQ(server.peer.raw, bad.substr(0, cut)) << "neither the rest nor a Close inside the frame";
    client.wire.finish();
    house.run();
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

// The framer has seen the end of this frame, the upstream has not.
TEST(HalfFrames, AreNoBoundaryWhenOnlyTheirLastOctetsAreRefused) {
  const std::string bad = frame_octets(0x81, "text ends inside \xe2\x82", true);
  SimHouse house(checked());
  Client& client = house.open();
  Upstream& server = house.last();
  client.wire.send(bad.substr(0, 12));
  house.run();
  client.wire.send(bad.substr(12));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1007u);
  EXPECT_EQ(server.peer.raw, bad.substr(0, 12));
  EXPECT_TRUE(server.wire.closed);
}

TEST(HalfFrames, LeaveTheUpstreamItsCloseWhenNothingOfThemWentUp) {
  SimHouse house(checked());
  Client& client = house.open();
  Upstream& server = house.last();
  server.peer.answers_close = true;
  client.peer.text("good");
  client.peer.text("\xff");
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1007u);
  EXPECT_EQ(server.peer.messages(), std::vector<std::string>{"good"});
  EXPECT_EQ(server.peer.close_code(), 1001u);
}

// A rate is asked at every piece of a message: one that is refused in its middle is finished, then the Close follows.
TEST(HalfFrames, AreFinishedWhenARateEndsTheConnection) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).ping_interval = {};
  add_limit(settings, Limit::Unit::bytes, Limit::Key::connection, 10).on_limit = Limit::Action::close;
  for (const bool together : {false, true}) {
    SCOPED_TRACE(together);
    SimHouse house(settings);
    Client& client = house.open();
    Upstream& server = house.last();
    server.peer.answers_close = true;
    const std::string frame = frame_octets(0x82, std::string(100, 'x'), true);
    client.wire.send(frame.substr(0, 60));
    house.run();
    client.wire.send(frame.substr(60, 20));
    if (!together) house.run();
    client.wire.send(frame.substr(80));
    client.peer.text("one more");
    house.run();
    EXPECT_EQ(client.peer.close_code(), 1008u);
    EXPECT_EQ(server.peer.messages(), std::vector<std::string>{std::string(100, 'x')});
    EXPECT_EQ(server.peer.close_code(), 1001u);
    client.peer.close(1008, "");
    house.run();
    house.advance(2s);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Lifetime, EndsInItsLastTenthAndNotForAllAtOnce) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_lifetime = 1000s;
  rules_of(settings).ping_interval = {};
  SimHouse house(settings);
  std::vector<Client*> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(&house.open());
  const auto closed = [&clients] {
    return std::ranges::count_if(clients, [](const Client* client) { return client->peer.close_frame() != nullptr; });
  };
  house.advance(899s);
  EXPECT_EQ(closed(), 0);
  house.advance(51s);
  EXPECT_GT(closed(), 0);
  EXPECT_LT(closed(), 40);
  house.advance(50s);
  EXPECT_EQ(closed(), 40);
}

// ---- refusals in chunks ------------------------------------------------------------------------------------------------

TEST(Refusal, IsRelayedWithItsChunkedBody) {
  const std::string answer =
      "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4\r\nnot \r\n3\r\nyou\r\n0\r\nX-Trailer: t\r\n\r\n";
  for (std::size_t cut = 1; cut <= answer.size(); ++cut) {
    SCOPED_TRACE(cut);
    SimHouse house;
    house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
    Client& client = house.open();
    Upstream& up = house.last();
    up.wire.send(answer.substr(0, cut));
    house.run();
    if (cut < answer.size()) {
      EXPECT_EQ(client.wire.out, "");
    }
    up.wire.send(answer.substr(cut));
    house.run();
    EXPECT_EQ(client.peer.status(), 403);
    EXPECT_EQ(client.peer.body, "not you");
    EXPECT_EQ(field_of(client.peer.head, "Content-Length"), "7");
    EXPECT_EQ(field_of(client.peer.head, "Transfer-Encoding"), "");
    EXPECT_TRUE(up.wire.closed);
  }
}

TEST(Refusal, WithMalformedChunksIs502) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\nnot \r\n0\r\n\r\n");
  house.run();
  EXPECT_EQ(client.peer.status(), 502);
}

TEST(Refusal, LosesABodyThatIsTooLong) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  Upstream& up = house.last();
  up.wire.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    up.wire.send("4000\r\n" + std::string(0x4000, 'b') + "\r\n");
    house.run();
  }
  EXPECT_EQ(client.peer.status(), 403);
  EXPECT_EQ(client.peer.body, "");
  EXPECT_EQ(field_of(client.peer.head, "Content-Length"), "0");
}

}  // namespace
}  // namespace sluice::test
