#include "upstream/health.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "event/timer.h"
#include "net/connect_check.h"

namespace sluice::upstream {

namespace {

// ±20 %, so that servers and gateways do not check in step.
Duration jittered(Duration interval) {
  const auto percent = static_cast<std::int64_t>(80 + random_below(41));
  return interval / 100 * percent;
}

}  // namespace

// One server: wait → connect to its addresses in turn until one accepts → count → wait.
class Health::Probe {
 public:
  Probe(event::Loop& loop, std::shared_ptr<Server> server)
      : loop_(loop), server_(std::move(server)), timer_(loop, [this] { begin(); }) {}

  // The first check comes soon, but not those of all servers at once.
  void use(const std::string& backend, const HealthSettings& settings) {
    const bool first = backend_.empty();
    const bool slower_or_faster = settings.interval != settings_.interval;
    backend_ = backend;
    settings_ = settings;
    if (first) {
      timer_.arm(jittered(std::min<Duration>(settings_.interval, std::chrono::seconds(1)) / 10));
    } else if (slower_or_faster && timer_.armed()) {
      timer_.arm(jittered(settings_.interval));
    }
  }
  const std::shared_ptr<Server>& server() const { return server_; }

 private:
  void begin() {
    addresses_ = server_->addresses();
    next_ = 0;
    // A name without an address is the resolver's matter: balancing leaves such a server out anyway.
    if (addresses_.empty()) return timer_.arm(jittered(settings_.interval));
    attempt();
  }

  void attempt() {
    check_ = std::make_unique<net::ConnectCheck>(loop_, [this](const char* failure) { on_outcome(failure); });
    check_->start(addresses_[next_++], settings_.timeout);
  }

  void on_outcome(const char* failure) {
    loop_.retire(std::move(check_));  // it is what is calling
    if (failure && next_ < addresses_.size()) return attempt();
    if (failure) {
      failed(failure);
    } else {
      succeeded();
    }
    timer_.arm(jittered(settings_.interval));
  }

  void succeeded() {
    server_->checks_passed.fetch_add(1, std::memory_order_relaxed);
    failures_ = 0;
    if (server_->healthy || ++successes_ < settings_.rise) return;
    server_->set_healthy(true);
    successes_ = 0;
    log::event(Level::info, "backend_up", {{"backend", backend_}, {"server", server_->settings().url}});
  }

  void failed(const char* why) {
    server_->checks_failed.fetch_add(1, std::memory_order_relaxed);
    successes_ = 0;
    if (!server_->healthy || ++failures_ < settings_.fall) return;
    server_->set_healthy(false);
    failures_ = 0;
    log::event(Level::warn, "backend_down",
               {{"backend", backend_}, {"server", server_->settings().url}, {"reason", why}});
  }

  event::Loop& loop_;
  std::shared_ptr<Server> server_;
  std::string backend_;
  HealthSettings settings_;
  std::vector<net::Address> addresses_;
  std::size_t next_ = 0;
  std::uint32_t successes_ = 0;
  std::uint32_t failures_ = 0;
  std::unique_ptr<net::ConnectCheck> check_;
  event::Timer timer_;
};

Health::Health(event::Loop& loop) : loop_(loop) {}
Health::~Health() = default;

void Health::watch(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  std::map<const Server*, std::unique_ptr<Probe>> before = std::exchange(probes_, {});
  for (const auto& cluster : clusters) {
    const BackendSettings& settings = cluster->settings();
    if (!settings.health.active) continue;
    for (const auto& server : cluster->servers()) {
      auto& probe = probes_[server.get()];
      if (probe) continue;  // the same server twice
      if (const auto known = before.find(server.get()); known != before.end()) {
        probe = std::move(known->second);
        before.erase(known);
      } else {
        probe = std::make_unique<Probe>(loop_, server);
      }
      probe->use(settings.name, settings.health);
    }
  }
  for (const auto& [server, probe] : before) probe->server()->healthy = true;
}

}  // namespace sluice::upstream
