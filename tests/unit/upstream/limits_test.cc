// Backups, slow start, panic and limits: who is named, and what is said when nobody is.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

using namespace std::chrono_literals;

class Limits : public testing::Test {
 protected:
  Limits() { log::set_level(Level::off); }
  ~Limits() override { log::set_level(Level::info); }

  std::shared_ptr<const Cluster> make(std::size_t servers, std::size_t backups = 0, Policy policy = Policy::round_robin) {
    BackendSettings settings = backend_settings(policy, servers + backups);
    settings.retries = 10;
    for (std::size_t i = servers; i < servers + backups; ++i) settings.servers[i].backup = true;
    change_(settings);
    return registry_.cluster(settings);
  }
  std::set<std::size_t> named(const Cluster& cluster) {
    std::set<std::size_t> indexes;
    for (const auto& server : cluster.order(0, now_)) indexes.insert(index(cluster, *server));
    return indexes;
  }
  static std::size_t index(const Cluster& cluster, const Server& server) {
    for (std::size_t i = 0; i < cluster.servers().size(); ++i) {
      if (cluster.servers()[i].get() == &server) return i;
    }
    return 99;
  }
  void eject(const Cluster& cluster, std::size_t server) {
    for (int i = 0; i < 3; ++i) cluster.report(*cluster.servers()[server], false, now_);
    ASSERT_TRUE(cluster.servers()[server]->ejected(now_));
  }

  std::function<void(BackendSettings&)> change_ = [](BackendSettings&) {};
  Registry registry_;
  Instant now_{std::chrono::hours(5)};
};

using Indexes = std::set<std::size_t>;

// ---- backups ----------------------------------------------------------------------------------------------------------

TEST_F(Limits, ABackupIsNamedOnlyWhileNoPrimaryIsUsable) {
  const auto cluster = make(2, 2);
  EXPECT_EQ(named(*cluster), (Indexes{0, 1}));
  EXPECT_EQ(cluster->up(now_), 2u);
  cluster->servers()[0]->healthy = false;
  EXPECT_EQ(named(*cluster), Indexes{1});
  cluster->servers()[1]->command_duty(Duty::drain);
  EXPECT_EQ(named(*cluster), (Indexes{2, 3}));
  cluster->servers()[2]->healthy = false;
  EXPECT_EQ(named(*cluster), Indexes{3});
  cluster->servers()[0]->healthy = true;
  EXPECT_EQ(named(*cluster), Indexes{0});
}

TEST_F(Limits, ABackupThatIsFitGoesBeforeAPrimaryThatIsEjected) {
  change_ = [](BackendSettings& settings) { settings.ejection.max_percent = 100; };
  const auto cluster = make(2, 1);
  eject(*cluster, 0);
  EXPECT_EQ(named(*cluster), Indexes{1});
  eject(*cluster, 1);
  EXPECT_EQ(named(*cluster), Indexes{2});
  cluster->servers()[2]->healthy = false;
  EXPECT_EQ(named(*cluster), (Indexes{0, 1})) << "panic, for want of anybody else";
}

TEST_F(Limits, AFullPrimaryDoesNotCallForABackup) {
  change_ = [](BackendSettings& settings) { settings.servers[0].max_connections = 1; };
  const auto cluster = make(1, 1);
  const ServerUse use = cluster->take(cluster->servers()[0]);
  ASSERT_TRUE(use);
  EXPECT_EQ(named(*cluster), Indexes{});
  EXPECT_EQ(cluster->refusal(now_).code, Errc::server_limit);
}

// ---- panic ------------------------------------------------------------------------------------------------------------

TEST_F(Limits, PanicBeginsWhereItIsConfigured) {
  for (const auto& [panic, named_after] : std::map<std::uint32_t, std::size_t>{{70, 1u}, {60, 4u}, {0, 1u}}) {
    change_ = [panic](BackendSettings& settings) {
      settings.name = "p" + std::to_string(panic);
      settings.ejection.max_percent = 100;
      settings.ejection.panic = panic;
    };
    const auto cluster = make(4);
    eject(*cluster, 0);
    eject(*cluster, 1);
    EXPECT_EQ(named(*cluster).size(), 2u) << panic;
    cluster->servers()[3]->healthy = false;  // two of three are ejected: 67 %
    EXPECT_EQ(named(*cluster).size(), panic == 60 ? 3u : 1u) << panic;
  }
}

TEST_F(Limits, WithoutPanicNobodyIsLeftWhenAllAreEjected) {
  change_ = [](BackendSettings& settings) {
    settings.ejection.max_percent = 100;
    settings.ejection.panic = 0;
  };
  const auto cluster = make(2);
  eject(*cluster, 0);
  eject(*cluster, 1);
  EXPECT_EQ(named(*cluster), Indexes{});
  EXPECT_EQ(cluster->refusal(now_).code, Errc::no_backend);
}

// ---- slow start -------------------------------------------------------------------------------------------------------

class SlowStart : public Limits {
 protected:
  SlowStart() {
    change_ = [](BackendSettings& settings) { settings.slow_start = 10s; };
  }
  // Of 2000 choices, how many go to the first server.
  double share(const Cluster& cluster, int times = 2000) {
    int first = 0;
    for (int i = 0; i < times; ++i) {
      first += cluster.order(hash(i), now_).at(0) == cluster.servers()[0];
    }
    return static_cast<double>(first) / times;
  }
  static std::uint64_t hash(int i) { return static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15u; }
  void restart(const Cluster& cluster) {
    cluster.servers()[0]->set_healthy(false);
    cluster.order(0, now_);
    cluster.servers()[0]->set_healthy(true);
    cluster.order(0, now_);
  }
};

TEST_F(SlowStart, AtTheStartOfTheProcessNobodyIsCold) {
  EXPECT_NEAR(share(*make(2)), 0.5, 0.02);
}

TEST_F(SlowStart, TheShareRisesForEveryPolicy) {
  for (const Policy policy : {Policy::round_robin, Policy::random_two, Policy::consistent_hash}) {
    const auto cluster = make(2, 0, policy);
    restart(*cluster);
    // The weight is a tenth at first: 0.1 / 1.1 of two. Of two that are idle, random_two takes the heavier one.
    const double at_first = share(*cluster);
    EXPECT_LT(at_first, 0.13) << static_cast<int>(policy);
    now_ += 5s;
    const double halfway = share(*cluster);
    if (policy != Policy::random_two) EXPECT_NEAR(halfway, 1.0 / 3, 0.05) << static_cast<int>(policy);
    EXPECT_GE(halfway, at_first);
    now_ += 5s;
    EXPECT_NEAR(share(*cluster), 0.5, 0.05) << static_cast<int>(policy);
    EXPECT_EQ(cluster->servers()[0]->share.load(), Server::kFullShare);
  }
}

TEST_F(SlowStart, LeastConnectionsFillsItByItsShare) {
  const auto cluster = make(2, 0, Policy::least_connections);
  restart(*cluster);
  std::vector<ServerUse> uses;
  for (int i = 0; i < 110; ++i) uses.emplace_back(cluster->order(0, now_).at(0));
  EXPECT_NEAR(cluster->servers()[0]->active.load(), 10, 1);
  now_ += 10s;
  for (int i = 0; i < 90; ++i) uses.emplace_back(cluster->order(0, now_).at(0));
  EXPECT_NEAR(cluster->servers()[0]->active.load(), 100, 1) << "once warm it catches up";
}

TEST_F(SlowStart, ConsistentHashMovesNoKeyTwice) {
  const auto cluster = make(3, 0, Policy::consistent_hash);
  std::vector<const Server*> home;
  for (int i = 0; i < 500; ++i) home.push_back(cluster->order(hash(i), now_).at(0).get());
  restart(*cluster);
  std::vector<bool> back(500);
  for (int step = 0; step <= 10; ++step, now_ += 1s) {
    for (int i = 0; i < 500; ++i) {
      const Server* at = cluster->order(hash(i), now_).at(0).get();
      const bool at_home = at == home[static_cast<std::size_t>(i)];
      if (back[static_cast<std::size_t>(i)]) EXPECT_TRUE(at_home) << "a key that came home stays";
      back[static_cast<std::size_t>(i)] = at_home;
    }
  }
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(back[static_cast<std::size_t>(i)]);
}

TEST_F(SlowStart, BeginsAfterAnEjectionADrainAndForANewServer) {
  const auto cluster = make(3);
  eject(*cluster, 0);
  cluster->servers()[1]->command_duty(Duty::drain);
  cluster->order(0, now_);
  cluster->servers()[1]->command_duty(std::nullopt);
  cluster->order(0, now_);
  EXPECT_EQ(cluster->servers()[1]->share.load(), Server::kLeastShare);
  now_ += 11s;
  cluster->order(0, now_);
  EXPECT_EQ(cluster->servers()[0]->share.load(), Server::kLeastShare) << "its ejection is over";
  EXPECT_EQ(cluster->servers()[1]->share.load(), Server::kFullShare);
  registry_.take_effect({cluster});
  const auto larger = make(4);
  larger->order(0, now_);
  EXPECT_EQ(larger->servers()[3]->share.load(), Server::kLeastShare) << "named at runtime";
  EXPECT_EQ(larger->servers()[2]->share.load(), Server::kFullShare);
}

TEST_F(SlowStart, IsOverWhenAReloadSwitchesItOff) {
  const auto cluster = make(2);
  restart(*cluster);
  ASSERT_EQ(cluster->servers()[0]->share.load(), Server::kLeastShare);
  change_ = [](BackendSettings&) {};
  make(2)->take_effect();
  EXPECT_EQ(cluster->servers()[0]->share.load(), Server::kFullShare);
}

// ---- limits -----------------------------------------------------------------------------------------------------------

TEST_F(Limits, AFullServerIsNotNamed) {
  change_ = [](BackendSettings& settings) { settings.servers[0].max_connections = 2; };
  const auto cluster = make(2);
  ServerUse first = cluster->take(cluster->servers()[0]);
  EXPECT_EQ(named(*cluster), (Indexes{0, 1}));
  const ServerUse second = cluster->take(cluster->servers()[0]);
  EXPECT_TRUE(second);
  EXPECT_FALSE(cluster->take(cluster->servers()[0]));
  EXPECT_EQ(named(*cluster), Indexes{1});
  EXPECT_EQ(cluster->order(0, now_, {}, nullptr, Room::any).size(), 2u);
  EXPECT_EQ(cluster->load()->active.load(), 2u) << "a place that was refused is not counted";
  cluster->servers()[1]->healthy = false;
  EXPECT_EQ(cluster->refusal(now_).code, Errc::server_limit);
  first = ServerUse();
  EXPECT_EQ(named(*cluster), Indexes{0});
}

TEST_F(Limits, TheBackendsLimitCountsAllOfItsServersAndOutlivesAReload) {
  change_ = [](BackendSettings& settings) { settings.max_connections = 3; };
  const auto cluster = make(2);
  std::vector<ServerUse> uses;
  for (std::size_t i = 0; i < 3; ++i) uses.push_back(cluster->take(cluster->servers()[i % 2]));
  for (const ServerUse& use : uses) EXPECT_TRUE(use);
  EXPECT_FALSE(cluster->take(cluster->servers()[0]));
  EXPECT_EQ(cluster->refusal(now_).code, Errc::backend_limit);
  EXPECT_FALSE(make(4)->take(make(4)->servers()[3]));
  uses.pop_back();
  EXPECT_TRUE(cluster->take(cluster->servers()[1]));
}

TEST_F(Limits, NeverAdmitOneTooManyFromManyThreads) {
  change_ = [](BackendSettings& settings) {
    settings.max_connections = 25;
    for (auto& server : settings.servers) server.max_connections = 10;
  };
  const auto cluster = make(3);
  std::atomic<std::uint32_t> most{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::vector<ServerUse> uses;
      for (std::size_t i = 0; i < 3000; ++i) {
        ServerUse use = cluster->take(cluster->servers()[i % 3]);
        if (use) {
          EXPECT_LE(use.get()->active.load(), 10u);
          std::uint32_t seen = cluster->load()->active.load();
          std::uint32_t before = most.load();
          while (seen > before && !most.compare_exchange_weak(before, seen)) {
          }
          uses.push_back(std::move(use));
        } else {
          ++refused;
          uses.clear();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(most.load(), 25u);
  EXPECT_GT(refused.load(), 0);
  EXPECT_EQ(cluster->load()->active.load(), 0u);
  for (const auto& server : cluster->servers()) EXPECT_EQ(server->active.load(), 0u);
}

TEST_F(Limits, TheBreakerIsNamedWhileItIsOpen) {
  change_ = [](BackendSettings& settings) {
    settings.breaker.enabled = true;
    settings.breaker.failures = 4;
    settings.ejection.failures = 0;
  };
  const auto cluster = make(2);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(cluster->allow(now_));
    cluster->attempted(*cluster->servers()[i % 2], false, now_);
  }
  EXPECT_FALSE(cluster->allow(now_));
  EXPECT_EQ(cluster->refusal(now_).code, Errc::circuit_open);
  EXPECT_EQ(cluster->servers()[0]->failures.load(), 2u);
  cluster->report(*cluster->servers()[0], false, now_ + 10s);
  EXPECT_TRUE(cluster->allow(now_ + 10s)) << "the loss of a connection that stood is no attempt";
}

}  // namespace
}  // namespace sluice::upstream
