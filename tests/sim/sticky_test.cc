// Stickiness by cookie in whole sessions: set at the handshake, taken out of what goes up, followed while it is good.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Script = SimHouse::Script;

config::Settings sticky_settings(std::size_t servers = 3) {
  std::vector<std::string> urls;
  for (std::size_t i = 1; i <= servers; ++i) urls.push_back("ws://10.0.0." + std::to_string(i) + ":9000");
  config::Settings settings = settings_for(urls);
  settings.backends[0].sticky.cookie = "sluice";
  settings.backends[0].sticky.ttl = 8h;
  return settings;
}

// NAME=VALUE of the Set-Cookie field that the client was answered, or "".
std::string cookie_set(const Client& client) {
  const std::string field = field_of(client.peer.head, "Set-Cookie");
  return field.substr(0, field.find(';'));
}

Client& open_with(SimHouse& house, const std::string& cookies) {
  return house.open(upgrade_request("/ws", "Cookie: " + cookies + "\r\n"));
}

TEST(StickyCookie, IsSetInThe101) {
  SimHouse house(sticky_settings());
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 101);
  const std::string field = field_of(client.peer.head, "Set-Cookie");
  EXPECT_TRUE(field.starts_with("sluice=")) << field;
  EXPECT_TRUE(field.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax")) << field;
  EXPECT_EQ(cookie_set(client).size(), 7u + 80);
}

TEST(StickyCookie, BringsTheClientBackAndIsNotSetAgain) {
  SimHouse house(sticky_settings());
  const std::string cookie = cookie_set(house.open());
  const std::string address = house.last().address;
  for (int i = 0; i < 7; ++i) {
    Client& again = open_with(house, "a=b; " + cookie + "; c=d");
    EXPECT_EQ(again.peer.status(), 101);
    EXPECT_EQ(house.last().address, address);
    EXPECT_EQ(cookie_set(again), "");
  }
}

TEST(StickyCookie, IsNotShownToTheUpstream) {
  SimHouse house(sticky_settings());
  const std::string cookie = cookie_set(house.open());
  open_with(house, "a=b; " + cookie + "; c=d");
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "a=b; c=d");
  open_with(house, cookie);
  EXPECT_EQ(house.last().peer.head.find("Cookie"), std::string::npos);
  open_with(house, "sluice=forged; x=y");
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "x=y");
  house.open(upgrade_request("/ws", "Cookie: a=b\r\nCookie: " + cookie + "\r\nCookie: sluice=two\r\n"));
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "a=b");
}

TEST(StickyCookie, OtherCookiesPassAsTheyAre) {
  SimHouse house(sticky_settings());
  house.open(upgrade_request("/ws", "Cookie: a=b;c=d\r\nCookie: e=\"f\"\r\n"));
  const std::string& head = house.last().peer.head;
  EXPECT_NE(head.find("Cookie: a=b;c=d\r\nCookie: e=\"f\"\r\n"), std::string::npos) << head;
}

TEST(StickyCookie, OneThatIsForgedOrRunOutIsReplaced) {
  SimHouse house(sticky_settings());
  std::string cookie = cookie_set(house.open());
  std::string forged = cookie;
  forged.back() = forged.back() == 'A' ? 'B' : 'A';
  for (const std::string& bad : {forged, std::string("sluice="), std::string("sluice=10.0.0.1"), cookie + "A"}) {
    Client& client = open_with(house, bad);
    EXPECT_EQ(client.peer.status(), 101);
    EXPECT_EQ(cookie_set(client).size(), 87u) << bad;
  }
  house.clock.set_wall(8h);
  EXPECT_EQ(cookie_set(open_with(house, cookie)).size(), 87u);
}

TEST(StickyCookie, IsRenewedInTheSecondHalfOfItsTime) {
  SimHouse house(sticky_settings());
  const std::string cookie = cookie_set(house.open());
  const std::string address = house.last().address;
  house.clock.set_wall(5h);
  const std::string renewed = cookie_set(open_with(house, cookie));
  EXPECT_EQ(house.last().address, address);
  EXPECT_EQ(renewed.size(), 87u);
  house.clock.set_wall(5h);  // the first one is ten hours old
  EXPECT_EQ(cookie_set(open_with(house, renewed)).size(), 87u) << "past half again";
  EXPECT_EQ(house.last().address, address);
}

TEST(StickyCookie, GivesWayWhenItsServerIsNotUsable) {
  SimHouse house(sticky_settings());
  const std::string cookie = cookie_set(house.open());
  const std::string address = house.last().address;
  upstream::Server* mine = nullptr;
  for (std::size_t i = 0; i < 3; ++i) {
    if (house.server(i).settings().url == "ws://" + address) mine = &house.server(i);
  }
  ASSERT_NE(mine, nullptr);
  mine->healthy = false;
  const std::string moved = cookie_set(open_with(house, cookie));
  EXPECT_EQ(moved.size(), 87u) << "the client is told its new server";
  const std::string second = house.last().address;
  EXPECT_NE(second, address);
  mine->healthy = true;
  for (int i = 0; i < 4; ++i) {
    open_with(house, moved);
    EXPECT_EQ(house.last().address, second);
  }
}

// The names lead to these addresses now.
void lead_to(SimHouse& house, const std::vector<std::string>& ips) {
  std::vector<upstream::Found> found;
  for (const std::string& ip : ips) {
    upstream::Found one;
    one.host = ip;
    one.port = 9000;
    one.addresses = {*net::Address::parse(ip, 9000)};
    found.push_back(one);
  }
  house.runtime().snapshot->clusters()[0]->entries()[0].group->update(found);
}

config::Settings discovered() {
  config::Settings settings = sticky_settings(1);
  settings.backends[0].servers[0].host = "app.test";
  settings.backends[0].servers[0].discovery = upstream::Discovery::addresses;
  return settings;
}

TEST(StickyCookie, GivesWayWhenItsServerHasVanished) {
  SimHouse house(discovered());
  lead_to(house, {"10.0.0.1"});
  const std::string cookie = cookie_set(house.open());
  lead_to(house, {"10.0.0.2"});
  const std::string moved = cookie_set(open_with(house, cookie));
  EXPECT_EQ(house.last().address, "10.0.0.2:9000");
  EXPECT_EQ(moved.size(), 87u);
  lead_to(house, {"10.0.0.1", "10.0.0.2"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cookie_set(open_with(house, moved)), "");
    EXPECT_EQ(house.last().address, "10.0.0.2:9000");
  }
}

TEST(StickyCookie, ItsServerMayVanishWhileTheClientWaits) {
  config::Settings settings = discovered();
  settings.backends[0].servers[0].max_connections = 1;
  settings.backends[0].pending = {10, 60s};
  SimHouse house(std::move(settings));
  lead_to(house, {"10.0.0.1"});
  Client& first = house.open();
  const std::string cookie = cookie_set(first);
  Client& second = open_with(house, cookie);
  EXPECT_TRUE(second.peer.head.empty());
  lead_to(house, {"10.0.0.2"});
  house.run();
  const auto& cluster = house.runtime().snapshot->clusters()[0];
  EXPECT_EQ(house.last().address, "10.0.0.2:9000") << "it was woken";
  EXPECT_EQ(cookie_set(second).size(), 87u);
  Client& third = open_with(house, cookie_set(second));
  first.wire.reset();
  second.wire.reset();
  cluster->servers()[0]->set_healthy(false);
  house.advance(5s);
  lead_to(house, {"10.0.0.3"});
  EXPECT_EQ(cluster->leaving().size(), 0u) << "nobody but the cookie remembers the second server";
  house.run();
  EXPECT_EQ(house.last().address, "10.0.0.3:9000");
  EXPECT_EQ(cookie_set(third).size(), 87u);
}

// Whoever survives has no answer in which it could be told its new server.
TEST(StickyCookie, NamesTheLostServerAfterTheClientHasSurvivedUntilTheNextHandshake) {
  for (const bool back : {true, false}) {
    config::Settings settings = sticky_settings(2);
    settings.routes[0].survive.emplace();
    settings.backends[0].ejection.failures = 0;
    SimHouse house(std::move(settings));
    Client& client = house.open();
    const std::string cookie = cookie_set(client);
    const std::string lost = house.last().address;
    upstream::Server& server = house.server(lost == "10.0.0.1:9000" ? 0 : 1);
    server.set_healthy(false);
    house.upstream(0).wire.reset();
    house.advance(3s);
    ASSERT_EQ(house.dials(), 2u);
    ASSERT_NE(house.last().address, lost);
    EXPECT_EQ(client.peer.close_frame(), nullptr);
    server.set_healthy(back);
    Client& again = open_with(house, cookie);
    EXPECT_EQ(house.last().address == lost, back);
    EXPECT_EQ(cookie_set(again).size(), back ? 0u : 87u);
  }
}

TEST(StickyCookie, NamesTheServerThatTookTheClientAfterARetry) {
  SimHouse house(sticky_settings(2));
  const std::string cookie = cookie_set(house.open());
  const std::string address = house.last().address;
  house.on_dial = [&](Upstream& up) {
    if (up.address == address) up.script = Script::refuse;
  };
  Client& client = open_with(house, cookie);
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_NE(house.last().address, address);
  const std::string second = house.last().address;
  const std::string moved = cookie_set(client);
  ASSERT_EQ(moved.size(), 87u);
  house.on_dial = nullptr;
  open_with(house, moved);
  EXPECT_EQ(house.last().address, second);
}

TEST(StickyCookie, WorksBeforeTcpServers) {
  config::Settings settings = settings_for({"tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000", "tcp://10.0.0.3:7000"});
  settings.backends[0].sticky.cookie = "at";
  SimHouse house(std::move(settings));
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = house.open();
  const std::string field = field_of(client.peer.head, "Set-Cookie");
  EXPECT_TRUE(field.ends_with("; Path=/; HttpOnly; SameSite=Lax")) << field;  // no ttl: as long as the browser
  const std::string address = house.last().address;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(cookie_set(open_with(house, cookie_set(client))), "");
    EXPECT_EQ(house.last().address, address);
  }
}

TEST(StickyCookie, GoesBeforeAHashOfTheRequest) {
  config::Settings settings = sticky_settings();
  settings.backends[0].policy = upstream::Policy::consistent_hash;
  settings.backends[0].key = {upstream::HashKey::Kind::query, "room", 0};
  SimHouse house(std::move(settings));
  const std::string cookie = cookie_set(house.open(upgrade_request("/ws?room=1")));
  const std::string address = house.last().address;
  for (int room = 2; room < 12; ++room) {
    house.open(upgrade_request("/ws?room=" + std::to_string(room), "Cookie: " + cookie + "\r\n"));
    EXPECT_EQ(house.last().address, address);
  }
}

TEST(StickyCookie, TheUpstreamsOwnCookiesStandBesideIt) {
  SimHouse house(sticky_settings());
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  std::string answer = WsPeer::switching(house.last().peer.head);
  answer.insert(answer.size() - 2, "Set-Cookie: theirs=1\r\n");
  house.last().wire.send(answer);
  house.run();
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_NE(client.peer.head.find("Set-Cookie: theirs=1\r\nSet-Cookie: sluice="), std::string::npos) << client.peer.head;
}

TEST(StickyCookie, IsNotSetWhereTheBackendIsNotSticky) {
  SimHouse house;
  Client& client = house.open(upgrade_request("/ws", "Cookie: sluice=x\r\n"));
  EXPECT_EQ(client.peer.head.find("Set-Cookie"), std::string::npos);
  EXPECT_EQ(field_of(house.last().peer.head, "Cookie"), "sluice=x");
}

TEST(StickyCookie, IsNotSetByARefusal) {
  SimHouse house(sticky_settings());
  house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
  Client& client = house.open();
  EXPECT_EQ(client.peer.status(), 503);
  EXPECT_EQ(client.peer.head.find("Set-Cookie"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
