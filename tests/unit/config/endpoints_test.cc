// [auth.NAME.endpoints] and the carrier ticket:NAME.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/check.h"
#include "loading.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Kind = policy::EndpointSettings::Kind;

constexpr std::string_view kListener = "[[listener]]\nname = \"main\"\nbind = \"127.0.0.1:8080\"\n"
    "[[listener]]\nname = \"octets\"\nbind = \"127.0.0.1:8081\"\nprotocol = \"tcp\"\nbackend = \"raw\"\n";

std::string whole(const std::string& endpoints, const std::string& from = "\"header:Authorization\", \"ticket:ticket\"",
                  const std::string& more = "") {
  return std::string(kListener) +
         "[[route]]\npath = \"/*\"\nbackend = \"app\"\nauth = \"users\"\n[backend.app]\nservers = [\"ws://127.0.0.1:9000\"]\n"
         "[backend.raw]\nservers = [\"tcp://127.0.0.1:9001\"]\n"
         "[auth.users]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\nfrom = [" + from + "]\n" + more +
         "[auth.users.endpoints]\n" + endpoints;
}

Loaded read(const Folder& folder, const std::string& text) {
  folder.write_credentials();
  return load(folder.write("sluice.toml", text));
}

std::string said(const std::string& text) { return text_of(read(Folder(), text)); }

TEST(Endpoints, AreReadWithTheirDefaults) {
  const Folder folder;
  const Loaded loaded = read(folder, whole("ticket = \"/tickets\"\nrefresh = \"/refresh\"\nlogout = \"/logout\"\n",
                                           "\"header:Authorization\", \"ticket:t\"",
                                           "issuer = \"https://id.example.com\"\naudience = \"chat\"\n"));
  ASSERT_TRUE(loaded.ok()) << text_of(loaded);
  const policy::AuthSettings& auth = loaded.settings.auths.at(0);
  EXPECT_EQ(auth.from.at(1), (policy::Carrier{policy::Carrier::Kind::ticket, "t"}));
  EXPECT_EQ(auth.endpoints.path(Kind::ticket), "/tickets");
  EXPECT_EQ(auth.endpoints.path(Kind::refresh), "/refresh");
  EXPECT_EQ(auth.endpoints.path(Kind::logout), "/logout");
  EXPECT_EQ(auth.endpoints.ticket_ttl, std::chrono::seconds(30));
  EXPECT_FALSE(auth.endpoints.ticket_bind_ip);
  EXPECT_EQ(auth.endpoints.logout_ttl, std::chrono::hours(24));
  EXPECT_TRUE(auth.endpoints.origins.empty());
  EXPECT_THAT(text_of(loaded), HasSubstr("warning: what is sent to /tickets can be read on plain listener 'main'"));
  EXPECT_THAT(text_of(loaded), Not(HasSubstr("octets")));
  EXPECT_THAT(text_of(loaded), Not(HasSubstr("/logout")));
  EXPECT_THAT(dump(loaded.settings), HasSubstr("endpoints ticket /tickets, refresh /refresh, logout /logout, listener all"));
}

TEST(Endpoints, ALogoutStandsAsLongAsATokenMayLive) {
  const std::string issuer = "issuer = \"https://id.example.com\"\naudience = \"chat\"\nmax_lifetime = \"8h\"\n";
  const std::string from = "\"header:Authorization\"";
  EXPECT_EQ(read(Folder(), whole("logout = \"/logout\"\n", from, issuer)).settings.auths.at(0).endpoints.logout_ttl, std::chrono::hours(8));
  EXPECT_EQ(read(Folder(), whole("logout = \"/logout\"\nlogout_ttl = \"9h\"\n", from, issuer)).settings.auths.at(0).endpoints.logout_ttl,
            std::chrono::hours(9));
}

TEST(Endpoints, TheHostAndTheListenerMayBeNamed) {
  const Folder folder;
  const Loaded loaded = read(folder, whole("ticket = \"/t\"\nlistener = \"main\"\nhost = \"Chat.Example.com\"\n"
                                           "origins = [\"https://chat.example.com\", \"http://localhost:8000\"]\nticket_ttl = \"5m\"\n"
                                           "ticket_bind_ip = true\n"));
  ASSERT_TRUE(loaded.ok()) << text_of(loaded);
  const policy::EndpointSettings& out = loaded.settings.auths.at(0).endpoints;
  EXPECT_EQ(out.listeners, std::vector<std::string>{"main"});
  EXPECT_EQ(out.host, "chat.example.com");
  EXPECT_EQ(out.origins.size(), 2U);
  EXPECT_EQ(out.ticket_ttl, std::chrono::minutes(5));
  EXPECT_TRUE(out.ticket_bind_ip);
}

TEST(Endpoints, WhatCannotBeMeant) {
  const std::pair<std::string, const char*> rows[] = {
      {whole(""), "error: [auth.users.endpoints] offers nothing"},
      {whole("ticket = \"tickets\"\n"), "error: 'ticket' = \"tickets\" is no path of its own"},
      {whole("ticket = \"/\"\n"), "is no path of its own"},
      {whole("ticket = \"/a/*\"\n"), "is no path of its own"},
      {whole("ticket = \"/a/../b\"\n"), "is no path of its own"},
      {whole("ticket = \"/a\"\nrefresh = \"/a\"\n"), "error: \"/a\" is an endpoint already"},
      {whole("ticket = \"/a\"\nhost = \"*.example.com\"\n"), "is no host name"},
      {whole("ticket = \"/a\"\nhost = \"example.com:80\"\n"), "is no host name"},
      {whole("ticket = \"/a\"\norigins = [\"*\"]\n"), "error: \"*\" is no origin of one page"},
      {whole("ticket = \"/a\"\norigins = [\"https://*.example.com\"]\n"), "is no origin of one page"},
      {whole("ticket = \"/a\"\nlistener = \"mian\"\n"), "did you mean 'main'"},
      {whole("ticket = \"/a\"\nlistener = \"octets\"\n"), "which has protocol = \"tcp\""},
      {whole("ticket = \"/a\"\nticket_ttl = \"6m\"\n"), "'ticket_ttl' must be"},
      {whole("ticket = \"/a\"\n", "\"header:Authorization\""), "error: tickets are issued, and 'from' has no place for them"},
      {whole("ticket = \"/a\"\n", "\"ticket:ticket\""), "error: 'ticket' takes a credential, and 'from' has only tickets"},
      {whole("logout = \"/a\"\n"), "error: 'logout' needs 'issuer' and 'audience'"},
      {whole("logout = \"/a\"\n", "\"header:Authorization\"", "issuer = \"https://id.example.com\"\n"), "needs 'issuer' and 'audience'"},
      {whole("tickets = \"/a\"\n"), "did you mean 'ticket'"},
      {whole("ticket = \"/a\"\n", "\"ticket:\""), "needs a name after 'ticket:'"},
  };
  for (const auto& [text, expected] : rows) EXPECT_THAT(said(text), HasSubstr(expected)) << text;
}

TEST(Endpoints, AreOfTypesThatHaveCarriers) {
  const std::string service = std::string(kListener) + "[backend.raw]\nservers = [\"tcp://127.0.0.1:9001\"]\n"
      "[auth.users]\ntype = \"external\"\nurl = \"http://127.0.0.1:9/\"\n[auth.users.endpoints]\n";
  EXPECT_THAT(said(service + "ticket = \"/a\"\n"), HasSubstr("'ticket' is not for type = \"external\""));
  EXPECT_THAT(said(service + "logout = \"/a\"\n"), HasSubstr("'logout' is for type = \"jwt\""));
}

TEST(Endpoints, OfTwoAuthsMayShareAPathOnDifferentHosts) {
  const auto two = [](const std::string& first, const std::string& second) {
    return whole("ticket = \"/a\"\n" + first) +
           "[auth.others]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\n"
           "from = [\"header:X-Token\", \"ticket:ticket\"]\n[auth.others.endpoints]\nticket = \"/a\"\n" + second;
  };
  EXPECT_THAT(said(two("host = \"a.test\"\n", "host = \"b.test\"\n")), Not(HasSubstr("error")));
  EXPECT_THAT(said(two("host = \"a.test\"\n", "")), HasSubstr("\"/a\" is an endpoint already"));
  EXPECT_THAT(said(two("", "")), HasSubstr("\"/a\" is an endpoint already"));
}

TEST(Endpoints, TicketsOfTwoAuthsMayComeInOnePlace) {
  const std::string text = whole("ticket = \"/a\"\n") +
      "[auth.machines]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\nfrom = [\"header:X-Token\", \"ticket:ticket\"]\n"
      "[[route]]\npath = \"/both\"\nbackend = \"app\"\nauth = [\"users\", \"machines\"]\n";
  EXPECT_THAT(said(text), Not(HasSubstr("error")));
}

}  // namespace
}  // namespace sluice::config
