#include "upstream/health.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "event/timer.h"
#include "net/proxy_protocol.h"
#include "net/tls_client.h"
#include "upstream/health_check.h"

namespace sluice::upstream {

namespace {

// So that servers and gateways do not check in step.
Duration jittered(Duration interval, std::uint32_t percent) {
  const auto share = static_cast<std::int64_t>(100 - percent + random_below(2 * percent + 1));
  return interval / 100 * share;
}

// A check is a connection of the gateway's own, and stands for nobody.
std::string preamble_of(const ProxySettings& proxy) {
  switch (proxy.version) {
    case ProxySettings::Version::off: break;
    case ProxySettings::Version::v1: return std::string(net::proxy_header_v1_unknown());
    case ProxySettings::Version::v2: return net::proxy_header_v2_local();
  }
  return {};
}

}  // namespace

// One server: wait → check → count → wait.
class Health::Probe {
 public:
  Probe(const net::Place& place, std::shared_ptr<Server> server)
      : place_(place), server_(std::move(server)), timer_(place.loop, [this] { begin(); }) {}

  // The first check comes soon, but not those of all servers at once.
  void use(const BackendSettings& backend, std::shared_ptr<const net::TlsClient> tls) {
    const bool first = backend_.empty();
    const bool slower_or_faster = backend.health.interval != settings_.interval;
    backend_ = backend.name;
    settings_ = backend.health;
    tls_ = std::move(tls);
    preamble_ = preamble_of(backend.proxy);
    name_ = backend.tls.name_for(server_->settings().host);
    if (first) {
      timer_.arm(jittered(std::min<Duration>(settings_.interval, std::chrono::seconds(1)) / 10, 20));
    } else if (slower_or_faster && timer_.armed()) {
      wait();
    }
  }
  const std::shared_ptr<Server>& server() const { return server_; }

 private:
  void wait() { timer_.arm(jittered(settings_.interval, settings_.jitter)); }

  void begin() {
    HealthTarget target;
    target.addresses = server_->addresses();
    // A name without an address is the resolver's matter: balancing leaves such a server out anyway.
    if (target.addresses.empty()) return wait();
    checked_with_ = tls_;  // a reload may bring another one meanwhile
    if (encrypted(server_->settings().scheme)) target.tls = checked_with_.get();
    target.name = name_;
    target.preamble = preamble_;
    // A unix socket has no authority of its own, and RFC 9112 §3.2 wants a Host.
    const ServerSettings& server = server_->settings();
    target.authority = server.unix_path.empty() ? authority(server.host, server.port) : name_.empty() ? "localhost" : name_;
    target.settings = settings_;
    check_ = HealthCheck::start(place_, std::move(target), [this](std::string failure) { on_outcome(failure); });
  }

  void on_outcome(const std::string& failure) {
    place_.loop.retire(std::move(check_));  // it is what is calling
    if (failure.empty()) {
      succeeded();
    } else {
      failed(failure);
    }
    wait();
  }

  void succeeded() {
    server_->checks_passed.fetch_add(1, std::memory_order_relaxed);
    failures_ = 0;
    if (server_->healthy || ++successes_ < settings_.rise) return;
    server_->set_healthy(true);
    successes_ = 0;
    log::event(Level::info, "backend_up", {{"backend", backend_}, {"server", server_->settings().url}});
  }

  void failed(const std::string& why) {
    server_->checks_failed.fetch_add(1, std::memory_order_relaxed);
    successes_ = 0;
    if (!server_->healthy || ++failures_ < settings_.fall) return;
    server_->set_healthy(false);
    failures_ = 0;
    log::event(Level::warn, "backend_down",
               {{"backend", backend_}, {"server", server_->settings().url}, {"reason", std::string_view(why)}});
  }

  const net::Place& place_;
  std::shared_ptr<Server> server_;
  std::string backend_;
  HealthSettings settings_;
  std::shared_ptr<const net::TlsClient> tls_;
  std::shared_ptr<const net::TlsClient> checked_with_;
  std::string name_;
  std::string preamble_;
  std::uint32_t successes_ = 0;
  std::uint32_t failures_ = 0;
  std::unique_ptr<HealthCheck> check_;
  event::Timer timer_;
};

Health::Health(const net::Place& place) : place_(place) {}
Health::~Health() = default;

void Health::watch(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  std::map<const Server*, std::unique_ptr<Probe>> before = std::exchange(probes_, {});
  for (const auto& cluster : clusters) {
    const BackendSettings& settings = cluster->settings();
    if (!settings.health.active) continue;
    std::shared_ptr<const net::TlsClient> tls;
    if (settings.health.type != HealthSettings::Type::tcp && settings.encrypted()) {
      std::string why;
      tls = net::TlsClient::make(crypto_, {settings.tls.ca, settings.tls.certificate, settings.tls.key}, why);
      check(tls != nullptr, "TLS settings that the workers took are refused");
    }
    for (const auto& server : cluster->servers()) {
      auto& probe = probes_[server.get()];
      if (probe) continue;  // the same server twice
      if (const auto known = before.find(server.get()); known != before.end()) {
        probe = std::move(known->second);
        before.erase(known);
      } else {
        probe = std::make_unique<Probe>(place_, server);
      }
      probe->use(settings, tls);
    }
  }
  for (const auto& [server, probe] : before) probe->server()->set_healthy(true);
}

}  // namespace sluice::upstream
