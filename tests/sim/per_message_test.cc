// Balancing of messages: legs opened lazily, round robin, one writer at a time towards the client, loss of a leg.
#include <gtest/gtest.h>

#include <set>

#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

TEST(PerMessage, OpensTheFirstLegForThe101AndOthersWhenTheyAreNeeded) {
  SimHouse house(spread(3));
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(house.dials(), 1u);
  for (int i = 0; i < 9; ++i) {
    client.peer.text(std::to_string(i));
    house.run();
  }
  EXPECT_EQ(house.dials(), 3u);
  std::set<std::string> addresses;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(house.upstream(i).peer.messages().size(), 3u);
    addresses.insert(house.upstream(i).address);
  }
  EXPECT_EQ(addresses.size(), 3u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(PerMessage, SharesMessagesThatComeAtOnceEvenly) {
  SimHouse house(spread(3));
  Client& client = house.open();
  for (int i = 0; i < 30; ++i) client.peer.text(std::to_string(i));
  house.run();
  ASSERT_EQ(house.dials(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(house.upstream(i).peer.messages().size(), 10u);
  EXPECT_EQ(house.route_tally().flow[0].messages[0].get(), 30u);
}

TEST(PerMessage, KeepsAFragmentedMessageOnOneLegWithControlFramesBetween) {
  SimHouse house(spread(2));
  Client& client = house.open();
  for (int round = 0; round < 4; ++round) {
    client.peer.send(0x01, "a");
    house.run();
    client.peer.ping("p");
    client.peer.send(0x00, "b");
    house.run();
    client.peer.pong("q");
    client.peer.send(0x80, "c");
    house.run();
  }
  EXPECT_EQ(client.peer.count(10), 4u);  // answered by the gateway
  ASSERT_EQ(house.dials(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(house.upstream(i).peer.messages(), (std::vector<std::string>{"abc", "abc"}));
    EXPECT_EQ(house.upstream(i).peer.count(9), 0u);
    EXPECT_EQ(house.upstream(i).peer.count(10), 0u);
  }
}

TEST(PerMessage, OpensNoMoreLegsThanAllowed) {
  SimHouse house(spread(5, 2));
  Client& client = house.open();
  for (int i = 0; i < 20; ++i) {
    client.peer.text("x");
    house.run();
  }
  EXPECT_EQ(house.dials(), 2u);
  EXPECT_EQ(all_messages(house), 20u);
}

TEST(PerMessage, NeverOffersCompression) {
  SimHouse house(spread(2));
  house.open(upgrade_request("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Sec-WebSocket-Extensions"), "");
}

TEST(PerMessage, OffersLaterLegsWhatTheFirstAgreedTo) {
  SimHouse house(spread(2));
  house.on_dial = [](Upstream& up) { up.peer.greeting_fields = "Sec-WebSocket-Protocol: b\r\n"; };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: a, b\r\n"));
  EXPECT_EQ(field_of(client.peer.head, "Sec-WebSocket-Protocol"), "b");
  for (int i = 0; i < 4; ++i) client.peer.text("x");
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(field_of(house.upstream(0).peer.head, "Sec-WebSocket-Protocol"), "a, b");
  EXPECT_EQ(field_of(house.upstream(1).peer.head, "Sec-WebSocket-Protocol"), "b");
  EXPECT_EQ(all_messages(house), 4u);
}

TEST(PerMessage, SendsLaterLegsTheFieldsOfTheHandshake) {
  SimHouse house(spread(2));
  Client& client = house.open(upgrade_request("/ws?a=b", "Cookie: c=d\r\nX-Mine: yes\r\n"));
  for (int i = 0; house.dials() < 2 && i < 10; ++i) {
    client.peer.text("m");
    house.run();
  }
  ASSERT_EQ(house.dials(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(house.upstream(i).peer.head.starts_with("GET /ws?a=b HTTP/1.1\r\n"));
    EXPECT_EQ(field_of(house.upstream(i).peer.head, "Cookie"), "c=d");
    EXPECT_EQ(field_of(house.upstream(i).peer.head, "X-Mine"), "yes");
  }
}

TEST(PerMessage, TakesALegThatAgreesToSomethingElseForAFailedOne) {
  SimHouse house(spread(2));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 1) up.peer.greeting_fields = "Sec-WebSocket-Protocol: b\r\n";
  };
  Client& client = house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: a, b\r\n"));
  for (int i = 0; i < 4; ++i) client.peer.text(std::to_string(i));
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages(), (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(PerMessage, SendsTheMessageElsewhereWhenALegCannotBeHad) {
  for (const Script script : {Script::refuse, Script::hang}) {
    SimHouse house(spread(2));
    house.on_dial = [&](Upstream& up) {
      if (house.dials() > 1) up.script = script;
    };
    Client& client = house.open();
    for (int i = 0; i < 4; ++i) client.peer.text(std::to_string(i));
    house.run();
    house.advance(13s);
    EXPECT_EQ(house.upstream(0).peer.messages(), (std::vector<std::string>{"0", "1", "2", "3"}));
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    EXPECT_EQ(house.alive(), 1u);
  }
}

TEST(PerMessage, HoldsTheMessageWhileItsLegOpens) {
  SimHouse house(spread(2));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 2) up.script = Script::hang;
  };
  Client& client = house.open();
  client.peer.text("0");
  client.peer.text("1");
  client.peer.text("2");
  house.run();
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(0).peer.messages().size() + house.upstream(1).peer.messages().size(), all_messages(house));
  EXPECT_LT(all_messages(house), 3u);
  house.upstream(1).script = Script::accept;
  house.run();
  EXPECT_EQ(all_messages(house), 3u);
  EXPECT_GE(house.upstream(1).peer.messages().size(), 1u);
}

// ---- towards the client -----------------------------------------------------------------------------------------------

TEST(PerMessage, NeverMixesRepliesOfTwoLegs) {
  Two two;
  two.a().peer.send(0x01, "A1 ");
  two.house.run();
  two.b().peer.text("B");
  two.house.run();
  EXPECT_EQ(two.client.peer.frames.size(), 1u);  // B waits for the end of A's message
  two.a().peer.send(0x00, "A2 ");
  two.house.run();
  two.a().peer.send(0x80, "A3");
  two.house.run();
  EXPECT_EQ(two.client.peer.messages(), (std::vector<std::string>{"A1 A2 A3", "B"}));
  two.b().peer.text("B2");
  two.a().peer.text("A4");
  two.house.run();
  EXPECT_EQ(two.client.peer.messages().size(), 4u);
  EXPECT_EQ(two.house.pool().lent(), 0u);
}

TEST(PerMessage, NeverMixesRepliesCutAtAnyOctet) {
  const std::string from_a = frame_octets(0x01, std::string(5, 'a'), false) + frame_octets(0x89, "p", false) +
                             frame_octets(0x80, std::string(200, 'a'), false);
  const std::string from_b = frame_octets(0x82, std::string(130, 'b'), false) + frame_octets(0x82, "bb", false);
  for (std::size_t cut_a = 1; cut_a < from_a.size(); cut_a += 3) {
    for (const std::size_t cut_b : {1UL, 3UL, 70UL, from_b.size() - 3}) {
      SCOPED_TRACE(std::to_string(cut_a) + "/" + std::to_string(cut_b));
      Two two;
      two.a().wire.send(from_a.substr(0, cut_a));
      two.b().wire.send(from_b.substr(0, cut_b));
      two.house.run();
      two.b().wire.send(from_b.substr(cut_b));
      two.house.run();
      two.a().wire.send(from_a.substr(cut_a));
      two.house.run();
      std::vector<std::string> messages = two.client.peer.messages();
      std::sort(messages.begin(), messages.end());
      ASSERT_EQ(messages, (std::vector<std::string>{std::string(205, 'a'), "bb", std::string(130, 'b')}));
      ASSERT_EQ(two.a().peer.count(10), 1u);
      ASSERT_EQ(two.house.pool().lent(), 0u);
    }
  }
}

TEST(PerMessage, NeverMixesRepliesThroughATinyWindow) {
  Two two;
  two.client.wire.open_window(0);
  for (int i = 0; i < 5; ++i) {
    two.a().peer.text("from a " + std::to_string(i));
    two.b().peer.text("from b " + std::to_string(i));
  }
  two.house.run();
  for (int i = 0; i < 400; ++i) {
    two.client.wire.open_window(1);
    two.house.run();
  }
  EXPECT_EQ(two.client.peer.messages().size(), 10u);
  EXPECT_EQ(two.house.pool().lent(), 0u);
}

TEST(PerMessage, PutsItsPongBetweenFramesOfWhoeverWrites) {
  Two two;
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  two.b().wire.send(frame.substr(0, 50));
  two.house.run();
  two.client.peer.ping("p");
  two.house.run();
  EXPECT_EQ(two.client.peer.raw, frame.substr(0, 50));
  two.b().wire.send(frame.substr(50));
  two.house.run();
  EXPECT_EQ(two.client.peer.count(10), 1u);
  EXPECT_EQ(two.client.peer.messages(), std::vector<std::string>{std::string(100, 'd')});
}

TEST(PerMessage, GivesUpALegThatHoldsTheGateFor30Seconds) {
  Two two;
  two.client.peer.answers_close = two.b().peer.answers_close = true;
  two.a().peer.send(0x01, "never ends");
  two.house.run();
  two.b().peer.text("waits");
  two.house.run();
  two.house.advance(29s);
  EXPECT_EQ(two.client.peer.close_frame(), nullptr);
  two.house.advance(1s);
  EXPECT_EQ(two.client.peer.close_code(), 1011u);
  EXPECT_TRUE(two.a().wire.closed);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.client.wire.finish();
  two.house.run();
  two.house.advance(2s);
  two.expect_gone();
}

// ---- closing -------------------------------------------------------------------------------------------------------------

TEST(PerMessage, SendsTheClientsCloseToEveryLeg) {
  Two two;
  two.a().peer.answers_close = two.b().peer.answers_close = true;
  two.client.peer.close(4000, "bye");
  two.house.run();
  EXPECT_EQ(two.a().peer.close_code(), 4000u);
  EXPECT_EQ(two.b().peer.close_code(), 4000u);
  EXPECT_EQ(two.client.peer.close_frame()->payload, close_payload(4000, "bye"));
  two.client.wire.finish();
  two.house.run();
  two.expect_gone();
}

TEST(PerMessage, AnswersACloseWithoutACodeByOne) {
  Two two;
  two.client.peer.send(0x88, "");
  two.house.run();
  ASSERT_NE(two.client.peer.close_frame(), nullptr);
  const std::uint16_t code = two.client.peer.close_code();
  EXPECT_TRUE(code == 1000 || two.client.peer.close_frame()->payload.empty()) << code;  // 1005 is never on the wire
  EXPECT_NE(two.client.peer.close_frame()->payload, close_payload(1005));
}

TEST(PerMessage, RelaysALegsCloseAndTellsTheOthers1001) {
  Two two;
  two.client.peer.answers_close = two.b().peer.answers_close = true;
  two.a().peer.close(4100, "enough");
  two.house.run();
  EXPECT_EQ(two.client.peer.close_frame()->payload, close_payload(4100, "enough"));
  EXPECT_EQ(two.a().peer.close_code(), 4100u);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.client.wire.finish();
  two.house.run();
  two.expect_gone();
}

TEST(PerMessage, NeverPutsALegsEmptyCloseOnTheWireAs1005) {
  Two two;
  two.client.peer.answers_close = true;
  two.a().peer.send(0x88, "");
  two.house.run();
  ASSERT_NE(two.client.peer.close_frame(), nullptr);
  EXPECT_NE(two.client.peer.close_frame()->payload, close_payload(1005));
}

TEST(PerMessage, FinishesTheMessageAtHandBeforeALegsClose) {
  Two two;
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  two.b().wire.send(frame.substr(0, 50));
  two.house.run();
  two.a().peer.close(4100);
  two.house.run();
  EXPECT_EQ(two.client.peer.close_frame(), nullptr);
  two.b().wire.send(frame.substr(50));
  two.house.run();
  EXPECT_EQ(two.client.peer.messages(), std::vector<std::string>{std::string(100, 'd')});
  EXPECT_EQ(two.client.peer.close_code(), 4100u);
}

TEST(PerMessage, Tells1011WhenALegIsLost) {
  for (const bool reset : {false, true}) {
    Two two;
    two.client.peer.answers_close = two.b().peer.answers_close = true;
    reset ? two.a().wire.reset() : two.a().wire.finish();
    two.house.run();
    EXPECT_EQ(two.client.peer.close_code(), 1011u);
    EXPECT_EQ(two.b().peer.close_code(), 1001u);
    two.client.wire.finish();
    two.house.run();
    two.expect_gone();
  }
}

TEST(PerMessage, DeliversTheWholeMessageOfALegThatWasLostWhileItWaitedAtTheGate) {
  Two two;
  two.client.peer.answers_close = two.a().peer.answers_close = true;
  two.a().peer.send(0x01, "A ");
  two.house.run();
  two.b().peer.text("complete");
  two.house.run();
  two.b().wire.reset();
  two.house.run();
  two.a().peer.send(0x80, "ends");
  two.house.run();
  EXPECT_EQ(two.client.peer.messages(), (std::vector<std::string>{"A ends", "complete"}));
  EXPECT_EQ(two.client.peer.close_code(), 1011u);
  two.client.wire.finish();
  two.house.run();
  two.expect_gone();
}

TEST(PerMessage, EndsTheClientWhenTheLegThatWritesDiesInsideAFrame) {
  Two two;
  two.b().peer.answers_close = true;
  const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
  two.a().wire.send(frame.substr(0, 50));
  two.house.run();
  two.a().wire.reset();
  two.house.run();
  EXPECT_TRUE(two.client.wire.ended());
  EXPECT_FALSE(two.client.wire.aborted);
  EXPECT_EQ(two.client.peer.raw, frame.substr(0, 50));
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.house.advance(2s);
  two.expect_gone();
}

TEST(PerMessage, TellsEveryLeg1001WhenTheClientIsGone) {
  Two two;
  two.client.wire.reset();
  two.house.run();
  EXPECT_EQ(two.a().peer.close_code(), 1001u);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.house.advance(2s);
  two.expect_gone();
}

TEST(PerMessage, DrainsWithEveryMessageDelivered) {
  Two two;
  two.a().peer.answers_close = two.b().peer.answers_close = true;
  const std::size_t before = all_messages(two.house);
  two.house.drain_all();
  two.house.run();
  EXPECT_EQ(two.client.peer.close_code(), 1001u);
  for (int i = 0; i < 4; ++i) two.client.peer.text("late");
  two.client.peer.close(1001);
  two.house.run();
  EXPECT_EQ(all_messages(two.house), before + 4);
  EXPECT_EQ(two.a().peer.close_code(), 1001u);
  EXPECT_EQ(two.b().peer.close_code(), 1001u);
  two.client.wire.finish();
  two.house.run();
  two.expect_gone();
}

TEST(PerMessage, OneFullLegHoldsTheClientAndLosesNothing) {
  Two two;
  const std::size_t before = all_messages(two.house);
  two.a().wire.open_window(0);
  for (int i = 0; i < 40; ++i) two.client.peer.binary(std::string(20'000, 'm'));
  two.house.run();
  EXPECT_LE(two.house.pool().lent(), 4 * kChunk);
  EXPECT_GT(two.client.wire.unread(), 0u);
  two.a().wire.open_window(Wire::kUnlimited);
  two.house.run();
  EXPECT_EQ(all_messages(two.house), before + 40);
  EXPECT_EQ(two.house.pool().lent(), 0u);
}

TEST(PerMessage, EndsWhenALegDiesInsideTheClientsMessage) {
  Two two;
  two.client.peer.answers_close = true;
  two.a().peer.answers_close = two.b().peer.answers_close = true;
  const std::string frame = frame_octets(0x82, std::string(100, 'u'), true);
  const std::size_t out_a = two.a().wire.out.size();
  two.client.wire.send(frame.substr(0, 50));
  two.house.run();
  Upstream& target = two.a().wire.out.size() > out_a ? two.a() : two.b();
  target.wire.reset();
  two.house.run();
  EXPECT_EQ(two.client.peer.close_code(), 1011u);
  two.house.advance(7s);
  two.client.wire.finish();
  two.house.run();
  two.expect_gone();
}

}  // namespace
}  // namespace sluice::test
