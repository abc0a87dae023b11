#include "upstream/health.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "base/buffer.h"
#include "base/log.h"
#include "event/watch.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"
#include "support/run_until.h"
#include "support/script_server.h"
#include "unit/upstream/make_servers.h"

namespace sluice::upstream {
namespace {

using std::chrono::milliseconds;

// A backend on 127.0.0.1 that can be switched off and on, and counts who came.
class Backend final : private event::WatchHandler {
 public:
  explicit Backend(event::Loop& loop) : loop_(loop) { start(*net::Address::parse("127.0.0.1", 0)); }
  void stop() {
    watch_.stop();
    fd_.reset();
  }
  void restart() { start(address_); }
  const net::Address& address() const { return address_; }
  int visits() const { return visits_; }

 private:
  void start(const net::Address& address) {
    int error = 0;
    fd_ = net::listen_on(address, error);
    if (!fd_) abort();
    address_ = net::local_address(fd_.get());
    watch_.start(loop_, fd_.get(), *this);
  }
  void on_edge(event::Edge) override {
    net::Address from;
    int error = 0;
    while (net::accept_from(fd_.get(), from, error)) ++visits_;
  }

  event::Loop& loop_;
  net::Fd fd_;
  event::Watch watch_;
  net::Address address_;
  int visits_ = 0;
};

class Checks : public testing::Test {
 protected:
  Checks() {
    log::set_level(Level::off);
    settings_.name = "chat";
    settings_.health.active = true;
    settings_.health.interval = milliseconds(5);
    settings_.health.timeout = std::chrono::seconds(5);
    settings_.health.rise = 2;
    settings_.health.fall = 3;
  }
  ~Checks() override { log::set_level(Level::info); }
  std::shared_ptr<const Cluster> cluster_of(const std::vector<const Backend*>& backends) {
    settings_.servers.clear();
    for (const Backend* backend : backends) {
      ServerSettings server;
      server.host = "127.0.0.1";
      server.port = backend->address().port();
      server.url = "ws://" + backend->address().text();
      settings_.servers.push_back(server);
    }
    return registry_.cluster(settings_);
  }

  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
  Registry registry_;
  BackendSettings settings_;
};

TEST_F(Checks, TakeAServerDownAndBringItBack) {
  Backend good(loop_);
  Backend bad(loop_);
  const auto cluster = cluster_of({&good, &bad});
  Health health(place_);
  health.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return good.visits() >= 2 && bad.visits() >= 2; }));
  EXPECT_EQ(cluster->up(loop_.now()), 2u);
  bad.stop();
  EXPECT_TRUE(run_until(loop_, [&] { return !cluster->servers()[1]->healthy; }));
  EXPECT_TRUE(cluster->servers()[0]->healthy);
  EXPECT_EQ(cluster->up(loop_.now()), 1u);
  bad.restart();
  EXPECT_TRUE(run_until(loop_, [&] { return cluster->servers()[1]->healthy.load(); }));
}

TEST_F(Checks, RiseOnlyAfterEnoughSuccesses) {
  Backend backend(loop_);
  const auto cluster = cluster_of({&backend});
  cluster->servers()[0]->healthy = false;
  settings_.health.rise = 4;
  const auto patient = registry_.cluster(settings_);
  Health health(place_);
  health.watch({patient});
  EXPECT_TRUE(run_until(loop_, [&] { return patient->servers()[0]->healthy.load(); }));
  // The answer to a connect may be seen before the listener has accepted it.
  EXPECT_TRUE(run_until(loop_, [&] { return backend.visits() >= 4; }));
}

TEST_F(Checks, TryTheOtherAddressesOfAServer) {
  Backend dead(loop_);
  Backend alive(loop_);
  dead.stop();
  settings_.health.fall = 1;
  const auto cluster = cluster_of({&alive});
  cluster->servers()[0]->set_addresses({dead.address(), alive.address()});
  Health health(place_);
  health.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return alive.visits() >= 3; }));
  EXPECT_TRUE(cluster->servers()[0]->healthy);
}

TEST_F(Checks, LeaveBackendsWithoutChecksAlone) {
  Backend checked(loop_);
  Backend unchecked(loop_);
  const auto one = cluster_of({&checked});
  settings_.name = "quiet";
  settings_.health.active = false;
  const auto other = cluster_of({&unchecked});
  Health health(place_);
  health.watch({one, other});
  EXPECT_TRUE(run_until(loop_, [&] { return checked.visits() >= 5; }));
  EXPECT_EQ(unchecked.visits(), 0);
}

TEST_F(Checks, KeepTheStateOfAServerThatStays) {
  Backend backend(loop_);
  Backend more(loop_);
  backend.stop();
  Health health(place_);
  const auto before = cluster_of({&backend});
  health.watch({before});
  EXPECT_TRUE(run_until(loop_, [&] { return !before->servers()[0]->healthy; }));
  const auto after = cluster_of({&backend, &more});
  health.watch({after});
  EXPECT_FALSE(after->servers()[0]->healthy);
  EXPECT_TRUE(run_until(loop_, [&] { return more.visits() >= 3; }));
  EXPECT_FALSE(after->servers()[0]->healthy);
}

TEST_F(Checks, FreeAServerThatIsNoLongerChecked) {
  Backend backend(loop_);
  backend.stop();
  Health health(place_);
  const auto cluster = cluster_of({&backend});
  health.watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return !cluster->servers()[0]->healthy; }));
  health.watch({});
  EXPECT_TRUE(cluster->servers()[0]->healthy);
}

// What the first check of a server with that scheme begins with.
TEST_F(Checks, SpeakTlsWhereTheServerDoesAndSendThePROXYHeaderAheadOfIt) {
  const auto first_octets = [&](Scheme scheme) {
    std::mutex mutex;
    std::string seen;
    std::atomic<bool> done = false;
    test::ScriptServer script([&](test::ScriptServer::Peer& peer) {
      peer.until(17);
      const std::lock_guard lock(mutex);
      if (seen.empty()) seen = peer.in.substr(0, 17);
      done = true;
    });
    ServerSettings server;
    server.scheme = scheme;
    server.host = "127.0.0.1";
    server.port = script.address().port();
    server.url = "x://" + script.address().text();
    settings_.servers = {server};
    settings_.health.type = HealthSettings::Type::http;
    // No TLS settings are needed, or looked at, where nobody speaks it.
    settings_.tls.ca = encrypted(scheme) ? "" : "no certificate";
    Health health(place_);
    health.watch({registry_.cluster(settings_)});
    EXPECT_TRUE(run_until(loop_, [&] { return done.load(); }));
    const std::lock_guard lock(mutex);
    return seen;
  };
  for (const Scheme scheme : {Scheme::ws, Scheme::tcp, Scheme::http}) {
    EXPECT_EQ(first_octets(scheme).substr(0, 6), "GET / ");
  }
  for (const Scheme scheme : {Scheme::wss, Scheme::tls, Scheme::https}) EXPECT_EQ(first_octets(scheme).substr(0, 1), "\x16");
  settings_.proxy.version = ProxySettings::Version::v2;
  const std::string local = net::proxy_header_v2_local();
  EXPECT_EQ(first_octets(Scheme::tls), local + "\x16");
  EXPECT_EQ(first_octets(Scheme::tcp), local + "G");
  settings_.proxy.version = ProxySettings::Version::v1;
  EXPECT_EQ(first_octets(Scheme::tcp).substr(0, 16), "PROXY UNKNOWN\r\nG");
}

// A socket's path is no host, and a request without a valid one is refused by servers that mean it.
TEST_F(Checks, NameAHostToServersOnUnixSockets) {
  const std::string path = testing::TempDir() + "health-" + std::to_string(::getpid()) + ".sock";
  ::unlink(path.c_str());
  std::mutex mutex;
  std::string seen;
  std::atomic<bool> done = false;
  test::ScriptServer script(
      [&](test::ScriptServer::Peer& peer) {
        const std::string head = peer.head();
        const std::lock_guard lock(mutex);
        seen = head;
        done = true;
      },
      *net::Address::parse_bind("unix:" + path));
  ServerSettings server;
  server.scheme = Scheme::http;
  server.unix_path = path;
  server.url = "http+unix://" + path;
  settings_.servers = {server};
  settings_.health.type = HealthSettings::Type::http;
  for (const char* name : {"localhost", "app.internal"}) {
    if (name != std::string_view("localhost")) settings_.tls.server_name = name;
    done = false;
    Health health(place_);
    health.watch({registry_.cluster(settings_)});
    EXPECT_TRUE(run_until(loop_, [&] { return done.load(); }));
    const std::lock_guard lock(mutex);
    EXPECT_NE(seen.find("\r\nHost: " + std::string(name) + "\r\n"), std::string::npos) << seen;
  }
  ::unlink(path.c_str());
}

TEST_F(Checks, MayEndInTheMiddleOfACheck) {
  Backend backend(loop_);
  const auto cluster = cluster_of({&backend});
  std::optional<Health> health(place_);
  health->watch({cluster});
  EXPECT_TRUE(run_until(loop_, [&] { return backend.visits() >= 1; }));
  health.reset();
  bool turned = false;
  loop_.defer([&turned] { turned = true; });
  EXPECT_TRUE(run_until(loop_, [&] { return turned; }));
}

}  // namespace
}  // namespace sluice::upstream
