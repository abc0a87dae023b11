// The four policies. None of them locks: round_robin shares one counter, the others read the servers' live counts or
// nothing at all. Scratch space belongs to the thread, so that an order allocates nothing once it is warm.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"
#include "upstream/balancer.h"

namespace sluice::upstream {

namespace {

using Servers = std::span<const std::shared_ptr<Server>>;

std::uint64_t total_weight(Servers servers) {
  std::uint64_t total = 0;
  for (const auto& server : servers) total += server->weighs();
  return total;
}

// The server on which the point falls when each takes as many points as its weight.
std::uint32_t server_at(Servers servers, std::uint64_t point, std::uint64_t unit) {
  for (std::uint32_t i = 0; i + 1 < servers.size(); ++i) {
    const std::uint64_t share = servers[i]->weighs() / unit;
    if (point < share) return i;
    point -= share;
  }
  return static_cast<std::uint32_t>(servers.size() - 1);
}

// Everyone who is not yet in `out`, from a random one onwards.
void append_rest(Servers servers, std::vector<std::uint32_t>& out) {
  const std::size_t count = servers.size();
  const std::size_t chosen = out.size();
  if (chosen == count) return;
  const std::size_t start = random_below(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint32_t>((start + i) % count);
    if (std::find(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(chosen), index) ==
        out.begin() + static_cast<std::ptrdiff_t>(chosen)) {
      out.push_back(index);
    }
  }
}

// Weighted round robin without a lock. With W the sum of the weights (divided by their greatest common divisor), the
// ticket n falls on the point n·step mod W. A step coprime to W visits each point once in W tickets, which makes the
// shares exact; a step near W/golden ratio spreads each server's points evenly over them, which makes it smooth. With
// equal weights it is the plain rotation.
class RoundRobin final : public Balancer {
 public:
  void order(Servers servers, std::uint64_t, std::vector<std::uint32_t>& out) override {
    out.clear();
    if (servers.empty()) return;
    std::uint64_t unit = 0;
    std::uint64_t total = 0;
    for (const auto& server : servers) {
      unit = std::gcd(unit, server->weighs());
      total += server->weighs();
    }
    total /= unit;
    const std::uint64_t ticket = next_.fetch_add(1, std::memory_order_relaxed);
    const auto point = static_cast<unsigned __int128>(ticket % total) * step_of(total) % total;
    out.push_back(server_at(servers, static_cast<std::uint64_t>(point), unit));
    append_rest(servers, out);
  }

 private:
  static std::uint64_t step_of(std::uint64_t total) {
    thread_local std::uint64_t known_total = 1;
    thread_local std::uint64_t known_step = 1;
    if (known_total != total) {
      std::uint64_t step = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(total) * 0.618034));
      while (std::gcd(step, total) != 1) --step;  // ends at 1
      known_total = total;
      known_step = step;
    }
    return known_step;
  }

  std::atomic<std::uint64_t> next_{0};
};

struct Score {
  double load;
  std::uint64_t tie;
  std::uint32_t index;
};

// By what the load would be with this connection added, so that of idle servers the heavier one comes first.
double load_of(const Server& server) {
  return static_cast<double>(server.active.load(std::memory_order_relaxed) + 1ULL) /
         static_cast<double>(server.weighs());
}

class LeastConnections final : public Balancer {
 public:
  void order(Servers servers, std::uint64_t, std::vector<std::uint32_t>& out) override {
    thread_local std::vector<Score> scores;
    scores.clear();
    for (std::uint32_t i = 0; i < servers.size(); ++i) scores.push_back({load_of(*servers[i]), random_u64(), i});
    std::sort(scores.begin(), scores.end(), [](const Score& a, const Score& b) {
      return a.load != b.load ? a.load < b.load : a.tie < b.tie;
    });
    out.clear();
    for (const Score& score : scores) out.push_back(score.index);
  }
};

// Two different servers drawn by weight, the less loaded one first. Nearly as even as least_connections, without every
// worker running to the same idle server at once.
class RandomTwo final : public Balancer {
 public:
  void order(Servers servers, std::uint64_t, std::vector<std::uint32_t>& out) override {
    out.clear();
    if (servers.empty()) return;
    const std::uint64_t total = total_weight(servers);
    const std::uint32_t first = server_at(servers, random_below(total), 1);
    out.push_back(first);
    if (servers.size() == 1) return;
    const std::uint64_t weight = servers[first]->weighs();
    out.push_back(draw_without(servers, first, random_below(std::max<std::uint64_t>(1, total - std::min(total, weight)))));
    if (load_of(*servers[out[1]]) < load_of(*servers[out[0]])) std::swap(out[0], out[1]);
    append_rest(servers, out);
  }

 private:
  static std::uint32_t draw_without(Servers servers, std::uint32_t without, std::uint64_t point) {
    std::uint32_t last = without;
    for (std::uint32_t i = 0; i < servers.size(); ++i) {
      if (i == without) continue;
      const std::uint64_t share = servers[i]->weighs();
      if (point < share) return i;
      point -= share;
      last = i;
    }
    return last;  // weights may change between two looks at them
  }
};

// Weighted rendezvous: each server scores -weight/ln(h) with h in (0, 1) from the key and the server's URL. A key's
// server changes only when that server leaves or when a new one wins it, and each gateway comes to the same order.
// With a bound on load (Mirrokni, Thorup, Zadimoghaddam 2016: "consistent hashing with bounded loads") servers that are full
// come last, and both groups keep the key's order: a key goes home as soon as there is room.
class ConsistentHash final : public Balancer {
 public:
  explicit ConsistentHash(std::uint32_t max_load) : max_load_(max_load) {}

  void order(Servers servers, std::uint64_t key, std::vector<std::uint32_t>& out) override {
    thread_local std::vector<Score> scores;
    scores.clear();
    for (std::uint32_t i = 0; i < servers.size(); ++i) {
      const std::uint64_t hash = hash64(servers[i]->settings().url, key);
      // 53 bits, moved off both ends: ln() of it is finite and not 0.
      const double h = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
      scores.push_back({-static_cast<double>(servers[i]->weighs()) / std::log(h), hash, i});
    }
    std::sort(scores.begin(), scores.end(), [](const Score& a, const Score& b) {
      return a.load != b.load ? a.load > b.load : a.tie < b.tie;
    });
    out.clear();
    for (const Score& score : scores) out.push_back(score.index);
    if (max_load_ > 0) put_full_last(servers, out);
  }

 private:
  // Looks at each count once: other threads change them, and full must mean one thing for the whole order.
  void put_full_last(Servers servers, std::vector<std::uint32_t>& out) const {
    thread_local std::vector<std::uint64_t> live;
    live.clear();
    std::uint64_t all = 1;  // this one
    for (const auto& server : servers) {
      live.push_back(server->active.load(std::memory_order_relaxed));
      all += live.back();
    }
    const std::uint64_t weights = total_weight(servers);
    std::stable_partition(out.begin(), out.end(), [&](std::uint32_t index) {
      // live + 1 <= ceil(all * max_load% * weight / weights): the ceiling lets the first connection in anywhere.
      return live[index] * 100 * weights < all * max_load_ * servers[index]->weighs();
    });
  }

  std::uint32_t max_load_;
};

}  // namespace

std::unique_ptr<Balancer> make_balancer(Policy policy, std::uint32_t max_load) {
  switch (policy) {
    case Policy::round_robin: return std::make_unique<RoundRobin>();
    case Policy::least_connections: return std::make_unique<LeastConnections>();
    case Policy::random_two: return std::make_unique<RandomTwo>();
    case Policy::consistent_hash: return std::make_unique<ConsistentHash>(max_load);
  }
  check_failed("an unknown balancing policy");
}

}  // namespace sluice::upstream
