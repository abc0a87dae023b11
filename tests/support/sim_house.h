// SimHouse: whole sessions over MemoryStreams and a fake clock. A test connects clients, speaks for them and for the
// upstreams through Wires and WsPeers, and turns the wheel with run() and advance(). Nothing here waits or sleeps.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "session/h1_front.h"
#include "session/raw_front.h"
#include "support/scripted_connector.h"
#include "support/test_house.h"
#include "support/ws_peer.h"

namespace sluice::test {

class FakeClock final : public Clock {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::ceil<std::chrono::milliseconds>(by);
  }
  // Somebody sets the clock on the wall; time goes on as before.
  void set_wall(Duration by) { wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(by); }

 private:
  Instant now_{std::chrono::hours(1000)};
  WallTime wall_{std::chrono::hours(24 * 365 * 56)};
};

// One outbound connection that a session asked for.
struct Upstream {
  explicit Upstream(Faults& faults) : wire(faults), peer(wire, WsPeer::Role::server) {}
  Wire wire;
  WsPeer peer;
  std::string address;  // ip:port
  std::string name;     // what its certificate must be for
  bool encrypted = false;
  ScriptedConnector::Script script = ScriptedConnector::Script::accept;
  net::Ready* ready = nullptr;
  bool answered = false;  // the edge of the connect has been delivered

  // True when it was due.
  bool deliver() {
    if (!answered && script != ScriptedConnector::Script::hang && !wire.closed) {
      answered = true;
      ready->on_ready();
      return true;
    }
    return wire.deliver();
  }
};

struct Client {
  explicit Client(Faults& faults) : wire(faults), peer(wire, WsPeer::Role::client) {}
  Wire wire;
  WsPeer peer;
};

// Base before TestHouse, whose loop reads the clock while it is made.
struct HasFakeClock {
  FakeClock clock;
};

class SimHouse final : private HasFakeClock, public TestHouse {
 public:
  using Script = ScriptedConnector::Script;

  explicit SimHouse(config::Settings settings = settings_for({"ws://10.0.0.1:9000"}))
      : TestHouse(&clock, std::move(settings)) {}
  ~SimHouse() override { bury(); }

  using HasFakeClock::clock;
  Faults faults;
  // Told of each dial before its connector is made: may set script and what the peer does.
  std::function<void(Upstream&)> on_dial;
  // Whether peers read what has come by themselves.
  bool polls = true;

  Client& connect(const std::string& ip = "192.0.2.7") {
    clients_.push_back(std::make_unique<Client>(faults));
    Client& client = *clients_.back();
    const session::Ends ends{*net::Address::parse(ip, 40000), *net::Address::parse("127.0.0.1", 8080), {}};
    if (runtime_->listeners[0].compiled->cluster) {
      adopt(std::make_unique<session::RawFront>(*this, admit(), stream_on(place_, client.wire), runtime_, 0, ends,
                                                http::TlsFacts{}));
    } else {
      adopt(std::make_unique<session::H1Front>(*this, admit(), stream_on(place_, client.wire), runtime_, 0, ends,
                                               http::TlsFacts{}));
    }
    return client;
  }
  // A client whose request has been sent and answered, and the upstream that it was joined to.
  Client& open(const std::string& request = upgrade_request()) {
    Client& client = connect();
    client.wire.send(request);
    run();
    return client;
  }

  std::size_t dials() const { return upstreams_.size(); }
  Upstream& upstream(std::size_t index) { return *upstreams_.at(index); }
  Upstream& last() { return *upstreams_.back(); }

  // Every client goes away.
  void hang_up() {
    for (const auto& client : clients_) client->wire.finish();
  }

  // Until nobody has anything to do. Counts passes, so that an endless loop is a failure and not a hang.
  void run() {
    for (std::size_t quiet = 0, passes = 0; quiet < 2; ++passes) {
      if (passes > 100'000) throw std::runtime_error("the sessions do not come to rest");
      quiet = turn() ? 0 : quiet + 1;
    }
  }
  // One pass: true when something has moved.
  bool turn() {
    const std::size_t before = operations();
    bool moved = false;
    for (std::size_t i = 0; i < clients_.size(); ++i) moved = clients_[i]->wire.deliver() || moved;
    for (std::size_t i = 0; i < upstreams_.size(); ++i) moved = upstreams_[i]->deliver() || moved;
    pass();
    for (std::size_t i = 0; polls && i < clients_.size(); ++i) moved = clients_[i]->peer.poll() || moved;
    for (std::size_t i = 0; polls && i < upstreams_.size(); ++i) moved = upstreams_[i]->peer.poll() || moved;
    return moved || operations() != before;
  }
  // Time passes in steps of a second at most; after each the timers that are due are taken to have fired, and everybody
  // has been swept.
  void advance(Duration by) {
    while (by > Duration::zero()) {
      const Duration step = std::min<Duration>(by, std::chrono::seconds(1));
      clock.advance(step);
      by -= step;
      loop_.refresh();
      for_each([](session::StreamOwner& owner) { owner.wake(); });
      for_each([](session::StreamOwner& owner) {
        if (owner.tick() == Step::next) owner.wake();
      });
      upstreams.tend(clock.now());
      run();
    }
  }
  // Without sweep and without wake: only the clock.
  void only_clock(Duration by) {
    clock.advance(by);
    loop_.refresh();
  }

 private:
  std::unique_ptr<net::Connector> dial(const net::Address& address, const net::Way& way,
                                       net::Ready& ready) override {
    upstreams_.push_back(std::make_unique<Upstream>(faults));
    Upstream& upstream = *upstreams_.back();
    upstream.address = address.text();
    upstream.name = way.name;
    upstream.encrypted = way.tls != nullptr;
    upstream.ready = &ready;
    if (on_dial) on_dial(upstream);
    return std::make_unique<ScriptedConnector>(place_, upstream.wire, upstream.script, upstream.answered, ready);
  }

  std::size_t operations() const {
    std::size_t sum = 0;
    for (const auto& client : clients_) sum += client->wire.fills + client->wire.writes.size();
    for (const auto& one : upstreams_) sum += one->wire.fills + one->wire.writes.size();
    return sum;
  }

  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
};

}  // namespace sluice::test
