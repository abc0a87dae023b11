#include "upstream/sticky.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "net/crypto.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 56)};

StickySettings sticky_settings() {
  StickySettings settings;
  settings.cookie = "sluice";
  settings.ttl = 8h;
  settings.secret = Secret(std::string(32, 's'));
  return settings;
}

class Sticky : public ::testing::Test {
 protected:
  StickyServer read(std::string_view value, WallTime now = kNow, std::string_view backend = "chat") {
    return read_sticky(settings, backend, servers, value, now);
  }
  std::string value(std::size_t index, WallTime now = kNow) { return sticky_value(settings, "chat", *servers[index], now); }

  StickySettings settings = sticky_settings();
  std::vector<std::shared_ptr<Server>> servers = make_servers({1, 1, 1});
};

TEST_F(Sticky, BringsBackToTheServerThatItWasMadeFor) {
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const StickyServer read_back = read(value(i));
    EXPECT_EQ(read_back.server, servers[i]);
    EXPECT_FALSE(read_back.renew);
  }
}

TEST_F(Sticky, IsTheSameForEveryGatewayWithTheSecretAndForNoOther) {
  const std::string mine = value(1);
  const auto elsewhere = make_servers({5, 5});  // other objects, other weights
  EXPECT_EQ(read_sticky(settings, "chat", elsewhere, mine, kNow).server, elsewhere[1]);
  settings.secret = Secret(std::string(32, 't'));
  EXPECT_EQ(read(mine).server, nullptr);
}

TEST_F(Sticky, IsNoneOfAnotherBackend) {
  EXPECT_EQ(read(value(0), kNow, "chat2").server, nullptr);
  EXPECT_EQ(read(value(0), kNow, "cha").server, nullptr);
}

TEST_F(Sticky, IsNoneForAServerThatHasVanished) {
  const std::string of_third = value(2);
  servers.pop_back();
  EXPECT_EQ(read(of_third).server, nullptr);
  EXPECT_EQ(read(value(1)).server, servers[1]);
}

TEST_F(Sticky, EveryChangedCharacterMakesItNone) {
  const std::string good = value(1);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'A', 'b', '9', '-', '_', '=', ' ', '\0', '%'}) {
      std::string bad = good;
      if (bad[i] == c) continue;
      bad[i] = c;
      EXPECT_EQ(read(bad).server, nullptr) << i << " " << c;
    }
    EXPECT_EQ(read(good.substr(0, i)).server, nullptr) << i;
    EXPECT_EQ(read(good.substr(i + 1)).server, nullptr) << i;
  }
  EXPECT_EQ(read(good + "A").server, nullptr);
  EXPECT_EQ(read(good + good).server, nullptr);
  EXPECT_EQ(read(std::string(80, 'A')).server, nullptr);
}

TEST_F(Sticky, PartsOfTwoValuesMakeNoThird) {
  const auto one = *net::from_base64url(value(0));
  const auto two = *net::from_base64url(value(1));
  for (std::size_t cut = 1; cut < one.size(); ++cut) {
    std::vector<std::uint8_t> mixed(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(cut));
    mixed.insert(mixed.end(), two.begin() + static_cast<std::ptrdiff_t>(cut), two.end());
    if (mixed == one || mixed == two) continue;  // they begin or end alike
    EXPECT_EQ(read(net::base64url(mixed)).server, nullptr) << cut;
  }
}

TEST_F(Sticky, RunsOutToTheSecond) {
  const std::string good = value(0);
  EXPECT_EQ(read(good, kNow + 8h - 1s).server, servers[0]);
  EXPECT_EQ(read(good, kNow + 8h).server, nullptr);
  EXPECT_EQ(read(good, kNow + 1000h).server, nullptr);
}

TEST_F(Sticky, IsSetAnewFromHalfOfItsTimeOn) {
  const std::string good = value(0);
  EXPECT_FALSE(read(good, kNow + 4h).renew);
  EXPECT_TRUE(read(good, kNow + 4h + 1s).renew);
}

TEST_F(Sticky, WithoutTtlItNeverRunsOut) {
  settings.ttl = {};
  const std::string good = value(0);
  EXPECT_EQ(read(good, kNow + 24h * 10'000).server, servers[0]);
  EXPECT_FALSE(read(good, kNow + 24h * 10'000).renew);
}

TEST_F(Sticky, IsSetAnewWhenTheTtlHasBecomeAnother) {
  const std::string long_lived = value(0);
  settings.ttl = 1h;
  EXPECT_EQ(read(long_lived).server, servers[0]);
  EXPECT_TRUE(read(long_lived).renew);
  settings.ttl = {};
  const std::string of_session = value(0);
  settings.ttl = 1h;
  EXPECT_EQ(read(of_session).server, servers[0]);
  EXPECT_TRUE(read(of_session).renew);
}

TEST_F(Sticky, ShowsNothing) {
  std::set<std::string> seen;
  std::vector<int> same(60);
  const auto first = *net::from_base64url(value(0));
  for (int i = 0; i < 200; ++i) {
    const std::string text = value(0);
    EXPECT_EQ(text.size(), 80u);
    EXPECT_TRUE(seen.insert(text).second);
    const auto octets = *net::from_base64url(text);
    EXPECT_EQ(as_text(octets).find("10.0"), std::string_view::npos);
    for (std::size_t k = 0; k < octets.size(); ++k) same[k] += octets[k] == first[k];
  }
  // No octet says the same of the same server: 200 chances of 1/256 each.
  for (const int count : same) EXPECT_LT(count, 12);
}

TEST_F(Sticky, SecretsOfTheProcessDiffer) {
  EXPECT_EQ(fresh_sticky_secret().size(), 32u);
  EXPECT_NE(fresh_sticky_secret().reveal(), fresh_sticky_secret().reveal());
}

TEST_F(Sticky, FieldHasTheAttributes) {
  EXPECT_EQ(sticky_field(settings, "V", false), "sluice=V; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax");
  EXPECT_EQ(sticky_field(settings, "V", true), "sluice=V; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Lax");
  settings.ttl = {};
  settings.path = "/chat";
  settings.domain = "example.com";
  settings.same_site = StickySettings::SameSite::strict;
  settings.secure = StickySettings::Secure::on;
  EXPECT_EQ(sticky_field(settings, "V", false),
            "sluice=V; Path=/chat; Domain=example.com; Secure; HttpOnly; SameSite=Strict");
  settings.secure = StickySettings::Secure::off;
  EXPECT_EQ(sticky_field(settings, "V", true), "sluice=V; Path=/chat; Domain=example.com; HttpOnly; SameSite=Strict");
  settings.secure = StickySettings::Secure::automatic;
  settings.same_site = StickySettings::SameSite::none;
  EXPECT_EQ(sticky_field(settings, "V", false), "sluice=V; Path=/chat; Domain=example.com; Secure; HttpOnly; SameSite=None");
}

// ---- in the cluster
TEST(StickyCluster, ComesFirstWhileItIsUsable) {
  Registry registry;
  const auto cluster = registry.cluster(backend_settings(Policy::round_robin, 3));
  for (int i = 0; i < 12; ++i) {
    const auto order = cluster->order(0, Instant{}, {}, cluster->servers()[1].get());
    ASSERT_EQ(order.size(), 3u);
    EXPECT_EQ(order[0], cluster->servers()[1]);
    EXPECT_NE(order[1], order[2]) << "each once";
    EXPECT_NE(order[1], order[0]);
  }
  cluster->servers()[1]->healthy = false;
  for (int i = 0; i < 6; ++i) {
    for (const auto& server : cluster->order(0, Instant{}, {}, cluster->servers()[1].get())) {
      EXPECT_NE(server, cluster->servers()[1]);
    }
  }
}

TEST(StickyCluster, ADrainedServerTakesItsOwnClientsBackAndNobodyElse) {
  Registry registry;
  const auto cluster = registry.cluster(backend_settings(Policy::round_robin, 3));
  Server& mine = *cluster->servers()[1];
  const auto firsts = [&](const Server* preferred) {
    std::set<const Server*> seen;
    for (int i = 0; i < 12; ++i) {
      for (const auto& server : cluster->order(0, Instant{}, {}, preferred)) seen.insert(server.get());
    }
    return seen;
  };
  for (const auto& [duty, weight, back] : {std::tuple{Duty::drain, 1u, true}, {Duty::ready, 0u, true}, {Duty::down, 1u, false}}) {
    mine.duty = duty;
    mine.weight = weight;
    EXPECT_EQ(firsts(&mine).contains(&mine), back);
    EXPECT_FALSE(firsts(nullptr).contains(&mine));
    EXPECT_FALSE(firsts(cluster->servers()[0].get()).contains(&mine));
    EXPECT_EQ(cluster->order(0, Instant{}, {}, &mine).front().get() == &mine, back);
  }
  mine.duty = Duty::drain;
  mine.weight = 1;
  mine.healthy = false;
  EXPECT_FALSE(firsts(&mine).contains(&mine)) << "drained, and down by the active check";
  mine.healthy = true;
  mine.ejected_until = 1'000;
  EXPECT_FALSE(firsts(&mine).contains(&mine)) << "drained, and ejected";
}

TEST(StickyCluster, AFullServerGivesWayAndCostsNoTry) {
  Registry registry;
  BackendSettings settings = backend_settings(Policy::round_robin, 3);
  settings.retries = 0;
  for (ServerSettings& server : settings.servers) server.max_connections = 2;
  const auto cluster = registry.cluster(settings);
  const std::shared_ptr<Server> mine = cluster->servers()[1];
  mine->active = 1;
  EXPECT_EQ(cluster->order(0, Instant{}, {}, mine.get()).front(), mine);
  mine->active = 2;
  const auto order = cluster->order(0, Instant{}, {}, mine.get());
  ASSERT_EQ(order.size(), 1u);
  EXPECT_NE(order.front(), mine);
}

TEST(StickyCluster, ABackupKeepsTheClientsThatItTook) {
  Registry registry;
  BackendSettings settings = backend_settings(Policy::round_robin, 2);
  settings.servers[1].backup = true;
  const auto cluster = registry.cluster(settings);
  Server* const backup = cluster->servers()[1].get();
  EXPECT_EQ(cluster->order(0, Instant{}).front(), cluster->servers()[0]);
  EXPECT_EQ(cluster->order(0, Instant{}, {}, backup).front().get(), backup);
}

TEST(StickyCluster, ADrainedServerTakesItsClientsBackWhenItIsTheOnlyOne) {
  Registry registry;
  const auto cluster = registry.cluster(backend_settings(Policy::consistent_hash, 1));
  cluster->servers()[0]->duty = Duty::drain;
  EXPECT_TRUE(cluster->order(1, Instant{}).empty());
  EXPECT_EQ(cluster->order(1, Instant{}, {}, cluster->servers()[0].get()).size(), 1u);
}

TEST(StickyCluster, ComesFirstEvenBeyondTheRetries) {
  Registry registry;
  BackendSettings settings = backend_settings(Policy::consistent_hash, 5);
  settings.retries = 0;
  const auto cluster = registry.cluster(settings);
  for (std::uint64_t key = 0; key < 50; ++key) {
    const auto order = cluster->order(key, Instant{}, {}, cluster->servers()[4].get());
    ASSERT_EQ(order.size(), 1u);
    EXPECT_EQ(order[0], cluster->servers()[4]);
  }
}

TEST(StickyCluster, IsNotTakenWhenItIsExcluded) {
  Registry registry;
  const auto cluster = registry.cluster(backend_settings(Policy::least_connections, 2));
  const Server* const out = cluster->servers()[0].get();
  const auto order = cluster->order(0, Instant{}, {&out, 1}, out);
  ASSERT_EQ(order.size(), 1u);
  EXPECT_EQ(order[0], cluster->servers()[1]);
}

TEST(StickyCluster, TheRegistrysOwnSecretOutlivesReloads) {
  Registry registry;
  BackendSettings settings = backend_settings(Policy::round_robin, 1);
  EXPECT_TRUE(registry.cluster(settings)->settings().sticky.secret.empty());
  settings.sticky.cookie = "sluice";
  const std::string before(registry.cluster(settings)->settings().sticky.secret.reveal());
  EXPECT_EQ(before.size(), 32u);
  settings.servers.push_back(server_settings(9));
  EXPECT_EQ(registry.cluster(settings)->settings().sticky.secret.reveal(), before);
  settings.sticky.secret = Secret(std::string(32, 'f'));
  EXPECT_EQ(registry.cluster(settings)->settings().sticky.secret.reveal(), std::string(32, 'f'));
}

}  // namespace
}  // namespace sluice::upstream
