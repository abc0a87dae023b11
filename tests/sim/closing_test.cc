// The closing table of session/closing.cc, row by row, and what comes between.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

struct Joined {
  explicit Joined(config::Settings settings = settings_for({"ws://10.0.0.1:9000"}))
      : house(std::move(settings)), client(house.open()), server(house.last()) {}
  std::uint64_t closes(Side initiator, std::uint16_t code) {
    return house.route_tally().closes[static_cast<std::size_t>(initiator)][session::close_label(code)].get();
  }
  // Nothing is left of it.
  void expect_gone() {
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.admitted(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
    EXPECT_EQ(house.route_tally().connections.get(), 0);
    EXPECT_EQ(house.server(0).active.load(), 0u);
    EXPECT_TRUE(client.wire.closed);
    EXPECT_TRUE(server.wire.closed);
  }
  void end_client() {
    client.wire.finish();
    house.run();
  }

  SimHouse house;
  Client& client;
  Upstream& server;
};

config::Settings before_tcp() { return settings_for({"tcp://10.0.0.2:7000"}); }

// ---- client Close -----------------------------------------------------------------------------------------------------

TEST(Closing, RelaysTheClientsCloseAndTheAnswer) {
  Joined one;
  one.server.peer.answers_close = true;
  one.client.peer.text("last");
  one.client.peer.close(4001, "bye");
  one.house.run();
  EXPECT_EQ(one.server.peer.messages(), std::vector<std::string>{"last"});
  EXPECT_EQ(one.server.peer.close_frame()->payload, close_payload(4001, "bye"));
  EXPECT_EQ(one.client.peer.close_frame()->payload, close_payload(4001, "bye"));
  EXPECT_TRUE(one.client.wire.finished);
  EXPECT_EQ(one.closes(Side::client, 4001), 1u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, RelaysACloseWithoutACode) {
  Joined one;
  one.server.peer.answers_close = true;
  one.client.peer.send(0x88, "");
  one.house.run();
  ASSERT_NE(one.client.peer.close_frame(), nullptr);
  EXPECT_EQ(one.client.peer.close_frame()->payload, "");
  EXPECT_EQ(one.server.peer.close_frame()->payload, "");
}

TEST(Closing, LetsTheUpstreamFinishWhatItHadToSayBeforeItsClose) {
  Joined one;
  one.client.peer.close(1000);
  one.house.run();
  one.server.peer.text("one more");
  one.server.peer.close(1000);
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"one more"});
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
}

TEST(Closing, IgnoresWhatTheClientSaysAfterItsClose) {
  Joined one;
  one.client.peer.close(1000);
  one.client.peer.text("late");
  one.client.peer.close(1001);
  one.house.run();
  EXPECT_EQ(one.server.peer.frames.size(), 1u);
}

TEST(Closing, WaitsForTheUpstreamsCloseFiveSecondsAtMost) {
  Joined one;
  one.client.peer.close(1000);
  one.house.run();
  one.house.advance(4900ms);
  EXPECT_FALSE(one.server.wire.closed);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
  one.house.advance(200ms);
  EXPECT_TRUE(one.server.wire.closed);
  EXPECT_EQ(one.client.peer.close_code(), 1000u);  // who said Close in order is answered in order
  one.house.advance(2s);
  one.expect_gone();
  EXPECT_EQ(one.closes(Side::client, 1000), 1u);
}

TEST(Closing, AnswersTheClientWhenTheUpstreamLeavesInsteadOfAnswering) {
  for (const bool reset : {false, true}) {
    Joined one;
    one.client.peer.close(3500, "x");
    one.house.run();
    reset ? one.server.wire.reset() : one.server.wire.finish();
    one.house.run();
    EXPECT_EQ(one.client.peer.close_code(), 3500u);
    one.end_client();
    one.expect_gone();
  }
}

TEST(Closing, EndsATcpUpstreamWhenTheClientCloses) {
  Joined one(before_tcp());
  one.client.peer.binary("last");
  one.client.peer.close(1000, "ok");
  one.house.run();
  EXPECT_EQ(one.server.wire.out, "last");
  EXPECT_TRUE(one.server.wire.finished);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);  // what it still has to say comes first
  one.server.wire.send("rest");
  one.server.wire.finish();
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"rest"});
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, AnswersTheClientWhenATcpUpstreamDoesNotEnd) {
  Joined one(before_tcp());
  one.client.peer.close(1000);
  one.house.run();
  one.house.advance(5100ms);
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  one.house.advance(2s);
  one.expect_gone();
}

// ---- upstream Close -----------------------------------------------------------------------------------------------------

TEST(Closing, RelaysTheUpstreamsCloseAndTheAnswer) {
  Joined one;
  one.client.peer.answers_close = true;
  one.server.peer.text("last");
  one.server.peer.close(4321, "enough");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"last"});
  EXPECT_EQ(one.client.peer.close_frame()->payload, close_payload(4321, "enough"));
  EXPECT_EQ(one.server.peer.close_frame()->payload, close_payload(4321, "enough"));
  EXPECT_EQ(one.closes(Side::upstream, 4321), 1u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, RelaysTheUpstreamsCloseThoughItHangsUpBehindIt) {
  Joined one;
  one.client.peer.answers_close = true;
  one.server.peer.close(1000);
  one.server.wire.finish();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  EXPECT_EQ(one.closes(Side::upstream, 1000), 1u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, WaitsForTheClientsCloseFiveSecondsAtMost) {
  Joined one;
  one.server.peer.close(1000);
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  one.house.advance(5100ms);
  EXPECT_TRUE(one.client.wire.finished);
  one.house.advance(2s);
  one.expect_gone();
}

TEST(Closing, ForwardsWhatTheClientSaysBeforeItAnswers) {
  Joined one;
  one.server.peer.close(1000);
  one.house.run();
  one.client.peer.text("crossing");
  one.client.peer.close(1000);
  one.house.run();
  EXPECT_EQ(one.server.peer.messages(), std::vector<std::string>{"crossing"});
  EXPECT_EQ(one.server.peer.close_code(), 1000u);
}

TEST(Closing, ClosesTheClientInOrderWhenATcpUpstreamEnds) {
  Joined one(before_tcp());
  one.client.peer.answers_close = true;
  one.server.wire.send("all");
  one.server.wire.finish();
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"all"});
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
  EXPECT_EQ(one.closes(Side::upstream, 1000), 1u);
  one.end_client();
  one.expect_gone();
}

// ---- client gone --------------------------------------------------------------------------------------------------------

TEST(Closing, TellsTheUpstream1001WhenTheClientIsGone) {
  for (const bool reset : {false, true}) {
    Joined one;
    one.client.peer.text("last");
    one.house.run();
    reset ? one.client.wire.reset() : one.client.wire.finish();
    one.house.run();
    EXPECT_EQ(one.server.peer.messages(), std::vector<std::string>{"last"});
    EXPECT_EQ(one.server.peer.close_code(), 1001u);
    one.house.advance(1100ms);
    one.expect_gone();
    EXPECT_EQ(one.closes(Side::client, 1006), 1u);
  }
}

TEST(Closing, ForwardsCompleteMessagesOfAClientThatFinishesBehindThem) {
  Joined one;
  one.client.peer.text("last");
  one.client.wire.finish();
  one.house.run();
  EXPECT_EQ(one.server.peer.messages(), std::vector<std::string>{"last"});
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
}

TEST(Closing, CutsTheUpstreamWhenTheClientDiesInsideAFrame) {
  Joined one;
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), true);
  one.client.wire.send(frame.substr(0, 50));
  one.house.run();
  one.client.wire.reset();
  one.house.run();
  one.house.advance(1100ms);
  EXPECT_EQ(one.server.wire.out.substr(one.server.peer.head.size()), frame.substr(0, 50));  // and no Close inside it
  one.expect_gone();
}

TEST(Closing, EndsATcpUpstreamWhenTheClientIsGone) {
  Joined one(before_tcp());
  one.client.peer.binary("half of");
  one.house.run();
  one.client.wire.reset();
  one.house.run();
  EXPECT_TRUE(one.server.wire.finished);
  one.house.advance(1100ms);
  one.expect_gone();
}

TEST(Closing, NoticesAResetThatComesTogetherWithTheLastOctets) {
  Joined one;
  one.client.peer.text("last");
  one.house.run();
  one.client.wire.dead = true;  // no edge says so
  one.house.run();
  EXPECT_EQ(one.house.alive(), 1u);
  one.house.advance(1s);
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  one.house.advance(2s);
  one.expect_gone();
}

// ---- upstream gone --------------------------------------------------------------------------------------------------------

TEST(Closing, Tells1011WhenTheUpstreamIsGone) {
  for (const bool reset : {false, true}) {
    Joined one;
    one.client.peer.answers_close = true;
    one.server.peer.text("last");
    one.house.run();
    reset ? one.server.wire.reset() : one.server.wire.finish();
    one.house.run();
    EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"last"});
    EXPECT_EQ(one.client.peer.close_code(), 1011u);
    EXPECT_EQ(one.closes(Side::upstream, 1011), 1u);
    EXPECT_EQ(one.house.server(0).failures.load(), 1u);
    one.end_client();
    one.expect_gone();
  }
}

TEST(Closing, FlushesCompleteMessagesOfAnUpstreamThatFinishesBehindThem) {
  Joined one;
  one.client.peer.answers_close = true;
  one.client.wire.open_window(0);
  for (int i = 0; i < 10; ++i) one.server.peer.binary(std::string(20'000, 'm'));
  one.server.wire.finish();
  one.house.run();
  one.client.wire.open_window(Wire::kUnlimited);
  one.house.run();
  EXPECT_EQ(one.client.peer.messages().size(), 10u);
  EXPECT_EQ(one.client.peer.close_code(), 1011u);
  one.end_client();
  one.expect_gone();
}

// security.md F3.
TEST(Closing, FlushesCompleteMessagesBeforeAFrameThatIsCut) {
  for (const bool reset : {false, true}) {
    Joined one;
    one.client.wire.open_window(0);
    for (int i = 0; i < 10; ++i) one.server.peer.binary(std::string(1000, 'm'));
    one.server.wire.send(frame_octets(0x82, std::string(100, 'd'), false).substr(0, 50));
    one.house.run();
    reset ? one.server.wire.reset() : one.server.wire.finish();
    one.house.run();
    one.house.advance(500ms);
    one.client.wire.open_window(Wire::kUnlimited);
    one.house.run();
    EXPECT_EQ(one.client.peer.messages().size(), 10u);
    EXPECT_EQ(one.client.peer.close_frame(), nullptr);
    EXPECT_TRUE(one.client.wire.ended());
    EXPECT_FALSE(one.client.wire.aborted);
    EXPECT_EQ(one.closes(Side::upstream, 1006), 1u);
    one.house.advance(2s);
    one.expect_gone();
  }
}

TEST(Closing, EndsTheClientWhenTheUpstreamDiesInsideAFrame) {
  for (const bool reset : {false, true}) {
    Joined one;
    const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
    one.server.wire.send(frame.substr(0, 50));
    one.house.run();
    reset ? one.server.wire.reset() : one.server.wire.finish();
    one.house.run();
    EXPECT_TRUE(one.client.wire.ended());
    EXPECT_FALSE(one.client.wire.aborted);
    EXPECT_EQ(one.client.peer.frames.size(), 0u);
    EXPECT_EQ(one.client.peer.raw, frame.substr(0, 50));
    EXPECT_EQ(one.closes(Side::upstream, 1006), 1u);
    one.house.advance(2s);
    one.expect_gone();
  }
}

TEST(Closing, TellsTheClient1011BetweenFramesOfAMessageThatWillNeverEnd) {
  Joined one;
  one.client.peer.answers_close = true;
  one.server.peer.send(0x01, "first half");
  one.house.run();
  one.server.wire.reset();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1011u);
}

TEST(Closing, Tells1011WhenATcpUpstreamIsReset) {
  Joined one(before_tcp());
  one.client.peer.answers_close = true;
  one.server.wire.reset();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1011u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, GivesAClientThatDoesNotAnswer1011FiveSeconds) {
  Joined one;
  one.server.wire.reset();
  one.house.run();
  one.house.advance(4900ms);
  EXPECT_FALSE(one.client.wire.finished);
  one.house.advance(1200ms);
  one.house.advance(1s);
  one.expect_gone();
}

// ---- the gateway ------------------------------------------------------------------------------------------------------------

TEST(Closing, EndsAnIdleConnection) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).idle_timeout = 60s;
  Joined one(settings);
  const auto pongs = [](WsPeer& peer, const Frame& frame) {
    if (frame.opcode() == 9) peer.pong(frame.payload);
  };
  one.client.peer.on_frame = one.server.peer.on_frame = pongs;
  one.client.peer.answers_close = one.server.peer.answers_close = true;
  one.house.advance(30s);
  one.client.peer.text("x");
  one.house.run();
  one.house.advance(59s);
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);  // pings do not count, the message did
  one.house.advance(1s);
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  EXPECT_EQ(one.closes(Side::gateway, 1001), 1u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, EndsAConnectionAtTheEndOfItsLife) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_lifetime = 10s;
  Joined one(settings);
  one.client.peer.answers_close = one.server.peer.answers_close = true;
  one.house.advance(10s);
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  one.end_client();
  one.expect_gone();
}

TEST(Closing, WaitsForTheBoundaryOneSecondAndThenCuts) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_lifetime = 10s;
  Joined one(settings);
  const std::string down = frame_octets(0x82, std::string(100, 'd'), false);
  const std::string up = frame_octets(0x82, std::string(100, 'u'), true);
  one.server.wire.send(down.substr(0, 60));
  one.client.wire.send(up.substr(0, 60));
  one.house.run();
  one.house.advance(10s);
  EXPECT_EQ(one.client.peer.raw, down.substr(0, 60));
  EXPECT_FALSE(one.client.wire.closed);
  one.house.advance(1s);
  EXPECT_TRUE(one.client.wire.aborted);
  EXPECT_TRUE(one.server.wire.closed);
  EXPECT_EQ(one.client.peer.raw, down.substr(0, 60));
  EXPECT_EQ(one.server.peer.frames.size(), 0u);
  one.house.advance(5s);
  one.expect_gone();
}

TEST(Closing, PutsItsCloseAtTheBoundaryThatComesInTime) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_lifetime = 10s;
  Joined one(settings);
  const std::string down = frame_octets(0x82, std::string(100, 'd'), false);
  one.server.wire.send(down.substr(0, 60));
  one.house.run();
  one.house.advance(10s);
  one.server.wire.send(down.substr(60));
  one.server.peer.text("too late");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{std::string(100, 'd')});
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  EXPECT_EQ(one.house.route_tally().discarded_closing.get(), 1u);
}

TEST(Closing, CutsAClientWhoseCloseDoesNotLeave) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  rules_of(settings).max_lifetime = 10s;
  Joined one(settings);
  one.client.wire.open_window(0);
  one.server.peer.answers_close = true;
  one.house.advance(10s);
  one.house.advance(7s);
  one.expect_gone();
}

// ---- drain --------------------------------------------------------------------------------------------------------------------

TEST(Drain, ClosesBothSidesInOrder) {
  Joined one;
  one.client.peer.answers_close = one.server.peer.answers_close = true;
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_frame()->payload, close_payload(1001, "draining"));
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  EXPECT_EQ(one.closes(Side::gateway, 1001), 1u);
  one.end_client();
  one.expect_gone();
}

TEST(Drain, LosesNothingThatTheClientSendsBeforeItsClose) {
  Joined one;
  one.server.peer.answers_close = true;
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  EXPECT_EQ(one.server.peer.close_frame(), nullptr);
  one.client.peer.text("on its way");
  one.house.run();
  one.client.peer.send(0x01, "and a ");
  one.house.advance(2s);
  one.client.peer.send(0x80, "fragment");
  one.client.peer.close(1001);
  one.house.run();
  EXPECT_EQ(one.server.peer.messages(), (std::vector<std::string>{"on its way", "and a fragment"}));
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  EXPECT_EQ(one.server.peer.frames.back().opcode(), 8);
  one.end_client();
  one.expect_gone();
}

TEST(Drain, WaitsForTheEndOfTheUpstreamsMessage) {
  Joined one;
  one.server.peer.send(0x01, "half ");
  one.house.run();
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_frame(), nullptr);
  one.server.peer.send(0x80, "whole");
  one.server.peer.text("later");
  one.house.run();
  EXPECT_EQ(one.client.peer.messages(), std::vector<std::string>{"half whole"});
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  EXPECT_EQ(one.house.route_tally().discarded_closing.get(), 1u);
}

TEST(Drain, GivesAMessageThatDoesNotEndOneSecond) {
  Joined one;
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  one.server.wire.send(frame.substr(0, 50));
  one.house.run();
  one.house.drain_all();
  one.house.run();
  one.house.advance(1s);
  EXPECT_TRUE(one.client.wire.aborted);
  one.house.advance(6s);
  one.expect_gone();
}

TEST(Drain, ForwardsWhatWaitedForAFullUpstream) {
  Joined one;
  one.server.peer.answers_close = true;
  one.server.wire.open_window(0);
  for (int i = 0; i < 20; ++i) one.client.peer.binary(std::string(20'000, 'm'));
  one.house.run();
  one.house.drain_all();
  one.client.peer.close(1001);
  one.house.run();
  one.house.advance(2s);
  one.server.wire.open_window(Wire::kUnlimited);
  one.house.run();
  EXPECT_EQ(one.server.peer.messages().size(), 20u);
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  one.end_client();
  one.expect_gone();
}

TEST(Drain, EndsAClientThatDoesNotAnswer) {
  Joined one;
  one.server.peer.answers_close = true;
  one.house.drain_all();
  one.house.run();
  one.house.advance(5100ms);
  EXPECT_EQ(one.server.peer.close_code(), 1001u);
  one.house.advance(2s);
  one.expect_gone();
}

TEST(Drain, EndsATcpRouteInOrder) {
  Joined one(before_tcp());
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 1001u);
  EXPECT_FALSE(one.server.wire.finished);
  one.client.peer.binary("on its way");
  one.client.peer.close(1001);
  one.house.run();
  EXPECT_EQ(one.server.wire.out, "on its way");
  EXPECT_TRUE(one.server.wire.finished);
  one.server.wire.finish();
  one.house.run();
  one.end_client();
  one.expect_gone();
}

TEST(Drain, DropsAConnectionWithoutARequestAtOnce) {
  SimHouse house;
  Client& client = house.connect();
  client.wire.send("GET /ws HT");
  house.run();
  house.drain_all();
  house.run();
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(client.wire.out, "");
}

TEST(Drain, DrainsAHandshakeUnderWayOnceItRelays) {
  SimHouse house;
  house.on_dial = [](Upstream& up) { up.script = SimHouse::Script::hang; };
  Client& client = house.open();
  client.peer.answers_close = true;
  house.drain_all();
  house.run();
  house.last().peer.answers_close = true;
  house.last().script = SimHouse::Script::accept;
  house.run();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(client.peer.close_code(), 1001u);
  EXPECT_EQ(house.last().peer.close_code(), 1001u);
}

TEST(Drain, LeavesACloseThatIsUnderWayAlone) {
  Joined one;
  one.client.peer.close(4000);
  one.house.run();
  one.house.drain_all();
  one.house.run();
  EXPECT_EQ(one.server.peer.close_code(), 4000u);
  one.server.peer.close(4000);
  one.house.run();
  EXPECT_EQ(one.client.peer.close_code(), 4000u);
  EXPECT_EQ(one.closes(Side::client, 4000), 1u);
}

// ---- mixed: Close in one direction while octets wait in the other ----------------------------------------------------------

TEST(Closing, DeliversWhatWaitsForASlowClientBeforeTheUpstreamsClose) {
  Joined one;
  one.client.peer.answers_close = true;
  one.client.wire.open_window(0);
  for (int i = 0; i < 20; ++i) one.server.peer.binary(std::string(20'000, 'm'));
  one.server.peer.close(1000);
  one.house.run();
  for (int i = 0; i < 50; ++i) {
    one.client.wire.open_window(10'000);
    one.house.run();
  }
  EXPECT_EQ(one.client.peer.messages().size(), 20u);
  EXPECT_EQ(one.client.peer.close_code(), 1000u);
}

TEST(Closing, DeliversWhatWaitsForASlowUpstreamBeforeTheClientsClose) {
  for (const bool takes_all : {false, true}) {
    Joined one;
    one.server.peer.answers_close = true;
    one.server.wire.takes_all = takes_all;
    one.server.wire.open_window(0);
    for (int i = 0; i < 20; ++i) one.client.peer.binary(std::string(20'000, 'm'));
    one.client.peer.close(1000);
    one.house.run();
    for (int i = 0; i < 50; ++i) {
      one.server.wire.open_window(10'000);
      one.house.run();
    }
    EXPECT_EQ(one.server.peer.messages().size(), 20u);
    EXPECT_EQ(one.server.peer.close_code(), 1000u);
    EXPECT_EQ(one.client.peer.close_code(), 1000u);
  }
}

TEST(Closing, BothSayCloseAtOnce) {
  Joined one;
  one.client.peer.close(4000);
  one.server.peer.close(4100);
  one.house.run();
  EXPECT_EQ(one.client.peer.count(8), 1u);
  EXPECT_EQ(one.server.peer.count(8), 1u);
  one.end_client();
  one.expect_gone();
}

}  // namespace
}  // namespace sluice::test
