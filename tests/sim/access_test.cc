// Access rules and paths that claims bind, asked of whole handshakes.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

config::Settings members_only() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}, {policy::Carrier::Kind::subprotocol, "bearer"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  return settings;
}

void add_role(config::Settings& settings) {
  policy::AccessRule rule;
  rule.claim = policy::ClaimRule{
      *policy::claim_pointer("role"), policy::ClaimRule::Test::equals, {{policy::Scalar::Kind::text, "admin"}}, {}, {}};
  settings.routes[0].access.push_back(rule);
}

std::string bearer(const std::string& claims) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 "{\"exp\":" + std::to_string(now + 600) + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

std::string with(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

TEST(Access, LetsInWhoseClaimsAreAsTheRouteWants) {
  config::Settings settings = members_only();
  add_role(settings);
  SimHouse house(std::move(settings));
  EXPECT_EQ(house.open(upgrade_request("/ws", with(bearer(R"(,"role":"admin")")))).peer.status(), 101);
  EXPECT_EQ(house.open(upgrade_request("/ws", with(bearer(R"(,"role":"user")")))).peer.status(), 403);
  EXPECT_EQ(house.open(upgrade_request("/ws", with(bearer("")))).peer.status(), 403);
  EXPECT_EQ(house.open(upgrade_request("/ws")).peer.status(), 401);
  EXPECT_EQ(house.dials(), 1u);
  EXPECT_EQ(house.route_tally().access_denied[static_cast<std::size_t>(policy::AccessPart::claim)].get(), 2u);
}

TEST(Access, ClosesWith4403WhereTheRouteRejectsByClosing) {
  config::Settings settings = members_only();
  add_role(settings);
  settings.routes[0].websocket.reject_with_close = true;
  SimHouse house(std::move(settings));
  Client& client = house.open(upgrade_request("/ws", with(bearer(R"(,"role":"user")"))));
  EXPECT_EQ(client.peer.status(), 101);
  EXPECT_EQ(client.peer.close_code(), 4403);
  EXPECT_EQ(house.dials(), 0u);
}

TEST(Access, BindsThePathToTheClaim) {
  config::Settings settings = members_only();
  settings.routes[0].path = "/rooms/{claim:room}/*";
  settings.routes[0].bindings = {{1, "room"}};
  SimHouse house(std::move(settings));
  const std::string fields = with(bearer(R"(,"room":["a b","c"])"));
  EXPECT_EQ(house.open(upgrade_request("/rooms/a%20b/x", fields)).peer.status(), 101);
  EXPECT_EQ(house.open(upgrade_request("/rooms/c/", fields)).peer.status(), 101);
  EXPECT_EQ(house.open(upgrade_request("/rooms/d/x", fields)).peer.status(), 403);
  EXPECT_EQ(house.open(upgrade_request("/rooms/c/../d/x", fields)).peer.status(), 403);
  EXPECT_EQ(house.open(upgrade_request("/rooms/c", fields)).peer.status(), 404);
  EXPECT_EQ(house.route_tally().access_denied[static_cast<std::size_t>(policy::AccessPart::path)].get(), 2u);
}

// The token in the offer is no subprotocol.
TEST(Access, ReadsTheOfferWithoutTheCredential) {
  config::Settings settings = members_only();
  policy::AccessRule rule;
  rule.subprotocols = {"v2"};
  settings.routes[0].access.push_back(rule);
  SimHouse house(std::move(settings));
  const std::string token = bearer("");
  EXPECT_EQ(house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: bearer, " + token + ", v2\r\n")).peer.status(), 101);
  EXPECT_EQ(house.open(upgrade_request("/ws", "Sec-WebSocket-Protocol: bearer, " + token + "\r\n")).peer.status(), 403);
}

TEST(Access, HoldsWithoutAnIdentityWhatNeedsNone) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AccessRule rule;
  rule.cidr = {*net::Cidr::parse("192.0.2.0/24")};
  settings.routes[0].access.push_back(rule);
  SimHouse house(std::move(settings));
  EXPECT_EQ(house.open().peer.status(), 101);
  Client& other = house.connect("198.51.100.1");
  other.wire.send(upgrade_request());
  house.run();
  EXPECT_EQ(other.peer.status(), 403);
}

}  // namespace
}  // namespace sluice::test
