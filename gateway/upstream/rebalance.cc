#include "upstream/rebalance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/hash.h"
#include "base/log.h"

namespace sluice::upstream {

namespace {

constexpr std::size_t kReturn = 30;      // looks for which a session that left is taken to be on its way back
constexpr unsigned kQuiet = 5;           // looks without a claim after which every session is taken to have been asked
constexpr double kRoundingSlack = 1e-9;  // a share of 50.0000000001 is 50

// Those that may be given sessions, backups not among them.
ServerList usable(const Cluster& cluster, Instant now) {
  ServerList all;
  for (const auto& server : cluster.servers()) {
    if (server->usable(now) && !server->backup.load(std::memory_order_relaxed)) all.push_back(server);
  }
  return all;
}

std::vector<Burden> burdens_of(const ServerList& servers) {
  std::vector<Burden> burdens;
  for (const auto& server : servers) burdens.push_back({server->staying(), static_cast<double>(server->weighs()) / Server::kFullShare});
  return burdens;
}

std::uint64_t total_of(std::span<const Burden> burdens) {
  return std::accumulate(burdens.begin(), burdens.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Burden& one) { return sum + one.sessions; });
}

}  // namespace

Shares shares_of(std::span<const Burden> burdens, std::uint64_t total) {
  Shares shares;
  double weights = 0;
  for (const Burden& one : burdens) weights += one.weight;
  for (const Burden& one : burdens) {
    const double exact = weights > 0 ? static_cast<double>(total) * one.weight / weights : 0;
    const auto share = static_cast<std::uint32_t>(std::ceil(exact - kRoundingSlack));
    const std::uint32_t excess = one.sessions > share ? one.sessions - share : 0;
    shares.share.push_back(share);
    shares.excess.push_back(excess);
    shares.excess_sum += excess;
    if (exact > 0) shares.imbalance = std::max(shares.imbalance, one.sessions / exact - 1);
  }
  return shares;
}

std::vector<std::uint32_t> spread_permits(std::span<const std::uint32_t> amounts, std::uint64_t permits) {
  std::vector<std::uint32_t> parts(amounts.begin(), amounts.end());
  const std::uint64_t sum = std::accumulate(amounts.begin(), amounts.end(), std::uint64_t{0});
  if (permits >= sum) return parts;
  std::uint64_t seen = 0;
  std::uint64_t given = 0;
  // Each gets what the sum up to it is worth beyond what was given: rounding neither adds up nor gets lost.
  for (std::uint32_t& part : parts) {
    seen += part;
    const std::uint64_t due = permits * seen / sum;
    part = static_cast<std::uint32_t>(due - given);
    given = due;
  }
  return parts;
}

double imbalance_of(const Cluster& cluster, Instant now) {
  const std::vector<Burden> burdens = burdens_of(usable(cluster, now));
  return shares_of(burdens, total_of(burdens)).imbalance;
}

class Rebalancer::Backend {
 public:
  explicit Backend(std::shared_ptr<const Cluster> cluster) : cluster_(std::move(cluster)) {}
  ~Backend() { stop(); }

  void use(std::shared_ptr<const Cluster> cluster) { cluster_ = std::move(cluster); }

  void look(Instant now) {
    take_back();
    earn(now);
    const ServerList servers = usable(*cluster_, now);
    if (by_key()) {
      rehome(servers);
    } else {
      even_out(servers);
    }
  }

 private:
  const RebalanceSettings& settings() const { return cluster_->settings().rebalance; }
  bool by_key() const { return cluster_->settings().policy == Policy::consistent_hash; }

  // What was not claimed is not shed.
  void take_back() {
    claimed_ = 0;
    for (const auto& [server, permits] : asked_) {
      const std::uint32_t left = server->to_shed.exchange(0);
      claimed_ += permits - std::min(left, permits);
      credit_ += left;
    }
    asked_.clear();
  }

  void earn(Instant now) {
    const double passed = last_ == Instant{} ? 0 : std::chrono::duration<double>(now - last_).count();
    last_ = now;
    credit_ = std::min(credit_ + settings().rate * passed, std::max(1.0, settings().rate));
  }

  void ask(const ServerList& servers, std::span<const std::uint32_t> amounts) {
    const std::vector<std::uint32_t> parts = spread_permits(amounts, static_cast<std::uint64_t>(credit_));
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (parts[i] == 0) continue;
      credit_ -= parts[i];
      servers[i]->to_shed.store(parts[i]);
      asked_.emplace_back(servers[i], parts[i]);
    }
  }

  void even_out(const ServerList& servers) {
    const std::vector<Burden> burdens = burdens_of(servers);
    const std::uint64_t here = total_of(burdens);
    // Those who were closed of late are on their way back: without them the shares would shrink, and more would be closed.
    claims_[next_claim_++ % kReturn] = claimed_;
    const std::uint64_t away = std::accumulate(claims_.begin(), claims_.end(), std::uint64_t{0});
    most_ = shedding_ ? std::max(most_, here) : here;
    const std::uint64_t total = std::min(most_, here + away);
    const Shares shares = shares_of(burdens, total);
    if (servers.size() < 2 || (shares.excess_sum == 0 && here >= total)) {
      stop();
    } else if (!shedding_ && shares.excess_sum > 0 && shares.imbalance > settings().threshold) {
      shedding_ = true;
      log::event(Level::info, "rebalance_started",
                 {{"backend", cluster_->settings().name}, {"to_close", shares.excess_sum}, {"of", total}});
    }
    if (!shedding_) return;
    limit(servers, shares.share);
    ask(servers, shares.excess);
  }

  // What each server may have until this is over.
  void limit(const ServerList& servers, std::span<const std::uint32_t> share) {
    for (const auto& server : limited_) {
      if (std::ranges::find(servers, server) == servers.end()) server->share_limit.store(0, std::memory_order_relaxed);
    }
    for (std::size_t i = 0; i < servers.size(); ++i) {
      servers[i]->share_limit.store(std::max(share[i], 1u), std::memory_order_relaxed);
    }
    limited_ = servers;
  }

  void stop() {
    if (shedding_) log::event(Level::info, "rebalance_ended", {{"backend", cluster_->settings().name}});
    shedding_ = false;
    for (const auto& server : limited_) server->share_limit.store(0, std::memory_order_relaxed);
    limited_.clear();
    for (const auto& [server, permits] : asked_) server->to_shed.store(0);
    asked_.clear();
  }

  void rehome(const ServerList& servers) {
    std::string names;
    for (const auto& server : servers) {
      names += server->settings().url + ' ' + std::to_string(server->weight.load(std::memory_order_relaxed)) + '\n';
    }
    const std::uint64_t now = hash64(names);
    if (homes_ != 0 && now != homes_) quiet_left_ = kQuiet;
    homes_ = now;
    if (quiet_left_ == 0) return;
    quiet_left_ = claimed_ > 0 ? kQuiet : quiet_left_ - 1;
    // Which sessions have to move nobody knows but they: all servers are asked, also one that is given nothing new.
    ServerList asked;
    std::vector<std::uint32_t> amounts;
    for (const auto& server : cluster_->servers()) {
      asked.push_back(server);
      amounts.push_back(server->staying());
    }
    ask(asked, amounts);
  }

  std::shared_ptr<const Cluster> cluster_;
  Instant last_{};
  double credit_ = 0;                                              // sessions that may be closed now
  std::vector<std::pair<std::shared_ptr<Server>, std::uint32_t>> asked_;  // at the last look
  std::uint64_t claimed_ = 0;                                      // of it
  bool shedding_ = false;
  ServerList limited_;
  std::array<std::uint64_t, kReturn> claims_{};  // between the last looks
  std::size_t next_claim_ = 0;
  std::uint64_t most_ = 0;                       // sessions at a time since shedding began
  std::uint64_t homes_ = 0;     // which servers keys are shared out to
  unsigned quiet_left_ = 0;     // looks until nobody is asked any more
};

Rebalancer::Rebalancer() = default;
Rebalancer::~Rebalancer() = default;

void Rebalancer::watch(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  auto before = std::exchange(backends_, {});
  for (const auto& cluster : clusters) {
    if (!cluster->settings().rebalance.on()) continue;
    auto& known = before[cluster->settings().name];
    if (known) {
      known->use(cluster);
    } else {
      known = std::make_unique<Backend>(cluster);
    }
    backends_[cluster->settings().name] = std::move(known);
  }
}

void Rebalancer::look(Instant now) {
  for (const auto& [name, backend] : backends_) backend->look(now);
}

}  // namespace sluice::upstream
