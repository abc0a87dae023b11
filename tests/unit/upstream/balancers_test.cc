#include "upstream/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

constexpr Policy kPolicies[] = {Policy::round_robin, Policy::least_connections, Policy::random_two,
                                Policy::consistent_hash};

std::vector<std::uint32_t> order_of(Balancer& balancer, const std::vector<std::shared_ptr<Server>>& servers,
                                    std::uint64_t key = 0) {
  std::vector<std::uint32_t> out;
  balancer.order(servers, key, out);
  return out;
}

std::vector<int> firsts(Balancer& balancer, const std::vector<std::shared_ptr<Server>>& servers, int rounds) {
  std::vector<int> count(servers.size());
  for (int i = 0; i < rounds; ++i) ++count[order_of(balancer, servers, static_cast<std::uint64_t>(i)).at(0)];
  return count;
}

TEST(Balancers, NameEachServerExactlyOnce) {
  for (const Policy policy : kPolicies) {
    const auto balancer = make_balancer(policy);
    for (const std::size_t size : {0, 1, 2, 3, 7, 50}) {
      const auto servers = make_servers(std::vector<std::uint32_t>(size, 3));
      for (int round = 0; round < 50; ++round) {
        auto order = order_of(*balancer, servers, static_cast<std::uint64_t>(round));
        std::sort(order.begin(), order.end());
        std::vector<std::uint32_t> all(size);
        std::iota(all.begin(), all.end(), 0u);
        ASSERT_EQ(order, all) << static_cast<int>(policy);
      }
    }
  }
}

TEST(Balancers, SurviveAWeightOfZero) {
  for (const Policy policy : kPolicies) {
    const auto balancer = make_balancer(policy);
    const auto servers = make_servers({0, 0});
    EXPECT_EQ(order_of(*balancer, servers, 1).size(), 2u);
  }
}

TEST(RoundRobin, RotatesOverEqualServers) {
  const auto balancer = make_balancer(Policy::round_robin);
  const auto servers = make_servers({4, 4, 4, 4, 4});
  std::vector<std::uint32_t> cycle;
  for (int i = 0; i < 5; ++i) cycle.push_back(order_of(*balancer, servers)[0]);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order_of(*balancer, servers)[0], cycle[static_cast<std::size_t>(i) % 5]);
  std::sort(cycle.begin(), cycle.end());
  EXPECT_EQ(cycle, (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
}

TEST(RoundRobin, KeepsTheSharesOfTheWeightsExactly) {
  const auto balancer = make_balancer(Policy::round_robin);
  EXPECT_EQ(firsts(*balancer, make_servers({5, 1, 1}), 700), (std::vector<int>{500, 100, 100}));
  EXPECT_EQ(firsts(*balancer, make_servers({30, 20, 10}), 600), (std::vector<int>{300, 200, 100}));
}

TEST(RoundRobin, IsSmooth) {
  // 10 : 3: the light server comes again after no less than 2 and no more than 6 turns of the heavy one.
  const auto balancer = make_balancer(Policy::round_robin);
  const auto servers = make_servers({10, 3});
  int since = -1;
  for (int i = 0; i < 260; ++i) {
    if (order_of(*balancer, servers)[0] == 0) {
      if (since >= 0) ++since;
      continue;
    }
    if (since >= 0) {
      EXPECT_GE(since, 2);
      EXPECT_LE(since, 6);
    }
    since = 0;
  }
}

TEST(RoundRobin, SpreadsTheSecondChoice) {
  const auto balancer = make_balancer(Policy::round_robin);
  const auto servers = make_servers({1, 1, 1});
  std::map<std::uint32_t, int> second;
  for (int i = 0; i < 3000; ++i) {
    const auto order = order_of(*balancer, servers);
    if (order[0] == 0) ++second[order[1]];
  }
  EXPECT_GT(second[1], 200);
  EXPECT_GT(second[2], 200);
}

TEST(RoundRobin, KeepsExactSharesWhenManyThreadsAsk) {
  const auto balancer = make_balancer(Policy::round_robin);
  const auto servers = make_servers({2, 1, 1});
  std::array<std::atomic<int>, 3> count{};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) ++count[order_of(*balancer, servers)[0]];
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count[0], 2000);
  EXPECT_EQ(count[1], 1000);
  EXPECT_EQ(count[2], 1000);
}

TEST(LeastConnections, TakesTheServerWithTheFewest) {
  const auto balancer = make_balancer(Policy::least_connections);
  const auto servers = make_servers({1, 1, 1});
  servers[0]->active = 7;
  servers[1]->active = 2;
  servers[2]->active = 5;
  EXPECT_EQ(order_of(*balancer, servers), (std::vector<std::uint32_t>{1, 2, 0}));
}

TEST(LeastConnections, DividesByTheWeight) {
  const auto balancer = make_balancer(Policy::least_connections);
  const auto servers = make_servers({4, 1});
  std::vector<ServerUse> uses;
  for (int i = 0; i < 100; ++i) uses.emplace_back(servers[order_of(*balancer, servers)[0]]);
  EXPECT_NEAR(servers[0]->active.load(), 80, 1);
  EXPECT_NEAR(servers[1]->active.load(), 20, 1);
}

TEST(LeastConnections, BreaksTiesByChance) {
  const auto balancer = make_balancer(Policy::least_connections);
  // 3000 draws of 1/3: 6 standard deviations are 155.
  for (const int count : firsts(*balancer, make_servers({1, 1, 1}), 3000)) EXPECT_NEAR(count, 1000, 155);
}

TEST(RandomTwo, DrawsByWeightWhileIdle) {
  const auto balancer = make_balancer(Policy::random_two);
  const auto count = firsts(*balancer, make_servers({1, 1, 1, 1}), 4000);
  for (const int n : count) EXPECT_NEAR(n, 1000, 170);
}

TEST(RandomTwo, NeverPrefersTheMostLoaded) {
  const auto balancer = make_balancer(Policy::random_two);
  const auto servers = make_servers({1, 1, 1});
  servers[1]->active = 100;
  for (int i = 0; i < 500; ++i) EXPECT_NE(order_of(*balancer, servers)[0], 1u);
}

TEST(RandomTwo, EvensTheLoadOut) {
  const auto balancer = make_balancer(Policy::random_two);
  const auto servers = make_servers({1, 1, 1, 1, 1});
  std::vector<ServerUse> uses;
  for (int i = 0; i < 5000; ++i) uses.emplace_back(servers[order_of(*balancer, servers)[0]]);
  for (const auto& server : servers) EXPECT_NEAR(server->active.load(), 1000, 30);
}

TEST(ConsistentHash, AnswersTheSameForTheSameKey) {
  const auto one = make_balancer(Policy::consistent_hash);
  const auto other = make_balancer(Policy::consistent_hash);
  const auto servers = make_servers({1, 2, 3});
  for (std::uint64_t key = 0; key < 200; ++key) {
    EXPECT_EQ(order_of(*one, servers, key), order_of(*other, servers, key));
  }
}

TEST(ConsistentHash, GivesSharesByWeight) {
  const auto balancer = make_balancer(Policy::consistent_hash);
  const auto count = firsts(*balancer, make_servers({1, 2, 1}), 20000);
  EXPECT_NEAR(count[0], 5000, 400);
  EXPECT_NEAR(count[1], 10000, 450);
  EXPECT_NEAR(count[2], 5000, 400);
}

TEST(ConsistentHash, MovesOnlyTheKeysOfTheServerThatLeaves) {
  const auto balancer = make_balancer(Policy::consistent_hash);
  const auto servers = make_servers({1, 3, 1, 2, 1});
  auto fewer = servers;
  fewer.erase(fewer.begin() + 1);
  int moved = 0;
  for (std::uint64_t key = 0; key < 5000; ++key) {
    const auto before = order_of(*balancer, servers, key);
    const Server* after = fewer[order_of(*balancer, fewer, key)[0]].get();
    if (servers[before[0]].get() == servers[1].get()) {
      ++moved;
      EXPECT_EQ(after, servers[before[1]].get()) << "moves to its second choice";
    } else {
      EXPECT_EQ(after, servers[before[0]].get());
    }
  }
  EXPECT_GT(moved, 1000);
}

TEST(ConsistentHash, MovesOnlyWhatANewWeightWins) {
  const auto balancer = make_balancer(Policy::consistent_hash);
  const auto servers = make_servers({1, 1, 1, 1});
  std::vector<std::uint32_t> before;
  for (std::uint64_t key = 0; key < 2000; ++key) before.push_back(order_of(*balancer, servers, key)[0]);
  servers[2]->weight = 2;
  int won = 0;
  for (std::uint64_t key = 0; key < 2000; ++key) {
    const std::uint32_t after = order_of(*balancer, servers, key)[0];
    if (after == before[key]) continue;
    EXPECT_EQ(after, 2u);
    ++won;
  }
  EXPECT_GT(won, 100);
}

// What moves when the set of servers changes by any number of them, and by their weights: a key whose server is still there
// moves only to a server that is new or has grown.
TEST(ConsistentHash, AKeyMovesOnlyWhenItsServerLeftOrAnotherWonIt) {
  const auto balancer = make_balancer(Policy::consistent_hash);
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 60; ++round) {
    const std::size_t most = 2 + random() % 12;
    std::vector<std::uint32_t> weights(most);
    for (auto& weight : weights) weight = static_cast<std::uint32_t>(1 + random() % 5);
    const auto all = make_servers(weights);
    std::vector<std::shared_ptr<Server>> before;
    std::vector<std::shared_ptr<Server>> after;
    for (const auto& server : all) {
      if (random() % 4 != 0) before.push_back(server);
      if (random() % 4 != 0) after.push_back(server);
    }
    if (before.empty() || after.empty()) continue;
    std::vector<const Server*> homes;
    for (std::uint64_t key = 0; key < 500; ++key) homes.push_back(before[order_of(*balancer, before, key)[0]].get());
    Server* const grown = after[random() % after.size()].get();
    if (round % 2 == 0) grown->weight += 3;
    for (std::uint64_t key = 0; key < 500; ++key) {
      const Server* const home = after[order_of(*balancer, after, key)[0]].get();
      const auto in = [](const auto& servers, const Server* one) {
        return std::ranges::any_of(servers, [&](const auto& other) { return other.get() == one; });
      };
      if (home == homes[key]) continue;
      const bool left = !in(after, homes[key]);
      const bool won = !in(before, home) || (round % 2 == 0 && home == grown);
      ASSERT_TRUE(left || won) << "round " << round << " key " << key;
    }
  }
}

TEST(ConsistentHash, AGrownSetTakesItsShareAndNoMore) {
  const auto balancer = make_balancer(Policy::consistent_hash);
  const auto four = make_servers({1, 1, 1, 1});
  const std::vector<std::shared_ptr<Server>> two(four.begin(), four.begin() + 2);
  int moved = 0;
  for (std::uint64_t key = 0; key < 20000; ++key) {
    const Server* const before = two[order_of(*balancer, two, key)[0]].get();
    moved += four[order_of(*balancer, four, key)[0]].get() != before;
  }
  EXPECT_NEAR(moved, 10000, 450);  // half, within 6 standard deviations
}

// Connections that come and stay: keys that repeat as a busy room's do (a tenth of them takes half of the arrivals).
std::vector<ServerUse> arrivals(Balancer& balancer, const std::vector<std::shared_ptr<Server>>& servers, int count) {
  std::mt19937_64 random(7);
  std::vector<ServerUse> uses;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = random() % 2 ? random() % 10 : random() % 100;
    uses.emplace_back(servers[order_of(balancer, servers, key)[0]]);
  }
  return uses;
}

TEST(BoundedLoad, NoServerPassesItsBound) {
  for (const std::uint32_t percent : {100u, 110u, 125u, 200u}) {
    const auto balancer = make_balancer(Policy::consistent_hash, percent);
    const auto servers = make_servers({1, 2, 1, 4});
    std::vector<ServerUse> uses;
    std::mt19937_64 random(11);
    for (std::uint64_t all = 1; all <= 2000; ++all) {
      const auto& taken = servers[order_of(*balancer, servers, random() % 5)[0]];  // five hot keys only
      uses.emplace_back(taken);
      const double bound = std::ceil(static_cast<double>(all * percent * taken->weight.load()) / (100.0 * 8));
      ASSERT_LE(taken->active.load(), bound) << percent << " % at " << all;
    }
  }
}

TEST(BoundedLoad, EvensOutWhatHotKeysWouldSkew) {
  const auto servers = make_servers({1, 1, 1, 1});
  const auto unbounded = arrivals(*make_balancer(Policy::consistent_hash), servers, 4000);
  std::uint32_t most = 0;
  for (const auto& server : servers) most = std::max(most, server->active.load());
  EXPECT_GT(most, 1250u) << "the keys are skewed, or the test shows nothing";
  const auto others = make_servers({1, 1, 1, 1});
  const auto bounded = arrivals(*make_balancer(Policy::consistent_hash, 125), others, 4000);
  for (const auto& server : others) EXPECT_LE(server->active.load(), 1251u);
}

TEST(BoundedLoad, AFullServerIsPassedOverForTheNextOfTheKeysOwnOrder) {
  const auto plain = make_balancer(Policy::consistent_hash);
  const auto bounded = make_balancer(Policy::consistent_hash, 125);
  const auto servers = make_servers({1, 1, 1, 1, 1});
  for (const auto& server : servers) server->active = 10;
  for (std::uint64_t key = 0; key < 300; ++key) {
    auto order = order_of(*plain, servers, key);
    EXPECT_EQ(order_of(*bounded, servers, key), order) << "nobody is full";
    // The key's first and third are full: they come last, in the same order.
    servers[order[0]]->active = 30;
    servers[order[2]]->active = 25;
    const std::vector<std::uint32_t> wanted{order[1], order[3], order[4], order[0], order[2]};
    EXPECT_EQ(order_of(*bounded, servers, key), wanted);
    servers[order[0]]->active = 10;
    servers[order[2]]->active = 10;
    EXPECT_EQ(order_of(*bounded, servers, key), order) << "home again as soon as there is room";
  }
}

TEST(BoundedLoad, TheFirstConnectionFindsItsHome) {
  const auto plain = make_balancer(Policy::consistent_hash);
  const auto bounded = make_balancer(Policy::consistent_hash, 100);
  const auto servers = make_servers({1, 5, 1});
  for (std::uint64_t key = 0; key < 100; ++key) EXPECT_EQ(order_of(*bounded, servers, key), order_of(*plain, servers, key));
}

// How far each policy is from the shares of the weights, for connections that stay and ones that end.
TEST(Distribution, EachPolicyKeepsItsBound) {
  struct Case {
    Policy policy;
    double skew;  // of a server's share, as a part of it
  };
  // round_robin is exact; least_connections within one connection; two choices within some; a hash by the law of large
  // numbers (100,000 keys: 6 standard deviations of the smallest share are 4.8 %).
  for (const auto& [policy, skew] : {Case{Policy::round_robin, 0}, Case{Policy::least_connections, 0.0005},
                                     Case{Policy::random_two, 0.01}, Case{Policy::consistent_hash, 0.05}}) {
    const auto balancer = make_balancer(policy);
    const std::vector<std::uint32_t> weights{1, 2, 3, 4};
    const auto servers = make_servers(weights);
    std::vector<ServerUse> uses;
    for (std::uint64_t i = 0; i < 100'000; ++i) uses.emplace_back(servers[order_of(*balancer, servers, i)[0]]);
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const double share = 10'000.0 * weights[i];
      EXPECT_NEAR(servers[i]->active.load(), share, skew * share) << static_cast<int>(policy) << " server " << i;
    }
  }
}

TEST(Distribution, LiveCountsStayEvenWhileConnectionsComeAndGo) {
  for (const Policy policy : {Policy::least_connections, Policy::random_two}) {
    const auto balancer = make_balancer(policy);
    const auto servers = make_servers({1, 1, 1, 1});
    std::mt19937_64 random(3);
    std::vector<ServerUse> uses;
    for (int i = 0; i < 50'000; ++i) {
      if (uses.size() > 4000) {  // somebody leaves; who came early is as likely to go as who came late
        std::swap(uses[random() % uses.size()], uses.back());
        uses.pop_back();
      }
      uses.emplace_back(servers[order_of(*balancer, servers)[0]]);
    }
    for (const auto& server : servers) {
      EXPECT_NEAR(server->active.load(), 1000, policy == Policy::least_connections ? 2 : 40) << static_cast<int>(policy);
    }
  }
}

}  // namespace
}  // namespace sluice::upstream
