// Messages of one client that come together: each goes to the leg that it would have gone to alone, all of a leg's in one write.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::string numbered(int from, int to, std::size_t size = 0) {
  std::string octets;
  for (int i = from; i < to; ++i) octets += frame_octets(0x81, std::to_string(i) + std::string(size, '.'), true);
  return octets;
}

// What each leg was sent since it was joined, as numbers.
std::vector<int> numbers(Upstream& upstream) {
  std::vector<int> all;
  for (const std::string& message : upstream.peer.messages()) {
    if (message != "warm up") all.push_back(std::stoi(message));
  }
  return all;
}

// Round robin: every other one, in order.
void expect_alternate(Two& two, int count) {
  std::vector<int> even;
  std::vector<int> odd;
  for (int i = 0; i < count; ++i) (i % 2 == 0 ? even : odd).push_back(i);
  const bool a_first = !numbers(two.a()).empty() && numbers(two.a()).front() == 0;
  EXPECT_EQ(numbers(a_first ? two.a() : two.b()), even);
  EXPECT_EQ(numbers(a_first ? two.b() : two.a()), odd);
}

TEST(Dealing, EachToItsLegInOrderAndOneWriteForEachLeg) {
  for (const int count : {2, 5, 16, 300}) {
    SCOPED_TRACE(count);
    Two two;
    const std::size_t before = two.a().wire.writes.size() + two.b().wire.writes.size();
    two.client.wire.send(numbered(0, count));
    two.house.run();
    EXPECT_EQ(two.a().wire.writes.size() + two.b().wire.writes.size(), before + 2);
    expect_alternate(two, count);
    EXPECT_EQ(two.house.pool().lent(), 0u);
  }
}

TEST(Dealing, LargerOnesTooAsFarAsTheyLieThere) {
  Two two;
  two.client.wire.send(numbered(0, 40, 9'000));
  two.house.run();
  expect_alternate(two, 40);
  EXPECT_EQ(two.house.pool().lent(), 0u);
}

TEST(Dealing, WhereverTheOctetsAreCut) {
  const std::string octets = numbered(0, 6, 3);
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    SCOPED_TRACE(cut);
    Two two;
    two.client.wire.send(octets.substr(0, cut));
    two.house.run();
    two.client.wire.send(octets.substr(cut));
    two.house.run();
    expect_alternate(two, 6);
  }
}

TEST(Dealing, WhoeverTakesLessIsOwedTheRest) {
  const std::string octets = numbered(0, 8, 3);
  for (const bool takes_all : {false, true}) {
    for (std::size_t taken = 0; taken <= octets.size() / 2; ++taken) {
      SCOPED_TRACE(taken);
      Two two;
      two.a().wire.takes_all = takes_all;
      two.a().wire.open_window(taken);
      two.client.wire.send(octets);
      two.house.run();
      EXPECT_EQ(numbers(two.b()).size(), 4u);  // it does not wait for the other
      // What comes meanwhile waits for both, so that nothing piles up.
      two.client.wire.send(numbered(8, 10, 3));
      two.house.run();
      two.a().wire.open_window(Wire::kUnlimited);
      two.house.run();
      expect_alternate(two, 10);
      EXPECT_EQ(two.client.peer.close_frame(), nullptr);
      EXPECT_EQ(two.house.pool().lent(), 0u);
    }
  }
}

TEST(Dealing, OneThatDiesWhileItIsOwedTakesNothingFromTheOther) {
  for (const std::size_t taken : {0UL, 3UL, 12UL}) {
    SCOPED_TRACE(taken);
    Two two;
    two.a().wire.open_window(taken);
    two.client.wire.send(numbered(0, 8, 3));
    two.house.run();
    two.a().wire.reset();
    two.house.run();
    EXPECT_EQ(numbers(two.b()).size(), 4u);
    EXPECT_EQ(two.client.peer.close_code(), 1011u);  // as whenever a leg is lost
    two.house.advance(30s);
    two.expect_gone();
  }
}

// A single leg is dealt to as well, and looked after as well.
TEST(Dealing, OnlyOneThatIsFullPausesItsClientAndIsGivenUpInTime) {
  config::Settings settings = spread(1);
  rules_of(settings).write_stall = 5s;
  SimHouse house(settings);
  Client& client = house.open();
  house.upstream(0).wire.open_window(3);
  client.wire.send(numbered(0, 8, 3));
  house.run();
  const session::RouteTally::Flow& up = house.route_tally().flow[static_cast<std::size_t>(session::Direction::up)];
  EXPECT_EQ(up.pauses.get(), 1u);
  house.advance(20s);
  EXPECT_EQ(client.peer.close_code(), 1011u);
  EXPECT_GT(up.paused.get(), 0u);
  house.advance(30s);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Dealing, OnlyOneThatDiesOfItIsNoticed) {
  SimHouse house(spread(1));
  Client& client = house.open();
  house.upstream(0).wire.dead = true;  // no edge has said so yet
  client.wire.send(numbered(0, 8, 3));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1011u);
  house.advance(30s);
  EXPECT_EQ(house.alive(), 0u);
}

TEST(Dealing, StopsAtTheMessageWhoseLegIsNotOpenYet) {
  SimHouse house(spread(4));
  Client& client = house.open();
  client.wire.send(numbered(0, 40));
  house.run();
  ASSERT_EQ(house.dials(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::vector<int> got = numbers(house.upstream(i));
    EXPECT_EQ(got.size(), 10u);
    EXPECT_TRUE(std::ranges::is_sorted(got));
  }
  EXPECT_EQ(house.route_tally().flow[0].messages[0].get(), 40u);
}

// A rate that lets ten pass at once and then one each 100 ms: none is counted twice.
TEST(Dealing, GivesBackToTheLimitsWhatItDidNotDeal) {
  config::Settings settings = spread(4);
  using Limit = policy::LimitSettings;
  add_limit(settings, Limit::Unit::messages, Limit::Key::connection, 10).on_limit = Limit::Action::delay;
  SimHouse house(settings);
  Client& client = house.open();
  client.wire.send(numbered(0, 10));
  house.run();
  EXPECT_EQ(house.dials(), 4u);
  EXPECT_EQ(all_messages(house), 10u);
  client.wire.send(numbered(10, 12));
  house.run();
  EXPECT_EQ(all_messages(house), 10u);
  house.advance(100ms);
  EXPECT_EQ(all_messages(house), 11u);
  house.advance(100ms);
  EXPECT_EQ(all_messages(house), 12u);
}

// ---- towards the client ------------------------------------------------------------------------------------------------

TEST(Dealing, AnswersThatComeTogetherLeaveTogether) {
  Two two;
  const std::size_t before = two.client.wire.writes.size();
  std::string octets;
  for (int i = 0; i < 10; ++i) octets += frame_octets(0x81, std::to_string(i), false);
  two.a().wire.send(octets);
  two.house.run();
  EXPECT_EQ(two.client.wire.writes.size(), before + 1);
  EXPECT_EQ(two.client.peer.messages().size(), 10u);
}

TEST(Dealing, AnswersWaitForTheMessageOfAnotherLeg) {
  Two two;
  two.a().wire.send(frame_octets(0x01, "begun ", false));
  two.house.run();
  std::string octets;
  for (int i = 0; i < 3; ++i) octets += frame_octets(0x81, std::to_string(i), false);
  two.b().wire.send(octets);
  two.house.run();
  two.a().wire.send(frame_octets(0x80, "ended", false));
  two.house.run();
  EXPECT_EQ(two.client.peer.messages(), (std::vector<std::string>{"begun ended", "0", "1", "2"}));
}

}  // namespace
}  // namespace sluice::test
