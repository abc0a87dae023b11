// Rules for messages of a connection: who may send what, wherever the octets are cut, and that nothing denied passes.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using policy::MessageAccess;
using Action = MessageAccess::Action;
using Kind = policy::Scalar::Kind;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

MessageAccess in_room(Action action, bool to_client = false) {
  MessageAccess rule;
  rule.to_client = to_client;
  rule.pointer = JsonPointer::parse("/room");
  rule.values = {{Kind::text, "a"}};
  rule.action = action;
  return rule;
}

config::Settings ruled(std::vector<MessageAccess> rules) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].message_rules = std::move(rules);
  return settings;
}

const std::string kGood = R"({"room":"a","n":1})";
const std::string kBad = R"({"room":"b","n":2})";

std::uint64_t denied(SimHouse& house, session::Direction way, Action action) {
  return house.route_tally().denied_messages[static_cast<std::size_t>(way)][static_cast<std::size_t>(action)].get();
}

TEST(MessageRules, DropWhatIsDeniedAndKeepTheOrderOfTheRest) {
  SimHouse house(ruled({in_room(Action::drop)}));
  Client& client = house.open();
  ASSERT_EQ(client.peer.status(), 101);
  for (int i = 0; i < 3; ++i) {
    client.peer.text(kGood);
    client.peer.text(kBad);
    client.peer.text("no json");
    client.peer.binary(kGood);
  }
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>(3, kGood));
  EXPECT_EQ(denied(house, session::Direction::up, Action::drop), 9u);
  EXPECT_FALSE(client.peer.close_frame());
  house.last().peer.text("anything");
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{"anything"});
  EXPECT_EQ(house.pool().lent(), 0u);
}

TEST(MessageRules, CloseWith1008) {
  SimHouse house(ruled({in_room(Action::close)}));
  Client& client = house.open();
  client.peer.text(kGood);
  client.peer.text(kBad);
  client.peer.text(kGood);
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{kGood});
  EXPECT_EQ(client.peer.close_code(), 1008);
  EXPECT_EQ(denied(house, session::Direction::up, Action::close), 1u);
}

// A good message, a bad one in fragments around a ping, and a good one.
std::string stream(bool masked) {
  return frame_octets(0x81, kGood, masked) + frame_octets(0x01, kBad.substr(0, 9), masked) + frame_octets(0x89, "p", masked) +
         frame_octets(0x00, "", masked) + frame_octets(0x80, kBad.substr(9), masked) + frame_octets(0x01, kGood.substr(0, 5), masked) +
         frame_octets(0x80, kGood.substr(5), masked);
}

TEST(MessageRules, HoldWhereverTheClientsOctetsAreCut) {
  const std::string octets = stream(true);
  for (const Action action : {Action::drop, Action::close}) {
    for (std::size_t cut = 1; cut < octets.size(); ++cut) {
      SimHouse house(ruled({in_room(action)}));
      Client& client = house.open();
      client.wire.send(octets.substr(0, cut));
      house.run();
      client.wire.send(octets.substr(cut));
      house.run();
      ASSERT_EQ(house.last().peer.messages(), std::vector<std::string>(action == Action::drop ? 2 : 1, kGood)) << cut;
      ASSERT_EQ(client.peer.close_code(), action == Action::drop ? 0 : 1008) << cut;
      ASSERT_EQ(house.last().wire.out.find("\"b\""), std::string::npos);
    }
  }
}

TEST(MessageRules, HoldWhereverTheServersOctetsAreCut) {
  const std::string octets = stream(false);
  for (const Action action : {Action::drop, Action::close}) {
    for (std::size_t cut = 1; cut < octets.size(); ++cut) {
      SimHouse house(ruled({in_room(action, true)}));
      Client& client = house.open();
      house.last().wire.send(octets.substr(0, cut));
      house.run();
      house.last().wire.send(octets.substr(cut));
      house.run();
      ASSERT_EQ(client.peer.messages(), std::vector<std::string>(action == Action::drop ? 2 : 1, kGood)) << cut;
      ASSERT_EQ(client.peer.close_code(), action == Action::drop ? 0 : 1008) << cut;
      ASSERT_EQ(client.wire.out.find("\"b\""), std::string::npos);
      if (action == Action::close) {
        ASSERT_EQ(house.last().peer.close_code(), 1008) << cut;
      }
    }
  }
}

TEST(MessageRules, BoundSizes) {
  MessageAccess rule;
  rule.max_size = 100;
  rule.action = Action::drop;
  SimHouse house(ruled({rule}));
  Client& client = house.open();
  client.peer.text(std::string(100, 'x'));
  client.peer.text(std::string(101, 'x'));
  client.peer.binary(std::string(100'000, 'x'));
  // Just so large, with an empty last fragment, and one octet more in the last of three.
  client.wire.send(frame_octets(0x02, std::string(100, 'y'), true) + frame_octets(0x80, "", true));
  client.wire.send(frame_octets(0x02, std::string(50, 'z'), true) + frame_octets(0x00, std::string(50, 'z'), true) +
                   frame_octets(0x80, "z", true));
  client.peer.text("last");
  house.run();
  EXPECT_EQ(house.last().peer.messages(),
            (std::vector<std::string>{std::string(100, 'x'), std::string(100, 'y'), "last"}));
}

TEST(MessageRules, DenyWhatIsTooLargeToBeRead) {
  SimHouse house(ruled({in_room(Action::drop)}));
  Client& client = house.open();
  client.peer.text(R"({"room":"a","pad":")" + std::string(40'000, 'x') + "\"}");
  client.peer.text(R"({"room":"a","pad":")" + std::string(30'000, 'x') + "\"}");
  house.run();
  EXPECT_EQ(house.last().peer.messages().size(), 1u);
}

// Both sides get the code, whoever says it first, and whether or not a message lies in the way.
TEST(MessageRules, LetCloseThrough) {
  for (const bool of_client : {true, false}) {
    for (const bool inside : {true, false}) {
      SCOPED_TRACE(testing::Message() << of_client << inside);
      SimHouse house(ruled({in_room(Action::drop), in_room(Action::drop, true)}));
      Client& client = house.open();
      Upstream& server = house.last();
      const std::string begun = inside ? frame_octets(0x01, kGood.substr(0, 5), of_client) : "";
      (of_client ? client.wire : server.wire).send(begun + frame_octets(0x88, close_payload(4001, "bye"), of_client));
      house.run();
      (of_client ? server.peer : client.peer).close(4001);
      house.run();
      EXPECT_EQ(server.peer.close_code(), 4001);
      EXPECT_EQ(client.peer.close_code(), 4001);
      EXPECT_TRUE(server.peer.messages().empty());
      EXPECT_TRUE(client.peer.messages().empty());
      house.advance(std::chrono::seconds(2));
      EXPECT_TRUE(client.wire.closed);
      EXPECT_EQ(house.pool().lent(), 0u);
    }
  }
}

TEST(MessageRules, CompareWithWhatTheClientIs) {
  config::Settings settings = ruled({});
  MessageAccess rule = in_room(Action::drop);
  rule.values.clear();
  rule.claim = policy::claim_pointer("rooms");
  settings.routes[0].message_rules = {rule};
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  SimHouse house(std::move(settings));
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  const auto bearer = [&](const std::string& claims) {
    net::CryptoContext crypto;
    std::string why;
    return "Authorization: Bearer " +
           *policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "", "{\"exp\":" + std::to_string(now + 600) + claims + "}", why) + "\r\n";
  };
  Client& ann = house.open(upgrade_request("/ws", bearer(R"(,"rooms":["b","c"])")));
  ann.peer.text(kGood);
  ann.peer.text(kBad);
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{kBad});
  Client& nobody = house.open(upgrade_request("/ws", bearer("")));
  nobody.peer.text(kGood);
  nobody.peer.text(kBad);
  house.run();
  EXPECT_TRUE(house.last().peer.messages().empty());
}

TEST(MessageRules, HoldBesideMessagesThatAreSpread) {
  config::Settings settings = ruled({in_room(Action::drop), in_room(Action::drop, true)});
  settings.backends[0].unit = upstream::Unit::message;
  SimHouse house(std::move(settings));
  Client& client = house.open();
  for (int i = 0; i < 4; ++i) {
    client.peer.text(kGood);
    client.peer.text(kBad);
  }
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>(4, kGood));
  house.last().peer.text(kBad);
  house.last().peer.text(kGood);
  house.run();
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{kGood});
}

TEST(MessageRules, AreAskedOfEveryServerThatTakesOver) {
  config::Settings settings = ruled({in_room(Action::drop), in_room(Action::drop, true)});
  settings.routes[0].survive.emplace();
  SimHouse house(std::move(settings));
  Client& client = house.open();
  house.last().wire.reset();
  house.run();
  house.advance(std::chrono::seconds(2));
  ASSERT_EQ(house.dials(), 2u);
  client.peer.text(kBad);
  client.peer.text(kGood);
  house.last().peer.text(kBad);
  house.last().peer.text(kGood);
  house.run();
  EXPECT_EQ(house.last().peer.messages(), std::vector<std::string>{kGood});
  EXPECT_EQ(client.peer.messages(), std::vector<std::string>{kGood});
}

}  // namespace
}  // namespace sluice::test
