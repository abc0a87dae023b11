#include "upstream/cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/log.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Clusters : public testing::Test {
 protected:
  Clusters() { log::set_level(Level::off); }
  ~Clusters() override { log::set_level(Level::info); }

  std::shared_ptr<const Cluster> make(std::size_t servers, std::uint32_t retries = 10) {
    BackendSettings settings = backend_settings(Policy::round_robin, servers);
    settings.retries = retries;
    settings.ejection = ejection_;
    return registry_.cluster(settings);
  }
  void fail(const Cluster& cluster, std::size_t server, int times) {
    for (int i = 0; i < times; ++i) cluster.report(*cluster.servers()[server], false, now_);
  }
  std::set<const Server*> named(const Cluster& cluster, std::span<const Server* const> exclude = {}) {
    std::set<const Server*> names;
    for (const auto& server : cluster.order(0, now_, exclude)) names.insert(server.get());
    return names;
  }

  EjectionSettings ejection_;
  Registry registry_;
  Instant now_{std::chrono::hours(5)};
};

TEST_F(Clusters, NameAtMostOneCandidateMoreThanRetries) {
  const auto cluster = make(5, 2);
  EXPECT_EQ(cluster->order(0, now_).size(), 3u);
  EXPECT_EQ(make(2, 2)->order(0, now_).size(), 2u);
  EXPECT_EQ(make(5, 0)->order(0, now_).size(), 1u);
}

TEST_F(Clusters, NeverNameWhatCannotServe) {
  const auto cluster = make(4);
  cluster->servers()[0]->healthy = false;
  cluster->servers()[1]->set_addresses({});
  cluster->servers()[2]->weight = 0;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(named(*cluster), std::set<const Server*>{cluster->servers()[3].get()});
  EXPECT_EQ(cluster->up(now_), 1u);
  cluster->servers()[3]->healthy = false;
  EXPECT_TRUE(cluster->order(0, now_).empty());
  EXPECT_EQ(cluster->up(now_), 0u);
}

TEST_F(Clusters, ShareTheLoadOfAMissingServerEvenly) {
  const auto cluster = make(4);
  cluster->servers()[1]->healthy = false;
  std::map<const Server*, int> count;
  for (int i = 0; i < 3000; ++i) ++count[cluster->order(0, now_).at(0).get()];
  EXPECT_EQ(count.size(), 3u);
  for (const auto& [server, n] : count) EXPECT_EQ(n, 1000);
}

TEST_F(Clusters, LeaveOutTheExcluded) {
  const auto cluster = make(3);
  const Server* tried[] = {cluster->servers()[0].get(), cluster->servers()[2].get()};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(named(*cluster, tried), std::set<const Server*>{cluster->servers()[1].get()});
}

TEST_F(Clusters, EjectAfterThreeFailuresInARow) {
  const auto cluster = make(3);
  fail(*cluster, 1, 2);
  EXPECT_EQ(named(*cluster).size(), 3u);
  fail(*cluster, 1, 1);
  EXPECT_FALSE(named(*cluster).contains(cluster->servers()[1].get()));
  EXPECT_EQ(cluster->up(now_), 2u);
  now_ += seconds(10) - milliseconds(1);
  EXPECT_EQ(named(*cluster).size(), 2u);
  now_ += milliseconds(1);
  EXPECT_EQ(named(*cluster).size(), 3u);
}

TEST_F(Clusters, ForgetFailuresAtASuccess) {
  const auto cluster = make(3);
  for (int i = 0; i < 10; ++i) {
    fail(*cluster, 0, 2);
    cluster->report(*cluster->servers()[0], true, now_);
  }
  EXPECT_EQ(named(*cluster).size(), 3u);
  EXPECT_EQ(cluster->servers()[0]->failures, 20u);
  EXPECT_EQ(cluster->servers()[0]->connects, 10u);
}

TEST_F(Clusters, DoubleTheEjectionUpToTheMost) {
  const auto cluster = make(3);
  for (const int expected : {10, 20, 40, 80, 160, 300, 300}) {
    fail(*cluster, 0, 3);
    EXPECT_EQ(cluster->servers()[0]->ejected_until, (now_ + seconds(expected)).time_since_epoch().count());
    now_ += seconds(expected);
    EXPECT_FALSE(cluster->servers()[0]->ejected(now_));
  }
  cluster->report(*cluster->servers()[0], true, now_);
  fail(*cluster, 0, 3);
  EXPECT_EQ(cluster->servers()[0]->ejected_until, (now_ + seconds(10)).time_since_epoch().count());
}

TEST_F(Clusters, ServeAnEjectionOut) {
  const auto cluster = make(3);
  fail(*cluster, 0, 3);
  const auto until = cluster->servers()[0]->ejected_until.load();
  now_ += seconds(1);
  fail(*cluster, 0, 30);
  cluster->report(*cluster->servers()[0], true, now_);
  EXPECT_EQ(cluster->servers()[0]->ejected_until, until);
  EXPECT_EQ(cluster->servers()[0]->ejections_in_row, 1u);
}

TEST_F(Clusters, NeverEjectMoreThanTheAllowedShare) {
  const auto cluster = make(5);
  for (std::size_t i = 0; i < 5; ++i) fail(*cluster, i, 3);
  EXPECT_EQ(named(*cluster).size(), 3u);
  now_ += seconds(11);
  fail(*cluster, 4, 1);  // its count stood at the limit: the next failure ejects it
  EXPECT_TRUE(cluster->servers()[4]->ejected(now_));
}

TEST_F(Clusters, NeverEjectTheOnlyServer) {
  const auto cluster = make(1);
  fail(*cluster, 0, 50);
  EXPECT_EQ(named(*cluster).size(), 1u);
}

TEST_F(Clusters, NeverEjectWhenSwitchedOff) {
  ejection_.failures = 0;
  const auto cluster = make(4);
  fail(*cluster, 0, 50);
  EXPECT_EQ(named(*cluster).size(), 4u);
}

TEST_F(Clusters, UseTheEjectedAgainInPanic) {
  ejection_.max_percent = 100;
  const auto cluster = make(4);
  fail(*cluster, 0, 3);
  fail(*cluster, 1, 3);
  EXPECT_EQ(named(*cluster).size(), 2u) << "half is not more than half";
  fail(*cluster, 2, 3);
  EXPECT_EQ(named(*cluster).size(), 4u);
  EXPECT_EQ(cluster->up(now_), 4u);
}

TEST_F(Clusters, PanicOverThoseThatTheActiveCheckLeaves) {
  const auto cluster = make(2);
  cluster->servers()[0]->healthy = false;
  fail(*cluster, 1, 3);
  ASSERT_TRUE(cluster->servers()[1]->ejected(now_));
  EXPECT_EQ(named(*cluster), std::set<const Server*>{cluster->servers()[1].get()});
}

TEST_F(Clusters, MayBeAskedFromManyThreads) {
  for (const Policy policy :
       {Policy::round_robin, Policy::least_connections, Policy::random_two, Policy::consistent_hash}) {
    const auto cluster = registry_.cluster(backend_settings(policy, 6));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < 500; ++i) {
          const auto candidates = cluster->order(i, now_ + seconds(i));
          ASSERT_FALSE(candidates.empty());
          const ServerUse use(candidates[0]);
          cluster->report(*candidates[0], (i + static_cast<std::uint64_t>(t)) % 3 == 0, now_ + seconds(i));
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        cluster->servers()[0]->set_addresses(cluster->servers()[1]->addresses());
        cluster->servers()[0]->healthy = i % 2 == 0;
      }
    });
    for (auto& thread : threads) thread.join();
    for (const auto& server : cluster->servers()) EXPECT_EQ(server->active, 0u);
  }
}

TEST_F(Clusters, KeepStateOfServersOverAReload) {
  BackendSettings settings = backend_settings(Policy::round_robin, 3);
  const auto before = registry_.cluster(settings);
  before->servers()[1]->healthy = false;
  settings.servers.erase(settings.servers.begin());
  settings.servers[0].weight = 9;
  settings.servers.push_back(server_settings(77));
  const auto after = registry_.cluster(settings);
  EXPECT_EQ(after->servers()[0], before->servers()[1]);
  EXPECT_FALSE(after->servers()[0]->healthy);
  EXPECT_NE(after->servers()[0]->weight, 9u) << "nothing is in force yet";
  after->take_effect();
  EXPECT_EQ(after->servers()[0]->weight, 9u) << "the new weight counts";
  EXPECT_EQ(after->servers()[1], before->servers()[2]);
  EXPECT_TRUE(after->servers()[2]->healthy);
}

TEST_F(Clusters, KeepServersOfDifferentBackendsApart) {
  BackendSettings settings = backend_settings(Policy::round_robin, 1);
  const auto one = registry_.cluster(settings);
  settings.name = "other";
  EXPECT_NE(registry_.cluster(settings)->servers()[0], one->servers()[0]);
}

TEST_F(Clusters, ForgetServersThatNobodyUses) {
  BackendSettings settings = backend_settings(Policy::round_robin, 1);
  auto cluster = registry_.cluster(settings);
  cluster->servers()[0]->healthy = false;
  cluster.reset();
  EXPECT_TRUE(registry_.cluster(settings)->servers()[0]->healthy);
}

TEST(Servers, KnowTheAddressOfALiteralAtOnce) {
  ServerSettings settings = server_settings(1);
  EXPECT_EQ(Server(settings).addresses().at(0).text(), "10.0.0.1:80");
  settings.host = "::1";
  EXPECT_EQ(Server(settings).addresses().at(0).text(), "[::1]:80");
  settings.host = "chat.example";
  EXPECT_FALSE(Server(settings).resolved());
}

TEST(ServerUse, CountsWhileItLives) {
  const auto server = std::make_shared<Server>(server_settings(1));
  const auto other = std::make_shared<Server>(server_settings(2));
  {
    ServerUse use(server);
    EXPECT_EQ(server->active, 1u);
    ServerUse moved(std::move(use));
    EXPECT_EQ(server->active, 1u);
    EXPECT_EQ(use.get(), nullptr);
    moved = ServerUse(other);
    EXPECT_EQ(server->active, 0u);
    EXPECT_EQ(other->active, 1u);
    ServerUse& itself = moved;
    moved = std::move(itself);
    EXPECT_EQ(other->active, 1u) << "an assignment to itself keeps the count";
  }
  EXPECT_EQ(other->active, 0u);
}

}  // namespace
}  // namespace sluice::upstream
