#include "upstream/backend.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {

bool BackendSettings::keyed_by_content() const {
  return policy == Policy::consistent_hash && key.kind == HashKey::Kind::json;
}

bool BackendSettings::encrypted() const {
  return std::ranges::any_of(servers, [](const auto& server) { return upstream::encrypted(server.scheme); });
}

// A name may lead to any number of servers. A key of a message has the same server for every client, so none may be left out.
std::size_t BackendSettings::most_legs() const {
  if (max_legs > 0) return max_legs;
  const std::size_t most = keyed_by_content() ? kMostLegs : 8;
  const bool named = std::ranges::any_of(servers, [](const auto& one) { return one.discovery != Discovery::none; });
  return named ? most : std::min(servers.size(), most);
}

std::string authority(const std::string& host, std::uint16_t port) {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<net::Address> literal_address(const ServerSettings& server) {
  if (!server.unix_path.empty()) return net::Address::parse_bind("unix:" + server.unix_path);
  return net::Address::parse(server.host, server.port);
}

Server::Server(ServerSettings settings, std::shared_ptr<Load> load)
    : weight(settings.weight),
      duty(settings.duty),
      backup(settings.backup),
      max_connections(settings.max_connections),
      settings_(std::move(settings)),
      load_(std::move(load)),
      configured_weight_(settings_.weight),
      configured_duty_(settings_.duty) {
  if (auto literal = literal_address(settings_)) set_addresses({*literal});
  // Its addresses come with each client.
  if (settings_.host == kNamedByClient) resolved_.store(true);
}

void Server::configure(const ServerSettings& settings) {
  configured_weight_ = settings.weight;
  configured_duty_ = settings.duty;
  backup.store(settings.backup, std::memory_order_relaxed);
  max_connections.store(settings.max_connections, std::memory_order_relaxed);
  command_weight(commanded_weight_);
  command_duty(commanded_duty_);
}

void Server::command_weight(std::optional<std::uint32_t> wanted) {
  commanded_weight_ = wanted;
  weight.store(wanted.value_or(configured_weight_), std::memory_order_relaxed);
  load_->line.call_first();
}

void Server::command_duty(std::optional<Duty> wanted) {
  commanded_duty_ = wanted;
  const Duty counts = wanted.value_or(configured_duty_);
  duty.store(counts, std::memory_order_relaxed);
  if (counts != Duty::ready) cold.store(true, std::memory_order_relaxed);
  load_->line.call_first();
}

void Server::set_healthy(bool fit) {
  healthy.store(fit, std::memory_order_relaxed);
  if (!fit) cold.store(true, std::memory_order_relaxed);
  load_->line.call_first();  // one that is down may be what backups have waited for
}

void Server::warm(Instant now, Duration rise) {
  const std::int64_t time = now.time_since_epoch().count();
  if (cold.load(std::memory_order_relaxed) && cold.exchange(false)) warm_since_.store(time);
  const std::int64_t since = warm_since_.load(std::memory_order_relaxed);
  if (since == 0) return;
  const Duration passed(time - since);
  if (passed >= rise) {
    warm_since_.store(0);
    share.store(kFullShare, std::memory_order_relaxed);
    return;
  }
  const auto risen = static_cast<std::uint32_t>(std::max(passed, Duration::zero()) * kFullShare / rise);
  share.store(std::max(kLeastShare, risen), std::memory_order_relaxed);
}

std::vector<net::Address> Server::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

void Server::set_addresses(std::vector<net::Address> addresses) {
  {
    const std::lock_guard lock(mutex_);
    addresses_ = std::move(addresses);
    resolved_.store(!addresses_.empty(), std::memory_order_release);
  }
  load_->line.call_first();
}

bool Server::ejected(Instant now) const {
  return now.time_since_epoch().count() < ejected_until.load(std::memory_order_relaxed);
}

Server::State Server::state(Instant now) const {
  if (vanished.load(std::memory_order_relaxed)) return State::vanished;
  if (duty.load(std::memory_order_relaxed) == Duty::drain) return State::drain;
  if (duty.load(std::memory_order_relaxed) == Duty::down) return State::down;
  if (weight.load(std::memory_order_relaxed) == 0) return State::disabled;
  if (!resolved()) return State::unresolved;
  if (!healthy.load(std::memory_order_relaxed)) return State::down;
  return ejected(now) ? State::ejected : State::up;
}

bool Server::eligible() const {
  return duty.load(std::memory_order_relaxed) == Duty::ready && healthy.load(std::memory_order_relaxed) && resolved() &&
         weight.load(std::memory_order_relaxed) > 0;
}

bool Server::claim_shed() {
  std::uint32_t left = to_shed.load(std::memory_order_relaxed);
  while (left > 0) {
    const std::uint32_t keep = share_limit.load(std::memory_order_relaxed);
    if (keep != 0 && staying() <= keep) return false;  // others have left by themselves
    if (!to_shed.compare_exchange_weak(left, left - 1)) continue;
    shed.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  return false;
}

namespace {

void hold(Server& server) {
  server.held.fetch_add(1, std::memory_order_relaxed);
  server.load().held.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

ServerUse::ServerUse(std::shared_ptr<Server> server) : server_(std::move(server)) {
  if (!server_) return;
  server_->active.fetch_add(1, std::memory_order_relaxed);
  server_->load().active.fetch_add(1, std::memory_order_relaxed);
  hold(*server_);
}

ServerUse ServerUse::resting(std::shared_ptr<Server> server) {
  ServerUse use;
  hold(*server);
  use.server_ = std::move(server);
  use.counted_ = Counted::resting;
  return use;
}

ServerUse ServerUse::within(std::shared_ptr<Server> server, std::uint32_t most) {
  ServerUse use;
  if (!take_one(server->load().active, most)) return use;
  if (!take_one(server->active, server->max_connections.load(std::memory_order_relaxed))) {
    server->load().active.fetch_sub(1, std::memory_order_relaxed);
    return use;
  }
  hold(*server);
  use.server_ = std::move(server);
  return use;
}

ServerUse& ServerUse::operator=(ServerUse&& other) noexcept {
  // What is assigned away dies as `old`, and is counted off there.
  if (this == &other) return *this;
  ServerUse old(std::move(*this));
  server_ = std::move(other.server_);
  counted_ = std::exchange(other.counted_, Counted::active);
  return *this;
}

void ServerUse::leave() {
  if (!server_ || counted_ != Counted::active) return;
  counted_ = Counted::leaving;
  server_->leaving.fetch_add(1, std::memory_order_relaxed);
}

void ServerUse::end() {
  if (!server_) return;
  const Counted counted = std::exchange(counted_, Counted::ended);
  if (counted == Counted::ended) return;
  server_->held.fetch_sub(1, std::memory_order_relaxed);
  server_->load().held.fetch_sub(1, std::memory_order_relaxed);
  if (counted == Counted::resting) return;
  if (counted == Counted::leaving) server_->leaving.fetch_sub(1, std::memory_order_relaxed);
  server_->active.fetch_sub(1, std::memory_order_relaxed);
  server_->load().active.fetch_sub(1, std::memory_order_relaxed);
  server_->load().line.call_first();
}

ServerUse::~ServerUse() { end(); }

}  // namespace sluice::upstream
