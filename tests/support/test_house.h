// TestHouse: a session::House without a worker's thread: owners, tallies and the runtime of one snapshot. SimHouse and
// SocketHouse say what the streams are.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "session/admission.h"
#include "session/connection_filter.h"
#include "session/front.h"
#include "session/kick.h"
#include "session/runtime.h"

namespace sluice::test {

// One listener "plain", one route "/*" to the backend "app".
inline config::Settings settings_for(const std::vector<std::string>& urls) {
  config::Settings settings;
  config::ListenerSettings listener;
  listener.name = "plain";
  listener.bind = *net::Address::parse("127.0.0.1", 8080);
  settings.listeners.push_back(listener);

  upstream::BackendSettings backend;
  backend.name = "app";
  for (const std::string& url : urls) {
    upstream::ServerSettings server;
    server.url = url;
    server.scheme = url.starts_with("tcp:")     ? upstream::Scheme::tcp
                    : url.starts_with("tls:")   ? upstream::Scheme::tls
                    : url.starts_with("wss:")   ? upstream::Scheme::wss
                    : url.starts_with("https:") ? upstream::Scheme::https
                    : url.starts_with("http:")  ? upstream::Scheme::http
                                                : upstream::Scheme::ws;
    const std::size_t host = url.find("//") + 2;
    const std::size_t colon = url.rfind(':');
    server.host = url.substr(host, colon - host);
    server.port = static_cast<std::uint16_t>(std::stoi(url.substr(colon + 1)));
    backend.servers.push_back(server);
  }
  settings.backends.push_back(backend);

  config::RouteSettings route;
  route.name = "all";
  route.path = "/*";
  route.backend = "app";
  settings.routes.push_back(route);
  return settings;
}
inline config::WebSocketSettings& rules_of(config::Settings& settings) { return settings.routes[0].websocket; }

// One limit on the route (or, with key listener, on the listener).
inline policy::LimitSettings& add_limit(config::Settings& settings, policy::LimitSettings::Unit unit,
                                        policy::LimitSettings::Key key, std::uint64_t rate) {
  policy::LimitSettings limit;
  limit.name = "limit" + std::to_string(settings.limits.size());
  limit.key = key;
  limit.unit = unit;
  if (unit == policy::LimitSettings::Unit::connections) {
    limit.limit = rate;
  } else {
    limit.rate = rate;
    limit.burst = rate;
  }
  limit.on_limit = unit == policy::LimitSettings::Unit::handshakes || unit == policy::LimitSettings::Unit::connections
                       ? policy::LimitSettings::Action::reject
                       : policy::LimitSettings::Action::delay;
  settings.limits.push_back(limit);
  settings.routes[0].rate_limit.push_back(limit.name);
  return settings.limits.back();
}

class TestHouse : public session::House, public session::TallyBook {
 public:
  virtual ~TestHouse() { bury(); }

  event::Loop& loop() { return loop_; }
  const BufferPool& pool() const { return pool_; }
  session::RouteTally& route_tally(const std::string& name = "all") { return route(name); }
  session::ListenerTally& listener_tally() { return listener("plain"); }
  session::WorkerTally& worker_tally() { return worker_tally_; }
  session::RuleTally& rule_tally(const std::string& name) { return rules_[name]; }
  session::ServerTally& server_tally(const std::string& url) { return *server("app", url); }
  const session::Runtime& runtime() const { return *runtime_; }
  upstream::Server& server(std::size_t index) { return *runtime_->snapshot->clusters()[0]->servers()[index]; }
  policy::Limiter& limiter(std::size_t index = 0) { return *runtime_->snapshot->routes()[0].limits[index]; }
  // Names that clients give; a script in place of DNS.
  std::function<void(const std::string&, net::NameCache::Done)> on_resolve = [](const std::string&, net::NameCache::Done done) {
    net::Resolver::Answer none;
    none.result = net::Lookup::timeout;
    none.error = "nobody answers";
    done(none);
  };
  // What main would do with a fresh credential for a connection.
  std::function<void(std::string, std::shared_ptr<const policy::Authenticated>, std::move_only_function<void(Result<bool>)>)> on_renew =
      [this](const std::string& id, const std::shared_ptr<const policy::Authenticated>& fresh,
             std::move_only_function<void(Result<bool>)> done) { done(renew(id, *fresh)); };
  // What main would do with a revocation.
  std::function<void(const policy::Revocation&, Duration, std::move_only_function<void(bool)>)> on_revoke =
      [](const policy::Revocation&, Duration, std::move_only_function<void(bool)> done) { done(true); };
  std::size_t alive() const { return owners_.size(); }
  policy::Revocations& revocations() { return *memory_.revocations; }
  // As a worker does it: how many were closed.
  std::size_t kick(const policy::Revocation& revocation) {
    const session::Kick kick(revocation, revocations().seed());
    std::size_t closed = 0;
    for_each([&](session::StreamOwner& owner) { closed += owner.kick(kick) ? 1 : 0; });
    return closed;
  }
  // As a worker does it.
  Result<bool> renew(std::string_view id, const policy::Authenticated& fresh) {
    Result<bool> renewed = false;
    for_each([&](session::StreamOwner& owner) {
      if (renewed && !*renewed) renewed = owner.renew(id, fresh, "192.0.2.1");
    });
    return renewed;
  }
  std::uint64_t admitted() const { return total_.load(); }
  void drain_all() {
    draining = true;
    for_each([](session::StreamOwner& owner) { owner.drain(); });
  }

 protected:
  TestHouse(const Clock* clock, config::Settings settings)
      : House(loop_, place_, worker_tally_), loop_(clock), place_{loop_, turn_, pool_} {
    net::TicketKeys tickets = net::fresh_ticket_keys();
    std::string why;
    auto snapshot = std::make_shared<const config::Snapshot>(std::move(settings), memory_, 1);
    runtime_ = session::build_runtime(snapshot, crypto_, tickets, *this, why);
    if (!runtime_) throw std::runtime_error(why);
  }

  void post(std::move_only_function<void()> task) override { loop_.defer(std::move(task)); }
  void adopt(std::unique_ptr<session::StreamOwner> owner) override {
    session::StreamOwner* raw = owner.release();
    raw->slot = owners_.insert(raw);
    loop_.defer([this, name = raw->slot] {
      if (session::StreamOwner* found = owners_.find(name)) found->wake();
    });
  }
  void retire(session::StreamOwner& owner) override {
    owners_.erase(owner.slot);
    loop_.retire(std::unique_ptr<session::StreamOwner>(&owner));
  }
  const std::shared_ptr<const session::Runtime>& in_force() const override { return runtime_; }
  void resolve(const std::string& host, net::NameCache::Done done) override { on_resolve(host, std::move(done)); }
  void revoke(policy::Revocation what, Duration ttl, const char*, std::string, std::move_only_function<void(bool)> done) override {
    on_revoke(what, ttl, std::move(done));
  }
  void renew_anywhere(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string,
                      std::move_only_function<void(Result<bool>)> done) override {
    on_renew(std::move(id), std::move(fresh), std::move(done));
  }
  session::StreamOwner* find(Slot slot) override { return owners_.find(slot); }
  session::RouteTally& route(const std::string& name) override { return routes_[name]; }
  session::ListenerTally& listener(const std::string& name) override { return listeners_[name]; }
  session::RuleTally& rule(const std::string&, const std::string& name) override { return rules_[name]; }
  std::shared_ptr<session::ServerTally> server(const std::string&, const std::string& url) override {
    auto& tally = servers_[url];
    if (!tally) tally = std::make_shared<session::ServerTally>();
    return tally;
  }

  session::Admission admit() {
    return {total_, listener("plain"), worker_tally_,
            runtime_->listeners[0].tls ? session::Protocol::tls : session::Protocol::http1};
  }
  // One pass of the loop: what is ready, then what was deferred, then the dead are buried.
  void pass() {
    loop_.defer([this] { loop_.stop(); });
    loop_.run();
  }
  template <typename F>
  void for_each(F&& call) {
    for (std::size_t i = 0; i < owners_.places(); ++i) {
      if (session::StreamOwner* owner = owners_.at(i)) call(*owner);
    }
  }
  // Must be called by the destructor of whoever owns what the streams need.
  void bury() {
    for (std::size_t i = 0; i < owners_.places(); ++i) {
      session::StreamOwner* owner = owners_.at(i);
      if (!owner) continue;
      owners_.erase(owner->slot);
      delete owner;
    }
    upstreams.flush();
    pass();
  }

  session::WorkerTally worker_tally_;
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_;
  net::CryptoContext crypto_;
  config::Memory memory_;
  std::map<std::string, session::RouteTally> routes_;
  std::map<std::string, session::ListenerTally> listeners_;
  std::map<std::string, std::shared_ptr<session::ServerTally>> servers_;  // by URL
  std::map<std::string, session::RuleTally> rules_;
  std::atomic<std::uint64_t> total_{0};
  SlotMap<session::StreamOwner> owners_;
  std::shared_ptr<const session::Runtime> runtime_;
};

}  // namespace sluice::test
