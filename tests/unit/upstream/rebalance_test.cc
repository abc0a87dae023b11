#include "upstream/rebalance.h"

#include <gtest/gtest.h>

#include <list>
#include <numeric>
#include <set>

#include "base/log.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

using std::chrono::seconds;

TEST(ShareOfSessions, GoesByWeight) {
  const Burden burdens[] = {{100, 1}, {100, 1}, {0, 1}, {0, 1}};
  const Shares even = shares_of(burdens, 200);
  EXPECT_EQ(even.share, (std::vector<std::uint32_t>{50, 50, 50, 50}));
  EXPECT_EQ(even.excess, (std::vector<std::uint32_t>{50, 50, 0, 0}));
  EXPECT_EQ(even.excess_sum, 100u);
  EXPECT_DOUBLE_EQ(even.imbalance, 1.0);
  const Burden weighted[] = {{90, 3}, {0, 1}};
  const Shares some = shares_of(weighted, 90);
  EXPECT_EQ(some.share, (std::vector<std::uint32_t>{68, 23})) << "67.5 and 22.5, rounded up";
  EXPECT_EQ(some.excess_sum, 22u);
}

TEST(ShareOfSessions, OfNobodyIsNothing) {
  EXPECT_EQ(shares_of({}, 0).excess_sum, 0u);
  const Burden idle[] = {{0, 1}, {0, 1}};
  EXPECT_EQ(shares_of(idle, 0).imbalance, 0);
  const Burden few[] = {{2, 1}, {1, 1}};
  EXPECT_EQ(shares_of(few, 3).excess_sum, 0u) << "it cannot be more even";
}

TEST(ShareOfSessions, PermitsAreSpreadInProportion) {
  const std::uint32_t amounts[] = {30, 0, 10, 20};
  EXPECT_EQ(spread_permits(amounts, 6), (std::vector<std::uint32_t>{3, 0, 1, 2}));
  EXPECT_EQ(spread_permits(amounts, 100), (std::vector<std::uint32_t>{30, 0, 10, 20}));
  EXPECT_EQ(spread_permits(amounts, 0), (std::vector<std::uint32_t>{0, 0, 0, 0}));
  for (std::uint64_t permits = 0; permits <= 60; ++permits) {
    const auto parts = spread_permits(amounts, permits);
    EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), std::uint64_t{0}), permits);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_LE(parts[i], amounts[i]);
  }
}

// Sessions that ask once a second, leave when they are told to, and come back some time later.
class Fleet : public testing::Test {
 protected:
  Fleet() { log::set_level(Level::off); }
  ~Fleet() override { log::set_level(Level::info); }

  struct Session {
    ServerUse use;           // nobody's while it is away
    std::uint64_t key = 0;
    Instant gone_at{};       // when its connection has ended
    Instant back_at{};
    int closes = 0;
  };

  void servers(std::size_t count, std::vector<std::uint32_t> weights = {}) {
    settings_.servers.clear();
    for (std::size_t i = 0; i < count; ++i) {
      settings_.servers.push_back(server_settings(static_cast<int>(i) + 1, weights.empty() ? 1 : weights[i]));
    }
    cluster_ = registry_.cluster(settings_);
    cluster_->take_effect();
    registry_.take_effect({cluster_});
    rebalancer_.watch({cluster_});
  }
  void connect(Session& session) {
    const auto order = cluster_->order(session.key, now_);
    ASSERT_FALSE(order.empty());
    session.use = ServerUse(order.front());
  }
  void connect(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      sessions_.emplace_back().key = next_key_++;
      connect(sessions_.back());
    }
  }
  void second() {
    now_ += seconds(1);
    rebalancer_.look(now_);
    for (Session& session : sessions_) {
      if (session.use.get() != nullptr && session.gone_at == Instant{} && told_to_leave(*session.use.get(), session.key)) {
        session.use.leave();
        session.gone_at = now_ + closing_;
        session.back_at = session.gone_at + away_;
        ++session.closes;
        ++closes_;
      }
      if (session.gone_at != Instant{} && now_ >= session.gone_at) {
        session.use = ServerUse();
        session.gone_at = {};
      }
      if (session.use.get() == nullptr && now_ >= session.back_at) connect(session);
    }
  }
  bool told_to_leave(Server& server, std::uint64_t key) {
    if (server.to_shed == 0) return false;
    if (settings_.policy == Policy::consistent_hash && !cluster_->moved(key, server, now_)) return false;
    return server.claim_shed();
  }
  void pass(int count) {
    for (int i = 0; i < count; ++i) second();
  }
  // Of the fullest and the emptiest over or under the mean.
  double skew() const {
    double most = 0;
    double least = 1e9;
    for (const auto& server : cluster_->servers()) {
      most = std::max<double>(most, server->active);
      least = std::min<double>(least, server->active);
    }
    const double mean = static_cast<double>(sessions_.size()) / static_cast<double>(cluster_->servers().size());
    return std::max(most / mean - 1, 1 - least / mean);
  }

  BackendSettings settings_ = [] {
    BackendSettings settings = backend_settings(Policy::round_robin, 2);
    settings.rebalance = {.rate = 50, .threshold = 0.1};
    return settings;
  }();
  Registry registry_;
  std::shared_ptr<const Cluster> cluster_;
  Rebalancer rebalancer_;
  std::list<Session> sessions_;
  std::uint64_t next_key_ = 1;
  Duration closing_{};
  Duration away_{};
  int closes_ = 0;
  Instant now_{std::chrono::hours(5)};
};

TEST_F(Fleet, IsEvenAfterAScaleOutWithNoMoreClosesThanNeeded) {
  for (const Policy policy : {Policy::round_robin, Policy::least_connections, Policy::random_two}) {
    for (const int away : {0, 1, 7, 25}) {
      for (const double rate : {20.0, 100.0, 5000.0}) {
        SCOPED_TRACE(testing::Message() << "policy " << static_cast<int>(policy) << " away " << away << " rate " << rate);
        sessions_.clear();
        closes_ = 0;
        closing_ = seconds(away > 0 ? 1 : 0);
        away_ = seconds(away);
        settings_.policy = policy;
        settings_.rebalance.rate = rate;
        servers(2);
        connect(1000);
        pass(40);
        const int before = closes_;
        servers(4);
        pass(static_cast<int>(500 / rate) + 2 * away + 70);
        EXPECT_LT(skew(), 0.1);
        EXPECT_GE(closes_ - before, 450);
        EXPECT_LE(closes_ - before, 525) << "the minimum is 500";
        for (const Session& session : sessions_) EXPECT_LE(session.closes, 1 + (before > 0));
        for (const auto& server : cluster_->servers()) {
          EXPECT_EQ(server->to_shed, 0u);
          EXPECT_EQ(server->leaving, 0u);
        }
        const int after = closes_;
        pass(100);
        EXPECT_EQ(closes_, after) << "and then it is quiet";
      }
    }
  }
}

TEST_F(Fleet, GivesUpSessionsAtTheRate) {
  settings_.rebalance.rate = 7;
  away_ = seconds(2);
  servers(2);
  connect(400);
  servers(4);
  for (int i = 1; i <= 20; ++i) {
    second();
    EXPECT_LE(closes_, 7 * i);
  }
  EXPECT_GE(closes_, 7 * 18);
}

TEST_F(Fleet, MayGiveUpLessThanOneASecond) {
  settings_.rebalance.rate = 0.25;
  servers(1);
  connect(40);
  servers(2);
  pass(41);
  EXPECT_GE(closes_, 9);
  EXPECT_LE(closes_, 11);
}

TEST_F(Fleet, IsLeftAloneBelowTheThreshold) {
  settings_.policy = Policy::least_connections;
  servers(2);
  connect(200);
  for (int i = 0; i < 16; ++i) {  // 100 and 84
    const auto on_second = std::ranges::find_if(sessions_, [&](auto& s) { return s.use.get() == cluster_->servers()[1].get(); });
    sessions_.erase(on_second);
  }
  pass(60);
  EXPECT_EQ(closes_, 0) << "8.7 % over the share";
  for (int i = 0; i < 14; ++i) {  // 100 and 70
    const auto on_second = std::ranges::find_if(sessions_, [&](auto& s) { return s.use.get() == cluster_->servers()[1].get(); });
    sessions_.erase(on_second);
  }
  pass(60);
  EXPECT_GT(closes_, 0);
  EXPECT_LE(closes_, 16) << "down to the share, and no further";
  EXPECT_LT(skew(), 0.05);
}

TEST_F(Fleet, GoesByWeights) {
  servers(1);
  connect(400);
  servers(2, {1, 3});
  pass(80);
  EXPECT_NEAR(cluster_->servers()[0]->active, 100, 5);
  EXPECT_NEAR(closes_, 300, 15);
}

TEST_F(Fleet, CountsOnlyServersThatMayBeGivenSessions) {
  servers(2);
  connect(200);
  servers(3);
  cluster_->servers()[2]->healthy = false;
  pass(40);
  EXPECT_EQ(closes_, 0) << "nobody could take them";
  cluster_->servers()[2]->healthy = true;
  pass(60);
  EXPECT_NEAR(closes_, 67, 4);
}

TEST_F(Fleet, CountsNoBackupsAndASlowStartAsFarAsItHasCome) {
  servers(3);
  const auto all = cluster_->servers();
  all[2]->backup = true;
  const ServerUse crowd[] = {ServerUse(all[0]), ServerUse(all[0]), ServerUse(all[1]), ServerUse(all[2])};
  EXPECT_DOUBLE_EQ(imbalance_of(*cluster_, now_), 1.0 / 3) << "2 and 1 of 3";
  all[1]->share = Server::kFullShare / 2;
  EXPECT_DOUBLE_EQ(imbalance_of(*cluster_, now_), 0.0) << "a half may have half as many";
}

TEST_F(Fleet, ClosesNobodyForOneServer) {
  servers(1);
  connect(100);
  pass(40);
  EXPECT_EQ(closes_, 0);
}

TEST_F(Fleet, StopsWhenItIsNotAskedForAnyMore) {
  settings_.rebalance.rate = 1;
  servers(1);
  connect(100);
  servers(2);
  pass(5);
  ASSERT_GT(cluster_->servers()[0]->share_limit, 0u);
  rebalancer_.watch({});
  EXPECT_FALSE(rebalancer_.needed());
  EXPECT_EQ(cluster_->servers()[0]->share_limit, 0u);
  EXPECT_EQ(cluster_->servers()[0]->to_shed, 0u);
}

TEST_F(Fleet, OfKeysMovesOnlyThoseWithAnotherServer) {
  settings_.policy = Policy::consistent_hash;
  settings_.rebalance.rate = 100;
  away_ = seconds(2);
  servers(2);
  connect(1000);
  pass(20);
  EXPECT_EQ(closes_, 0) << "everybody is at home";
  std::map<std::uint64_t, const Server*> home;
  for (const Session& session : sessions_) home[session.key] = session.use.get();
  servers(4);
  std::set<std::uint64_t> must;
  for (const Session& session : sessions_) {
    if (cluster_->order(session.key, now_).front().get() != session.use.get()) must.insert(session.key);
  }
  EXPECT_NEAR(static_cast<double>(must.size()), 500, 80);
  pass(40);
  EXPECT_EQ(static_cast<std::size_t>(closes_), must.size());
  for (const Session& session : sessions_) {
    EXPECT_EQ(session.closes, must.contains(session.key) ? 1 : 0);
    EXPECT_EQ(session.use.get(), cluster_->order(session.key, now_).front().get());
  }
  pass(20);
  for (const auto& server : cluster_->servers()) EXPECT_EQ(server->to_shed, 0u) << "nobody is asked any more";
}

TEST_F(Fleet, OfKeysStaysWithAServerThatIsEjected) {
  settings_.policy = Policy::consistent_hash;
  servers(3);
  connect(300);
  pass(3);
  cluster_->servers()[0]->ejected_until = (now_ + seconds(30)).time_since_epoch().count();
  pass(20);
  EXPECT_EQ(closes_, 0);
}

}  // namespace
}  // namespace sluice::upstream
