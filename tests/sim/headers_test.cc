// Header rules and strip_prefix in whole sessions: what goes up, what comes back, and what no rule and no client can undo.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using Script = SimHouse::Script;

policy::FieldValue value_of(std::string_view text) {
  std::string why;
  return *policy::FieldValue::parse(text, why);
}

std::size_t count_of(const std::string& head, std::string_view line) {
  std::size_t count = 0;
  for (std::size_t at = head.find(line); at != std::string::npos; at = head.find(line, at + 1)) ++count;
  return count;
}

TEST(RequestHeaders, AreSetAndRemovedOnTheWayUp) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::HeaderRules& rules = settings.routes[0].request_headers;
  rules.set.emplace_back("X-Tenant", value_of("acme"));
  rules.set.emplace_back("X-From", value_of("{client_ip} {request_id} {host}"));
  rules.remove = {"Origin", "X-Debug"};
  SimHouse house(std::move(settings));
  Client& client = house.open(upgrade_request(
      "/ws", "Origin: https://a.test\r\nX-Tenant: evil\r\nx-tenant: evil\r\nX_Tenant: evil\r\nx-debug: 1\r\nX-App: 1\r\n"));
  EXPECT_EQ(client.peer.status(), 101);
  const std::string& head = house.last().peer.head;
  EXPECT_EQ(field_of(head, "X-Tenant"), "acme");
  EXPECT_EQ(head.find("evil"), std::string::npos) << head;
  EXPECT_EQ(head.find("Origin"), std::string::npos);
  EXPECT_EQ(head.find("x-debug"), std::string::npos);
  EXPECT_EQ(field_of(head, "X-App"), "1");
  EXPECT_EQ(field_of(head, "X-From"), "192.0.2.7 " + field_of(head, "X-Request-Id") + " gw.test");
}

TEST(RequestHeaders, TheBackendMayHaveAnotherName) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].request_headers.set.emplace_back("host", value_of("app.internal:8080"));
  SimHouse house(std::move(settings));
  house.open();
  const std::string& head = house.last().peer.head;
  EXPECT_EQ(count_of(head, "Host: "), 2u) << "Host and X-Forwarded-Host: " << head;
  EXPECT_EQ(count_of(head, "\r\nHost: app.internal:8080\r\n"), 1u);
  EXPECT_EQ(field_of(head, "X-Forwarded-Host"), "gw.test");
}

TEST(RequestHeaders, NominatingASetFieldInConnectionDoesNotUnsetIt) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].request_headers.set.emplace_back("X-Tenant", value_of("acme"));
  SimHouse house(std::move(settings));
  std::string request = upgrade_request("/ws", "X-Tenant: evil\r\n");
  request.replace(request.find("Connection: Upgrade"), 19, "Connection: Upgrade, X-Tenant, X-Real-IP");
  house.open(request);
  EXPECT_EQ(field_of(house.last().peer.head, "X-Tenant"), "acme");
  EXPECT_EQ(field_of(house.last().peer.head, "X-Real-IP"), "192.0.2.7");
}

TEST(ResponseHeaders, AreSetAndRemovedInThe101) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::HeaderRules& rules = settings.routes[0].response_headers;
  rules.set.emplace_back("Strict-Transport-Security", value_of("max-age=60"));
  rules.set.emplace_back("X-Seen", value_of("{client_ip}"));
  rules.remove = {"server"};
  SimHouse house(std::move(settings));
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  std::string answer = WsPeer::switching(house.last().peer.head);
  answer.insert(answer.size() - 2, "Server: app/1.0\r\nX-Seen: theirs\r\nx-seen: again\r\nX-App: 1\r\n");
  house.last().wire.send(answer);
  house.run();
  EXPECT_EQ(client.peer.status(), 101);
  const std::string& head = client.peer.head;
  EXPECT_EQ(field_of(head, "Strict-Transport-Security"), "max-age=60");
  EXPECT_EQ(head.find("Server"), std::string::npos);
  EXPECT_EQ(head.find("theirs"), std::string::npos);
  EXPECT_EQ(head.find("again"), std::string::npos);
  EXPECT_EQ(field_of(head, "X-Seen"), "192.0.2.7");
  EXPECT_EQ(field_of(head, "X-App"), "1");
}

TEST(ResponseHeaders, AreSetInARefusalOfTheBackendAndNotInOneOfTheGateway) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].response_headers.set.emplace_back("X-Rule", value_of("yes"));
  settings.routes[0].response_headers.remove = {"Server"};
  SimHouse house(std::move(settings));
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  Client& client = house.open();
  house.last().wire.send("HTTP/1.1 403 Forbidden\r\nServer: x\r\nContent-Length: 2\r\n\r\nno");
  house.run();
  EXPECT_EQ(client.peer.status(), 403);
  EXPECT_EQ(field_of(client.peer.head, "X-Rule"), "yes");
  EXPECT_EQ(client.peer.head.find("Server"), std::string::npos);
  house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
  Client& other = house.open();
  EXPECT_EQ(other.peer.status(), 503);
  EXPECT_EQ(other.peer.head.find("X-Rule"), std::string::npos);
}

TEST(ResponseHeaders, StandBeforeTheStickyCookieWhichTheyCannotTakeAway) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.backends[0].sticky.cookie = "sluice";
  settings.routes[0].response_headers.remove = {"Set-Cookie"};
  SimHouse house(std::move(settings));
  Client& client = house.open();
  EXPECT_TRUE(field_of(client.peer.head, "Set-Cookie").starts_with("sluice="));
}

// ---- strip_prefix -------------------------------------------------------------------------------------------------------

config::Settings stripping(const std::string& path = "/api/*") {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.routes[0].path = path;
  settings.routes[0].strip_prefix = "/api";
  return settings;
}

TEST(StripPrefix, TheBackendSeesThePathBehindIt) {
  const std::pair<const char*, const char*> table[] = {{"/api/x/y", "/x/y"},        {"/api/", "/"},
                                                       {"/api/x?a=/api/b", "/x?a=/api/b"}, {"/api/api/x", "/api/x"},
                                                       {"/api/%7Ex", "/~x"},        {"/api//x", "/x"},
                                                       {"/other/../api/x", "/x"},   {"/api/./x/", "/x/"}};
  for (const auto& [asked, seen] : table) {
    SimHouse house(stripping());
    Client& client = house.open(upgrade_request(asked, "X-Forwarded-Prefix: /theirs\r\n"));
    ASSERT_EQ(client.peer.status(), 101) << asked;
    const std::string& head = house.last().peer.head;
    EXPECT_EQ(head.substr(0, head.find("\r\n")), "GET " + std::string(seen) + " HTTP/1.1");
    EXPECT_EQ(field_of(head, "X-Forwarded-Prefix"), "/api");
    EXPECT_EQ(count_of(head, "X-Forwarded-Prefix"), 1u);
  }
}

TEST(StripPrefix, AnExactRouteLeavesTheRoot) {
  SimHouse house(stripping("/api"));
  house.open(upgrade_request("/api?x=1"));
  EXPECT_TRUE(house.last().peer.head.starts_with("GET /?x=1 HTTP/1.1\r\n"));
}

// security.md T09: the route is chosen by the path that the client asked for, and nothing that is left can mean another one.
TEST(StripPrefix, NoSpellingBypassesIt) {
  const std::pair<const char*, int> table[] = {
      {"/api%2e/admin", 404},       {"/api./admin", 404},          {"/apix/admin", 404},          {"/api", 404},
      {"/api/../admin", 404},       {"/api/%2e%2e/admin", 404},    {"/api/..%2fadmin", 400},      {"/api%2fadmin", 400},
      {"/api/..;/admin", 400},      {"/api/%2e%2e%2fadmin", 400},  {"/api/%5c../admin", 400},     {"/api/\\admin", 400},
      {"/api/%00", 400},            {"/api/x%23", 400},            {"/api/../../x", 400},         {"/API/x", 404},
      {"/api/%252e%252e/admin", 101}};
  for (const auto& [asked, status] : table) {
    SimHouse house(stripping());
    Client& client = house.open(upgrade_request(asked));
    EXPECT_EQ(client.peer.status(), status) << asked;
    if (status == 101) {
      // Escaped twice it is a name with a percent sign: it goes up as it came, decoded by nobody.
      EXPECT_TRUE(house.last().peer.head.starts_with("GET /%252e%252e/admin HTTP/1.1\r\n"));
    } else {
      EXPECT_EQ(house.dials(), 0u) << asked;
    }
  }
}

TEST(StripPrefix, WithoutItNoPrefixIsTold) {
  SimHouse house;
  house.open(upgrade_request("/api/x", "X-Forwarded-Prefix: /theirs\r\n"));
  EXPECT_TRUE(house.last().peer.head.starts_with("GET /api/x HTTP/1.1\r\n"));
  EXPECT_EQ(house.last().peer.head.find("X-Forwarded-Prefix"), std::string::npos);
}

// ---- what a listener answers itself ---------------------------------------------------------------------------------------

TEST(Redirecting, AnswersEverythingAndTouchesNoUpstream) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.listeners[0].redirect_port = 443;
  for (const std::string& request :
       {upgrade_request("/ws?a=b"), std::string("GET /ws?a=b HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
        std::string("POST /ws?a=b HTTP/1.1\r\nHost: gw.test:80\r\nContent-Length: 3\r\n\r\nabc")}) {
    SimHouse house(settings);
    Client& client = house.open(request);
    EXPECT_EQ(client.peer.status(), 308);
    EXPECT_EQ(field_of(client.peer.head, "Location"), "https://gw.test/ws?a=b");
    EXPECT_EQ(house.dials(), 0u);
    house.advance(std::chrono::seconds(3));
    EXPECT_EQ(house.alive(), 0u);
  }
}

TEST(Redirecting, JudgesTheRequestAsEverywhere) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  settings.listeners[0].redirect_port = 443;
  for (const char* request :
       {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: user@evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.test/x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET http://other.test/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", "GET /%0d%0aX:y HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "GET /%2f%2fevil.test HTTP/1.1\r\nHost: gw.test\r\n\r\n", "GET /\\evil.test HTTP/1.1\r\nHost: gw.test\r\n\r\n"}) {
    SimHouse house(settings);
    Client& client = house.open(request);
    EXPECT_EQ(client.peer.status(), 400) << request;
    EXPECT_EQ(client.peer.head.find("Location"), std::string::npos) << request;
  }
}

}  // namespace
}  // namespace sluice::test
