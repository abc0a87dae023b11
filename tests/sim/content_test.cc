// Messages that go by their content: rules, keys, fan-out and races, over scripted servers.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;
using upstream::Aim;
using upstream::MessageMatch;
using upstream::MessageRule;

MessageMatch at(const std::string& pointer, const std::string& prefix = "") {
  MessageMatch match;
  match.pointer = JsonPointer::parse(pointer);
  if (!prefix.empty()) {
    match.test = MessageMatch::Test::prefix;
    match.value = prefix;
  }
  return match;
}

MessageMatch starts(const std::string& bytes) {
  MessageMatch match;
  match.bytes = bytes;
  return match;
}

void add_rule(config::Settings& settings, const std::string& name, MessageMatch match, const std::string& backend,
              Aim aim = Aim::one) {
  settings.routes[0].messages.push_back({name, std::move(match), backend, aim});
}

// The backend "app" at 10.0.0.N, and further ones at 10.0.M.N.
void add_backend(config::Settings& settings, const std::string& name, std::size_t servers) {
  upstream::BackendSettings backend = settings.backends[0];
  backend.name = name;
  backend.servers.clear();
  for (std::size_t i = 1; i <= servers; ++i) {
    upstream::ServerSettings server;
    server.host = "10.0." + std::to_string(settings.backends.size()) + "." + std::to_string(i);
    server.port = 9000;
    server.url = "ws://" + server.host + ":9000";
    backend.servers.push_back(server);
  }
  settings.backends.push_back(backend);
}

config::Settings orders_and_chat() {
  config::Settings settings = spread(1);
  add_backend(settings, "orders", 2);
  add_rule(settings, "orders", at("/method", "order."), "orders");
  return settings;
}

std::string call(const std::string& method, int id = 1) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + method + R"("})";
}
std::string result(const std::string& id, const std::string& value) {
  return R"({"jsonrpc":"2.0","id":)" + id + R"(,"result":")" + value + R"("})";
}

// Messages by the address of the server that they came to.
std::map<std::string, std::vector<std::string>> by_server(SimHouse& house) {
  std::map<std::string, std::vector<std::string>> all;
  for (std::size_t i = 0; i < house.dials(); ++i) {
    auto& list = all[house.upstream(i).address];
    for (const std::string& message : house.upstream(i).peer.messages()) list.push_back(message);
  }
  return all;
}

// ---- rules ----------------------------------------------------------------------------------------------------------------

TEST(Content, SendsMessagesToTheBackendOfTheFirstRuleThatMatches) {
  SimHouse house(orders_and_chat());
  Client& client = house.open();
  client.peer.text(call("chat.say"));
  client.peer.text(call("order.new"));
  client.peer.text("no json");
  client.peer.binary(call("order.new"));
  client.peer.text(call("order.cancel"));
  house.run();
  auto messages = by_server(house);
  EXPECT_EQ(messages["10.0.0.1:9000"], (std::vector<std::string>{call("chat.say"), "no json", call("order.new")}));
  EXPECT_EQ(messages["10.0.1.1:9000"].size() + messages["10.0.1.2:9000"].size(), 2u);
  EXPECT_EQ(house.rule_tally("orders").messages.get(), 2u);
  EXPECT_EQ(house.rule_tally("fallback").messages.get(), 3u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, ForwardsWhatItReadAsTheClientMaskedIt) {
  SimHouse house(orders_and_chat());
  Client& client = house.open();
  const std::string before = house.upstream(0).wire.out;
  const std::string frames = frame_octets(0x01, R"({"met)", true) + frame_octets(0x80, R"(hod":"chat.x"})", true);
  client.wire.send(frames);
  house.run();
  EXPECT_EQ(house.upstream(0).wire.out, before + frames);
}

TEST(Content, SendsTextThatIsNoJsonByTheFallbackHoweverManyRulesAsk) {
  config::Settings settings = orders_and_chat();
  for (const char* pointer : {"/a", "/a/0", "/b", "/method"}) add_rule(settings, pointer, at(pointer, "x"), "orders");
  SimHouse house(std::move(settings));
  Client& client = house.open();
  for (const char* broken : {R"({"a":[1,})", R"({"method":1 "a":2})", "[1,}]", "{", R"({"a":)"}) client.peer.text(broken);
  house.run();
  EXPECT_EQ(by_server(house)["10.0.0.1:9000"].size(), 5u);
}

TEST(Content, OpensTheFirstLegAtTheRoutesOwnBackend) {
  SimHouse house(orders_and_chat());
  Client& client = house.open();
  EXPECT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.upstream(0).address, "10.0.0.1:9000");
  client.peer.text(call("order.new"));
  house.run();
  EXPECT_EQ(house.dials(), 2u);
}

TEST(Content, DecidesWhereverTheMessageIsCut) {
  const std::string frames = frame_octets(0x01, R"({"method")", true) + frame_octets(0x89, "p", true) +
                             frame_octets(0x80, R"(:"order.new"})", true);
  for (std::size_t cut = 1; cut < frames.size(); ++cut) {
    SimHouse house(orders_and_chat());
    Client& client = house.open();
    client.wire.send(frames.substr(0, cut));
    house.run();
    EXPECT_EQ(all_messages(house), 0u);
    client.wire.send(frames.substr(cut));
    house.run();
    ASSERT_EQ(house.dials(), 2u) << cut;
    EXPECT_EQ(house.upstream(1).peer.messages(), std::vector<std::string>{R"({"method":"order.new"})"});
    EXPECT_EQ(client.peer.count(10), 1u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Content, AnswersAPingInsideOfAMessageThatIsHeld) {
  SimHouse house(orders_and_chat());
  Client& client = house.open();
  client.peer.send(0x01, R"({"method")");
  client.peer.ping("now");
  house.run();
  EXPECT_EQ(client.peer.count(10), 1u);
  EXPECT_EQ(all_messages(house), 0u);
}

TEST(Content, ClosesInsideOfAMessageThatIsHeld) {
  SimHouse house(orders_and_chat());
  house.on_dial = [](Upstream& up) { up.peer.answers_close = true; };
  Client& client = house.open();
  const std::size_t before = house.upstream(0).wire.out.size();
  client.peer.send(0x01, R"({"method")");
  client.peer.close(4000, "bye");
  house.run();
  EXPECT_EQ(house.upstream(0).peer.close_code(), 4000u);
  EXPECT_EQ(house.upstream(0).wire.out.size(), before + 8);  // the Close alone, nothing of a message that never ends
  EXPECT_EQ(client.peer.close_code(), 4000u);
  client.wire.finish();
  house.run();
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, SendsWhatIsTooLargeToBeReadByTheFallback) {
  config::Settings settings = orders_and_chat();
  settings.routes[0].inspect = 1024;
  SimHouse house(settings);
  Client& client = house.open();
  const std::string large = R"({"method":"order.new","pad":")" + std::string(200'000, 'x') + "\"}";
  client.peer.text(large);
  client.peer.text(call("order.new"));
  house.run();
  EXPECT_EQ(house.upstream(0).peer.messages(), std::vector<std::string>{large});
  EXPECT_EQ(house.upstream(1).peer.messages(), std::vector<std::string>{call("order.new")});
  EXPECT_EQ(house.route_tally().unread.get(), 1u);
}

TEST(Content, HoldsNoMoreThanTheLimitOfAMessageThatTrickles) {
  config::Settings settings = orders_and_chat();
  settings.routes[0].inspect = 1024;
  SimHouse house(settings);
  Client& client = house.open();
  const std::string frame = frame_octets(0x81, std::string(5000, 'x'), true);
  client.wire.send(frame.substr(0, 1031));  // a header of 8
  house.run();
  EXPECT_EQ(house.upstream(0).peer.raw, "");
  EXPECT_GT(house.pool().lent(), 0u);
  client.wire.send(frame.substr(1031, 1));
  house.run();
  EXPECT_EQ(house.upstream(0).peer.raw, frame.substr(0, 1032));
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, ClosesWhatIsTooLargeWhereThatIsRefused) {
  config::Settings settings = orders_and_chat();
  settings.routes[0].inspect = 1024;
  settings.routes[0].close_oversized = true;
  SimHouse house(settings);
  Client& client = house.open();
  client.peer.text(std::string(2000, 'x'));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1009u);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 0u);
}

TEST(Content, EndsTheClientWhoseMessageNobodyOfTheBackendCanTake) {
  SimHouse house(orders_and_chat());
  house.on_dial = [](Upstream& up) {
    if (up.address.starts_with("10.0.1.")) up.script = Script::refuse;
  };
  Client& client = house.open();
  client.peer.text(call("order.new"));
  house.run();
  EXPECT_EQ(client.peer.close_code(), 1013u);
  EXPECT_EQ(house.upstream(0).peer.messages().size(), 0u);  // never to servers that it is not for
}

TEST(Content, KeepsRoomForALegOfEachBackend) {
  config::Settings settings = spread(4, 3);
  add_backend(settings, "b", 4);
  add_backend(settings, "c", 4);
  add_rule(settings, "b", starts("b"), "b");
  add_rule(settings, "c", starts("c"), "c");
  SimHouse house(settings);
  Client& client = house.open();
  for (const std::string message : {"a", "a", "b", "a", "b", "c", "a", "b", "c"}) client.peer.text(message);
  house.run();
  EXPECT_EQ(house.dials(), 3u);
  auto messages = by_server(house);
  EXPECT_EQ(messages["10.0.0.1:9000"], std::vector<std::string>(4, "a"));
  EXPECT_EQ(messages["10.0.1.1:9000"], std::vector<std::string>(3, "b"));
  EXPECT_EQ(messages["10.0.2.1:9000"], std::vector<std::string>(2, "c"));
}

// ---- key affinity ----------------------------------------------------------------------------------------------------------

config::Settings keyed(std::size_t servers, std::uint32_t max_legs = 0) {
  config::Settings settings = spread(servers, max_legs);
  settings.backends[0].policy = upstream::Policy::consistent_hash;
  settings.backends[0].key.kind = upstream::HashKey::Kind::json;
  settings.backends[0].key.pointer = JsonPointer::parse("/room");
  return settings;
}
std::string in_room(int room, int number) {
  return R"({"room":")" + std::to_string(room) + R"(","n":)" + std::to_string(number) + "}";
}
// The rooms of a server's messages with their numbers, which must rise.
void expect_order(const std::map<std::string, std::vector<std::string>>& all, std::size_t sent) {
  std::map<std::string, std::string> home;
  std::size_t sum = 0;
  for (const auto& [server, messages] : all) {
    std::map<std::string, int> last;
    for (const std::string& message : messages) {
      const std::size_t comma = message.find(',');
      const std::string room = message.substr(0, comma);
      const int number = std::stoi(message.substr(comma + 5));
      EXPECT_TRUE(home.emplace(room, server).first->second == server) << room;
      EXPECT_GT(number, last.emplace(room, -1).first->second) << room;
      last[room] = number;
      ++sum;
    }
  }
  EXPECT_EQ(sum, sent);
}

TEST(Content, SendsTheSameKeyToTheSameServerInItsOrder) {
  for (const std::uint32_t legs : {0u, 2u}) {
    SimHouse house(keyed(5, legs));
    Client& client = house.open();
    for (int i = 0; i < 200; ++i) {
      client.peer.text(in_room(i % 13, i));
      if (i % 7 == 0) house.run();
    }
    house.run();
    expect_order(by_server(house), 200);
    EXPECT_EQ(house.dials(), legs == 0 ? 5u : 2u);
  }
}

TEST(Content, SendsTheSameKeyOfAnotherClientToTheSameServer) {
  SimHouse house(keyed(5));
  Client& one = house.open();
  Client& two = house.open();
  for (int i = 0; i < 50; ++i) {
    one.peer.text(in_room(i % 10, 2 * i));
    house.run();
    two.peer.text(in_room(i % 10, 2 * i + 1));
    house.run();
  }
  std::map<std::string, std::set<std::string>> servers;
  for (const auto& [server, messages] : by_server(house)) {
    for (const std::string& message : messages) servers[message.substr(0, message.find(','))].insert(server);
  }
  EXPECT_EQ(servers.size(), 10u);
  for (const auto& [room, homes] : servers) EXPECT_EQ(homes.size(), 1u) << room;
}

TEST(Content, LetsNothingOvertakeAMessageWhoseLegOpens) {
  SimHouse house(keyed(5));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() > 1) up.script = Script::hang;
  };
  Client& client = house.open();
  for (int i = 0; i < 60; ++i) client.peer.text(in_room(i % 6, i));
  house.run();
  for (std::size_t opened = 1; opened < house.dials(); ++opened) {
    EXPECT_LT(all_messages(house), 60u);
    house.upstream(opened).script = Script::accept;
    house.run();
  }
  expect_order(by_server(house), 60);
}

TEST(Content, SendsMessagesWithoutTheKeyByTheClient) {
  SimHouse house(keyed(5));
  Client& client = house.open();
  for (const std::string message : {"no json", R"({"n":1})", R"({"room":{}})", R"({"room":""})"}) client.peer.text(message);
  client.peer.binary(in_room(1, 1));
  house.run();
  EXPECT_EQ(house.dials(), 1u);  // the leg that was open is the one of its address
  EXPECT_EQ(all_messages(house), 5u);
}

// ---- to all ----------------------------------------------------------------------------------------------------------------

config::Settings fanned(std::size_t servers, Aim aim = Aim::all) {
  config::Settings settings = spread(servers);
  add_rule(settings, "one", starts("one"), "");
  add_rule(settings, "many", {}, "", aim);
  return settings;
}

TEST(Content, SendsAMessageToEveryServer) {
  SimHouse house(fanned(3));
  Client& client = house.open();
  client.peer.text("hello");
  house.run();
  ASSERT_EQ(house.dials(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(house.upstream(i).peer.messages(), std::vector<std::string>{"hello"});
  EXPECT_EQ(house.route_tally().flow[0].messages[0].get(), 1u);
  EXPECT_EQ(house.route_tally().fan_skipped.get(), 0u);
  for (std::size_t i = 0; i < 3; ++i) house.upstream(i).peer.text("answer " + std::to_string(i));
  house.run();
  EXPECT_EQ(client.peer.messages().size(), 3u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, OpensAllLegsAtOnceAndSkipsThoseThatCannotBeHad) {
  SimHouse house(fanned(3));
  house.on_dial = [&](Upstream& up) {
    if (house.dials() == 2) up.script = Script::hang;
  };
  Client& client = house.open();
  client.peer.text("hello");
  house.run();
  EXPECT_EQ(house.dials(), 3u);
  EXPECT_EQ(all_messages(house), 0u);
  house.advance(4s);
  EXPECT_EQ(house.upstream(0).peer.messages(), std::vector<std::string>{"hello"});
  EXPECT_EQ(house.upstream(2).peer.messages(), std::vector<std::string>{"hello"});
  EXPECT_EQ(house.route_tally().fan_skipped.get(), 1u);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(Content, KeepsFannedAndSingleMessagesInOrderThroughTinyWindows) {
  SimHouse house(fanned(3));
  Client& client = house.open();
  client.peer.text("warm");
  house.run();
  ASSERT_EQ(house.dials(), 3u);
  for (std::size_t i = 0; i < 3; ++i) house.upstream(i).wire.open_window(0);
  for (int i = 0; i < 30; ++i) client.peer.text((i % 3 == 2 ? "one " : "all ") + std::to_string(i));
  client.peer.ping("p");
  for (int step = 0; step < 3000; ++step) {
    house.upstream(static_cast<std::size_t>(step) % 3).wire.open_window(1 + static_cast<std::size_t>(step) % 5);
    house.run();
  }
  std::size_t singles = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<std::string> all;
    int last = -1;
    for (const std::string& message : house.upstream(i).peer.messages()) {
      if (message == "warm") continue;
      const int number = std::stoi(message.substr(4));
      EXPECT_GT(number, last);
      last = number;
      if (message.starts_with("one")) {
        ++singles;
      } else {
        all.push_back(message);
      }
    }
    EXPECT_EQ(all.size(), 20u);
  }
  EXPECT_EQ(singles, 10u);
  EXPECT_EQ(client.peer.count(10), 1u);
  EXPECT_EQ(house.pool().lent(), 0u);
  house.advance(40s);  // nobody is taken for stalled who has caught up
  EXPECT_EQ(client.peer.close_frame(), nullptr);
}

TEST(Content, TheSlowestServerSetsThePaceInBoundedMemory) {
  SimHouse house(fanned(3));
  Client& client = house.open();
  client.peer.text("warm");
  house.run();
  house.upstream(1).wire.open_window(0);
  for (int i = 0; i < 60; ++i) client.peer.binary(std::string(20'000, 'm'));
  house.run();
  EXPECT_LE(house.pool().lent(), 5 * kChunk);
  EXPECT_GT(client.wire.unread(), 0u);
  EXPECT_LE(house.upstream(0).peer.messages().size(), 8u);
  house.upstream(1).wire.open_window(Wire::kUnlimited);
  house.run();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(house.upstream(i).peer.messages().size(), 61u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, EndsWhenOneOfAllTakesNothingForTooLong) {
  SimHouse house(fanned(3));
  Client& client = house.open();
  client.peer.answers_close = true;
  client.peer.text("warm");
  house.run();
  house.upstream(1).wire.open_window(0);
  client.peer.text("hello");
  house.run();
  house.advance(29s);
  EXPECT_EQ(client.peer.close_frame(), nullptr);
  house.advance(2s);
  EXPECT_EQ(client.peer.close_code(), 1011u);
  house.advance(10s);
  client.wire.finish();
  house.run();
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, EndsInOrderWhenOneOfAllDiesInsideAMessage) {
  for (const bool writing : {false, true}) {
    SimHouse house(fanned(3));
    house.on_dial = [](Upstream& up) { up.peer.answers_close = true; };
    Client& client = house.open();
    client.peer.answers_close = true;
    client.peer.text("warm");
    house.run();
    const std::string frame = frame_octets(0x82, std::string(1000, 'x'), true);
    client.wire.send(frame.substr(0, 500));
    house.run();
    house.upstream(1).wire.reset();
    if (writing) client.wire.send(frame.substr(500));
    house.run();
    EXPECT_EQ(client.peer.close_code(), 1011u);
    if (!writing) client.wire.send(frame.substr(500));
    house.run();
    for (const std::size_t i : {0u, 2u}) {
      // Whole, and then a Close: never half a message.
      EXPECT_EQ(house.upstream(i).peer.messages().size(), 2u);
      EXPECT_EQ(house.upstream(i).peer.close_code(), 1001u);
    }
    client.wire.finish();
    house.run();
    house.advance(10s);
    EXPECT_EQ(house.alive(), 0u);
    EXPECT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Content, SendsBackToBackMessagesForDifferentServersEachToItsOwn) {
  config::Settings settings = spread(2);
  add_backend(settings, "b", 3);
  add_rule(settings, "b", starts("b"), "b", Aim::all);
  add_rule(settings, "a", starts("a"), "", Aim::all);
  SimHouse house(settings);
  Client& client = house.open();
  for (int i = 0; i < 20; ++i) client.peer.text((i % 2 ? "a" : "b") + std::to_string(i));
  house.run();
  const auto all = by_server(house);
  ASSERT_EQ(all.size(), 5u);
  for (const auto& [server, messages] : all) {
    EXPECT_EQ(messages.size(), 10u);
    for (const std::string& message : messages) EXPECT_EQ(message[0], server.starts_with("10.0.0.") ? 'a' : 'b');
  }
}

// ---- races -----------------------------------------------------------------------------------------------------------------

TEST(Content, GivesTheClientTheFirstAnswerToItsRequest) {
  SimHouse house(fanned(3, Aim::race));
  Client& client = house.open();
  client.peer.text(call("get", 7));
  house.run();
  ASSERT_EQ(house.dials(), 3u);
  house.upstream(1).peer.text(result("7", "fast"));
  house.run();
  house.upstream(0).peer.text(result("7", "slow"));
  house.upstream(2).peer.text(result("7", "slower"));
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{result("7", "fast")});
  EXPECT_EQ(house.route_tally().discarded_race.get(), 2u);
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(Content, TellsTheAnswersOfAnIdThatIsUsedAgainApart) {
  SimHouse house(fanned(2, Aim::race));
  Client& client = house.open();
  client.peer.text(call("first", 1));
  house.run();
  house.upstream(0).peer.text(result("1", "first by 0"));
  house.run();
  client.peer.text(call("second", 1));
  house.run();
  house.upstream(1).peer.text(result("1", "first by 1"));
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{result("1", "first by 0")});
  house.upstream(1).peer.text(result("1", "second by 1"));
  house.upstream(0).peer.text(result("1", "second by 0"));
  house.run();
  EXPECT_EQ(client.peer.messages().size(), 2u);
  EXPECT_TRUE(client.peer.messages()[1].find("second") != std::string::npos);
}

TEST(Content, PassesNotificationsRequestsOfServersAndUnknownAnswersFromEverybody) {
  SimHouse house(fanned(2, Aim::race));
  Client& client = house.open();
  client.peer.text(call("get", 1));
  house.run();
  for (std::size_t i = 0; i < 2; ++i) {
    house.upstream(i).peer.text(R"({"method":"tick"})");
    house.upstream(i).peer.text(call("ask", 1));
    house.upstream(i).peer.text(result("99", "unasked"));
    house.upstream(i).peer.text(result("\"1\"", "another id"));
    house.upstream(i).peer.binary(result("1", "binary"));
    house.upstream(i).peer.text("no json");
  }
  house.run();
  EXPECT_EQ(client.peer.messages().size(), 12u);
  EXPECT_EQ(house.route_tally().discarded_race.get(), 0u);
}

TEST(Content, RacesOnlyWhatHasAnIdAndTellsEverybodyWhatNeedsNoAnswer) {
  SimHouse house(fanned(2, Aim::race));
  Client& client = house.open();
  client.peer.text(R"({"method":"note"})");
  house.run();
  EXPECT_EQ(all_messages(house), 2u);
  for (const std::string& message :
       {std::string("no json"), "[" + call("batch") + "]", R"({"method":"x","id":")" + std::string(500, 'i') + "\"}"}) {
    const std::size_t before = all_messages(house);
    client.peer.text(message);
    house.run();
    EXPECT_EQ(all_messages(house), before + 1) << message;
  }
}

TEST(Content, NeverMixesOrCutsAnswersOfARaceWhereverTheyAreCut) {
  const std::string a = frame_octets(0x01, R"({"id":1,)", false) + frame_octets(0x89, "p", false) +
                        frame_octets(0x80, R"("result":"a"})", false);
  const std::string b = frame_octets(0x81, R"({"id":1,"result":"b"})", false);
  for (std::size_t cut = 1; cut < a.size(); ++cut) {
    SimHouse house(fanned(2, Aim::race));
    Client& client = house.open();
    client.peer.text(call("get", 1));
    house.run();
    house.upstream(0).wire.send(a.substr(0, cut));
    house.run();
    house.upstream(1).wire.send(b.substr(0, 10));
    house.run();
    house.upstream(0).wire.send(a.substr(cut));
    house.run();
    house.upstream(1).wire.send(b.substr(10));
    house.run();
    ASSERT_EQ(client.peer.messages(), std::vector<std::string>{R"({"id":1,"result":"a"})"}) << cut;
    ASSERT_EQ(house.pool().lent(), 0u);
  }
}

TEST(Content, BoundsTheIdsOfARace) {
  SimHouse house(fanned(2, Aim::race));
  Client& client = house.open();
  const int most = static_cast<int>(session::Races::kMost);
  for (int i = 0; i < most + 10; ++i) client.peer.text(call("get", i));
  house.run();
  // Those for which there is no room go to one server.
  EXPECT_EQ(all_messages(house), static_cast<std::size_t>(2 * most + 10));
  house.advance(session::Races::kLife);
  client.peer.text(call("get", 5000));
  house.run();
  EXPECT_EQ(all_messages(house), static_cast<std::size_t>(2 * most + 12));
}

// ---- liveness --------------------------------------------------------------------------------------------------------------

// A leg that was full, and that messages have left behind since, is not taken for stalled.
TEST(Content, ForgetsThatALegWasFullWhenMessagesGoElsewhere) {
  Two two;
  Upstream* const ups[] = {&two.a(), &two.b()};
  two.client.peer.answers_close = true;
  for (Upstream* const up : ups) {
    up->wire.open_window(10);
    for (int i = 0; i < 3; ++i) two.client.peer.text(std::string(100, 'x'));
    two.house.run();
    up->wire.open_window(Wire::kUnlimited);
    two.house.run();
  }
  two.house.advance(60s);
  EXPECT_EQ(two.client.peer.close_frame(), nullptr);
}

}  // namespace
}  // namespace sluice::test
