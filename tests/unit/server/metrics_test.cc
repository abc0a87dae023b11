#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/json.h"
#include "net/tls_profile.h"
#include "server/status.h"
#include "unit/server/exposition.h"

namespace sluice::server {
namespace {

using session::Outcome;
using session::Protocol;

std::size_t at(Errc code) { return static_cast<std::size_t>(code); }
std::size_t at(Outcome outcome) { return static_cast<std::size_t>(outcome); }
std::size_t at(Protocol protocol) { return static_cast<std::size_t>(protocol); }

config::Settings sample_settings(const std::string& route_name = "chat") {
  config::Settings settings;
  settings.file = "sluice.toml";
  config::ListenerSettings listener;
  listener.name = "tls";
  listener.bind = *net::Address::parse("127.0.0.1", 8443);
  settings.listeners.push_back(listener);
  upstream::BackendSettings backend;
  backend.name = "app";
  backend.servers = {{"ws://127.0.0.1:9000", upstream::Scheme::ws, "127.0.0.1", 9000, 1},
                     {"ws://127.0.0.1:9001", upstream::Scheme::ws, "127.0.0.1", 9001, 1}};
  settings.backends.push_back(backend);
  config::RouteSettings route;
  route.name = route_name;
  route.path = "/*";
  route.backend = "app";
  settings.routes.push_back(route);
  return settings;
}

class MetricsTest : public testing::Test {
 protected:
  void use(config::Settings settings) {
    snapshot_ = std::make_shared<const config::Snapshot>(std::move(settings), memory_, ++generation_);
    snapshot_->take_effect(memory_);
  }
  Exposition scrape(std::size_t most = 10'000) {
    if (!snapshot_) use(sample_settings());
    if (!metrics_) metrics_ = std::make_unique<Metrics>(tallies_, most);
    Exposition read = ExpositionReader::read(metrics_->scrape(facts_, *snapshot_, now_));
    EXPECT_THAT(read.faults, testing::IsEmpty());
    return read;
  }

  Tallies tallies_{3};
  ProcessFacts facts_;
  config::Memory memory_;
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::unique_ptr<Metrics> metrics_;
  std::uint64_t generation_ = 0;
  Instant now_{std::chrono::seconds(1000)};
};

TEST(Tallies, GiveTheSameCopyForTheSameName) {
  Tallies tallies(2);
  session::RouteTally& first = tallies.route(0, "chat");
  EXPECT_EQ(&first, &tallies.route(0, "chat"));
  EXPECT_NE(&first, &tallies.route(1, "chat"));
  EXPECT_NE(&first, &tallies.route(0, "other"));
  EXPECT_EQ(&tallies.worker(1), &tallies.worker(1));
  EXPECT_NE(&tallies.worker(0), &tallies.worker(1));
}

TEST(Tallies, ListOnlyTheCopiesThatWereAskedFor) {
  Tallies tallies(3);
  tallies.route(0, "b");
  tallies.route(2, "b");
  tallies.route(1, "a");
  const auto routes = tallies.routes();
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].name, "a");
  EXPECT_EQ(routes[0].copies.size(), 1u);
  EXPECT_EQ(routes[1].copies.size(), 2u);
  EXPECT_EQ(tallies.workers().size(), 3u);
}

TEST(Tallies, SumTheConnectionsOfAListenerAndNeverWrap) {
  Tallies tallies(2);
  EXPECT_EQ(tallies.connections("tls"), 0u);
  tallies.listener(0, "tls").connections[at(Protocol::tls)].add(3);
  tallies.listener(1, "tls").connections[at(Protocol::websocket)].add(4);
  tallies.listener(1, "plain").connections[at(Protocol::http1)].add(100);
  EXPECT_EQ(tallies.connections("tls"), 7u);
  tallies.listener(0, "tls").connections[at(Protocol::tls)].sub(20);
  EXPECT_EQ(tallies.connections("tls"), 0u);
}

TEST(Tallies, AreRegisteredFromManyThreadsWhileAScrapeReads) {
  constexpr unsigned kWorkers = 4;
  Tallies tallies(kWorkers);
  std::vector<std::thread> threads;
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&tallies, worker] {
      for (int i = 0; i < 200; ++i) tallies.route(worker, "route" + std::to_string(i)).slow_consumers.add();
    });
  }
  for (int i = 0; i < 50; ++i) {
    for (const auto& route : tallies.routes()) EXPECT_LE(route.copies.size(), kWorkers);
  }
  for (std::thread& thread : threads) thread.join();
  const auto routes = tallies.routes();
  ASSERT_EQ(routes.size(), 200u);
  for (const auto& route : routes) {
    std::uint64_t sum = 0;
    for (const auto* copy : route.copies) sum += copy->slow_consumers.get();
    EXPECT_EQ(sum, kWorkers);
  }
}

TEST_F(MetricsTest, SumTheWorkersCopiesOfARoute) {
  for (unsigned worker = 0; worker < 3; ++worker) {
    session::RouteTally& route = tallies_.route(worker, "chat");
    route.handshakes[at(Outcome::accepted)].add(10);
    route.connections.add(worker);
    route.flow[0].messages[0].add(5);
    route.flow[1].messages[1].add(7);
    route.flow[0].bytes.add(1000);
    route.flow[1].pauses.add(2);
    route.flow[1].paused.add(1'500'000'000);
    route.closes[static_cast<std::size_t>(Side::upstream)][1].add(2);
    route.handshake_seconds.observe(0.02);
    route.discarded_closing.add(4);
    route.requests.count("GET", 426, 100, std::chrono::milliseconds(20));
    route.requests.count("BREW", 200 + worker, 10, std::chrono::milliseconds(20));
    route.requests.count("get", 599, 1, std::chrono::milliseconds(20));
  }
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_handshakes_total", {{"route", "chat"}, {"result", "accepted"}}), 30);
  EXPECT_EQ(read.sum("sluice_websocket_connections", {{"route", "chat"}}), 3);
  EXPECT_EQ(read.sum("sluice_messages_total", {{"route", "chat"}, {"direction", "in"}, {"opcode", "text"}}),
            15);
  EXPECT_EQ(read.sum("sluice_messages_total", {{"direction", "out"}, {"opcode", "binary"}}), 21);
  EXPECT_EQ(read.sum("sluice_messages_total"), 36);
  EXPECT_EQ(read.sum("sluice_message_bytes_total", {{"direction", "in"}}), 3000);
  EXPECT_EQ(read.sum("sluice_backpressure_pauses_total", {{"route", "chat"}, {"direction", "out"}}), 6);
  EXPECT_EQ(read.sum("sluice_backpressure_paused_seconds_total", {{"route", "chat"}, {"direction", "out"}}), 4.5);
  EXPECT_EQ(read.sum("sluice_backpressure_paused_seconds_total", {{"direction", "in"}}), 0);
  EXPECT_EQ(read.sum("sluice_closes_total", {{"initiator", "backend"}, {"code", "1001"}}), 6);
  EXPECT_EQ(read.sum("sluice_closes_total"), 6);
  EXPECT_EQ(read.sum("sluice_messages_discarded_total", {{"reason", "closing"}}), 12);
  EXPECT_EQ(read.sum("sluice_http_requests_total", {{"route", "chat"}, {"method", "GET"}, {"code", "426"}}), 3);
  EXPECT_EQ(read.sum("sluice_http_requests_total", {{"method", "other"}, {"code", "201"}}), 1);
  EXPECT_EQ(read.sum("sluice_http_requests_total", {{"method", "other"}, {"code", "other"}}), 3);
  EXPECT_EQ(read.sum("sluice_http_requests_total"), 9);
  EXPECT_EQ(read.sum("sluice_http_response_bytes_total", {{"route", "chat"}}), 333);
  EXPECT_EQ(read.sum("sluice_http_request_duration_seconds_count", {{"route", "chat"}}), 9);
}

TEST_F(MetricsTest, FetchedKeysHaveAnAgeAndCounts) {
  KeyFacts loaded{.auth = "users"};
  loaded.refreshes[static_cast<std::size_t>(KeyRefresh::ok)] = 2;
  loaded.refreshes[static_cast<std::size_t>(KeyRefresh::bad_set)] = 3;
  loaded.last_success = 1'800'000'000;
  loaded.age = std::chrono::seconds(90);
  KeyFacts never{.auth = "machines"};
  never.age = std::chrono::seconds(5);
  facts_.keys = {loaded, never};
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_jwks_refresh_total", {{"auth", "users"}, {"result", "ok"}}), 2);
  EXPECT_EQ(read.sum("sluice_jwks_refresh_total", {{"auth", "users"}, {"result", "bad_set"}}), 3);
  EXPECT_EQ(read.count("sluice_jwks_refresh_total", {{"auth", "users"}}), 2u);
  EXPECT_EQ(read.sum("sluice_jwks_age_seconds", {{"auth", "users"}}), 90);
  EXPECT_EQ(read.sum("sluice_jwks_age_seconds", {{"auth", "machines"}}), 5);
  EXPECT_EQ(read.sum("sluice_jwks_last_success_timestamp_seconds", {{"auth", "users"}}), 1'800'000'000);
  EXPECT_EQ(read.count("sluice_jwks_last_success_timestamp_seconds"), 1u);
}

TEST_F(MetricsTest, WithoutFetchedKeysThereAreNoSuchFamilies) {
  EXPECT_EQ(scrape().types.count("sluice_jwks_age_seconds"), 0u);
}

TEST_F(MetricsTest, HistogramsAreCumulativeAndCountWhatTheyHold) {
  tallies_.route(0, "chat").handshake_seconds.observe(0.0001);
  tallies_.route(1, "chat").handshake_seconds.observe(0.02);
  tallies_.route(2, "chat").handshake_seconds.observe(99);
  const Exposition read = scrape();
  const std::string bucket = "sluice_handshake_duration_seconds_bucket";
  EXPECT_EQ(read.sum(bucket, {{"le", "0.0005"}}), 1);
  EXPECT_EQ(read.sum(bucket, {{"le", "0.01"}}), 1);
  EXPECT_EQ(read.sum(bucket, {{"le", "0.025"}}), 2);
  EXPECT_EQ(read.sum(bucket, {{"le", "10"}}), 2);
  EXPECT_EQ(read.sum(bucket, {{"le", "+Inf"}}), 3);
  EXPECT_EQ(read.count(bucket), 15u);
  EXPECT_EQ(read.sum("sluice_handshake_duration_seconds_count"), 3);
  EXPECT_NEAR(read.sum("sluice_handshake_duration_seconds_sum"), 99.0201, 0.0001);
}

TEST_F(MetricsTest, RejectionsHaveBoundedReasons) {
  session::ListenerTally& listener = tallies_.listener(0, "tls");
  listener.rejected[at(Errc::max_connections)].add(1);
  tallies_.listener(1, "tls").rejected[at(Errc::handshakes_full)].add(2);
  listener.rejected[at(Errc::fd_limit)].add(4);
  listener.rejected[at(Errc::draining)].add(8);
  listener.rejected[at(Errc::rl_ip)].add(16);
  listener.rejected[at(Errc::internal)].add(32);
  const Exposition read = scrape();
  const std::string name = "sluice_connections_rejected_total";
  EXPECT_EQ(read.sum(name, {{"listener", "tls"}, {"reason", "limit"}}), 3);
  EXPECT_EQ(read.sum(name, {{"reason", "emfile"}}), 4);
  EXPECT_EQ(read.sum(name, {{"reason", "draining"}}), 8);
  EXPECT_EQ(read.sum(name, {{"reason", "rate"}}), 16);
  EXPECT_EQ(read.sum(name, {{"reason", "other"}}), 32);
  EXPECT_EQ(read.count(name, {{"reason", "acl"}}), 0u);
}

TEST_F(MetricsTest, ListenersAndWorkers) {
  tallies_.listener(0, "tls").connections[at(Protocol::websocket)].add(2);
  tallies_.listener(1, "tls").connections[at(Protocol::websocket)].add(3);
  tallies_.listener(1, "tls").connections[at(Protocol::http1)].add(10);
  tallies_.listener(2, "tls").connections[at(Protocol::tls)].add(20);
  tallies_.listener(1, "tls").accepted.add(9);
  tallies_.listener(1, "tls").tls[1][0].add(5);
  tallies_.listener(2, "tls").tls_failed.add(1);
  tallies_.worker(0).rejects[at(Errc::origin)].add(1);
  tallies_.worker(2).rejects[at(Errc::origin)].add(2);
  tallies_.worker(1).auth[0].results[at(Errc::none)].add(4);
  tallies_.worker(1).auth[0].results[at(Errc::bad_token)].add(2);
  tallies_.worker(2).lag_seconds.observe(0.3);
  tallies_.route(0, "chat").flow[0].buffered.set(10);
  tallies_.route(1, "chat").flow[0].buffered.set(20);
  tallies_.route(1, "chat").flow[1].buffered.set(5);
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_connections", {{"listener", "tls"}, {"protocol", "websocket"}}), 5);
  EXPECT_EQ(read.sum("sluice_connections", {{"listener", "tls"}, {"protocol", "http1"}}), 10);
  EXPECT_EQ(read.sum("sluice_connections", {{"listener", "tls"}, {"protocol", "tls"}}), 20);
  EXPECT_EQ(read.sum("sluice_connections_total"), 9);
  EXPECT_EQ(
      read.sum("sluice_tls_handshakes_total", {{"version", "1.3"}, {"resumed", "false"}, {"result", "ok"}}),
      5);
  EXPECT_EQ(read.sum("sluice_tls_handshakes_total", {{"result", "failed"}}), 1);
  EXPECT_EQ(read.sum("sluice_rejects_total", {{"stage", "origin"}, {"reason", "origin"}}), 3);
  EXPECT_EQ(read.count("sluice_rejects_total"), 1u) << "what never happened has no series";
  EXPECT_EQ(read.sum("sluice_auth_total", {{"method", "jwt"}, {"result", "ok"}, {"reason", "none"}}), 4);
  EXPECT_EQ(read.sum("sluice_auth_total", {{"result", "refused"}, {"reason", "bad_token"}}), 2);
  EXPECT_EQ(read.sum("sluice_event_loop_lag_seconds_count", {{"worker", "2"}}), 1);
  EXPECT_EQ(read.sum("sluice_event_loop_lag_seconds_count"), 1);
  EXPECT_EQ(read.sum("sluice_buffered_bytes", {{"route", "chat"}, {"direction", "in"}}), 30);
  EXPECT_EQ(read.sum("sluice_buffered_bytes", {{"route", "chat"}, {"direction", "out"}}), 5);
}

TEST_F(MetricsTest, ServersShowWhetherTheyServe) {
  use(sample_settings());
  const auto& servers = snapshot_->clusters()[0]->servers();
  servers[0]->active = 3;
  servers[1]->healthy = false;
  servers[1]->checks_passed = 5;
  servers[1]->checks_failed = 6;
  servers[0]->lookups.good_until = (now_ - std::chrono::seconds(90)).time_since_epoch().count();
  servers[0]->lookups.results[0] = 7;
  servers[0]->lookups.results[4] = 8;
  Exposition read = scrape();
  const Exposition::Labels first{{"backend", "app"}, {"server", "ws://127.0.0.1:9000"}};
  const Exposition::Labels second{{"backend", "app"}, {"server", "ws://127.0.0.1:9001"}};
  EXPECT_EQ(read.sum("sluice_backend_server_up", first), 1);
  EXPECT_EQ(read.sum("sluice_backend_server_up", second), 0);
  EXPECT_EQ(read.count("sluice_backend_server_up", second), 1u);
  EXPECT_EQ(read.sum("sluice_backend_connections", first), 3);
  EXPECT_EQ(read.sum("sluice_backend_health_checks_total", {{"server", "ws://127.0.0.1:9001"}, {"result", "ok"}}), 5);
  EXPECT_EQ(read.sum("sluice_backend_health_checks_total", {{"backend", "app"}, {"result", "failed"}}), 6);
  EXPECT_EQ(read.count("sluice_backend_health_checks_total"), 2u) << "one server is not checked";
  EXPECT_EQ(read.sum("sluice_dns_lookups_total", {{"server", "ws://127.0.0.1:9000"}, {"result", "ok"}}), 7);
  EXPECT_EQ(read.sum("sluice_dns_lookups_total", {{"backend", "app"}, {"result", "failed"}}), 8);
  EXPECT_EQ(read.sum("sluice_dns_stale_seconds", first), 90);
  EXPECT_EQ(read.count("sluice_dns_stale_seconds"), 1u);
  EXPECT_EQ(read.count("sluice_dns_lookups_total"), 2u) << "one server has an address and no name";
  const auto state = [this](const char* server, const char* name) {
    return scrape().sum("sluice_backend_server_state", {{"backend", "app"}, {"server", server}, {"state", name}});
  };
  EXPECT_EQ(state("ws://127.0.0.1:9000", "up"), 1);
  EXPECT_EQ(state("ws://127.0.0.1:9000", "down"), 0);
  EXPECT_EQ(state("ws://127.0.0.1:9001", "down"), 1);
  EXPECT_EQ(read.count("sluice_backend_server_state", first), upstream::Server::kStateNames.size()) << "every state, so that a change is seen";
  servers[0]->ejected_until = (now_ + std::chrono::seconds(5)).time_since_epoch().count();
  EXPECT_EQ(scrape().sum("sluice_backend_server_up", first), 0);
  EXPECT_EQ(state("ws://127.0.0.1:9000", "ejected"), 1);
  now_ += std::chrono::seconds(6);
  EXPECT_EQ(scrape().sum("sluice_backend_server_up", first), 1);
}

TEST_F(MetricsTest, ConnectsAreThoseOfAServerOverAllWorkers) {
  use(sample_settings());
  for (unsigned worker = 0; worker < 3; ++worker) {
    session::ServerTally& server = *tallies_.server(worker, "app", "ws://127.0.0.1:9000");
    server.connected.add(2);
    server.connect_seconds.observe(0.002);
    server.connect_seconds.observe(0.2);
    tallies_.server(worker, "app", "ws://127.0.0.1:9001")->connect_failures.add(5);
    tallies_.server(worker, "app", "ws://127.0.0.1:9001")->retries.add(4);
    tallies_.server(worker, "another", "ws://127.0.0.1:9000")->connected.add(100);
  }
  const Exposition read = scrape();
  const Exposition::Labels first{{"backend", "app"}, {"server", "ws://127.0.0.1:9000"}};
  const Exposition::Labels second{{"backend", "app"}, {"server", "ws://127.0.0.1:9001"}};
  const auto with = [](Exposition::Labels labels, const std::string& name, const std::string& value) {
    labels[name] = value;
    return labels;
  };
  EXPECT_EQ(read.sum("sluice_backend_connect_total", with(first, "result", "ok")), 6);
  EXPECT_EQ(read.sum("sluice_backend_connect_total", with(first, "result", "failed")), 0);
  EXPECT_EQ(read.sum("sluice_backend_connect_total", with(second, "result", "failed")), 15);
  EXPECT_EQ(read.sum("sluice_backend_connect_duration_seconds_bucket", with(first, "le", "0.0025")), 3);
  EXPECT_EQ(read.sum("sluice_backend_connect_duration_seconds_count", first), 6);
  EXPECT_EQ(read.sum("sluice_backend_connect_duration_seconds_count", second), 0);
  EXPECT_EQ(read.sum("sluice_backend_retries_total", second), 12);
  EXPECT_EQ(read.sum("sluice_backend_retries_total"), 12);
}

TEST_F(MetricsTest, TheLimitOfAListenerIsTheLowerOfTwo) {
  config::Settings settings = sample_settings();
  settings.listeners.push_back(settings.listeners[0]);
  settings.listeners.push_back(settings.listeners[0]);
  settings.listeners[1].name = "small";
  settings.listeners[1].max_connections = 20;
  settings.listeners[2].name = "large";
  settings.listeners[2].max_connections = 5000;
  use(std::move(settings));
  facts_.connections_limit = 500;
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_connections_limit", {{"listener", "tls"}}), 500);
  EXPECT_EQ(read.sum("sluice_connections_limit", {{"listener", "small"}}), 20);
  EXPECT_EQ(read.sum("sluice_connections_limit", {{"listener", "large"}}), 500);
}

TEST_F(MetricsTest, ManyServersShareOneLabel) {
  config::Settings settings = sample_settings();
  auto& servers = settings.backends[0].servers;
  servers.clear();
  for (std::uint16_t i = 0; i < 250; ++i) {
    const auto port = static_cast<std::uint16_t>(10000 + i);
    servers.push_back({"ws://127.0.0.1:" + std::to_string(port), upstream::Scheme::ws, "127.0.0.1", port, 1});
  }
  use(std::move(settings));
  tallies_.server(0, "app", "ws://127.0.0.1:10200")->connect_seconds.observe(0.2);
  tallies_.server(1, "app", "ws://127.0.0.1:10249")->connect_seconds.observe(0.2);
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_backend_connect_duration_seconds_count", {{"server", "other"}}), 2);
  EXPECT_EQ(read.count("sluice_backend_server_up"), 201u);
  EXPECT_EQ(read.sum("sluice_backend_server_up", {{"server", "other"}}), 50);
}

TEST_F(MetricsTest, AServerThatIsListedTwiceIsOneSeries) {
  config::Settings settings = sample_settings();
  settings.backends[0].servers.push_back(settings.backends[0].servers[0]);
  use(std::move(settings));
  EXPECT_EQ(scrape().count("sluice_backend_server_up"), 2u);
}

TEST_F(MetricsTest, LimitsCountDecisionsOncePerName) {
  config::Settings settings = sample_settings();
  policy::LimitSettings limit;
  limit.name = "new";
  limit.key = policy::LimitSettings::Key::ip;
  limit.unit = policy::LimitSettings::Unit::handshakes;
  limit.rate = 1;
  settings.limits.push_back(limit);
  settings.listeners[0].rate_limit = {"new"};
  settings.routes[0].rate_limit = {"new"};
  use(std::move(settings));
  memory_.limiters.at("new")->count_refused();
  memory_.limiters.at("new")->count_refused();
  memory_.limiters.at("new")->count_allowed();
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_ratelimit_decisions_total", {{"limit", "new"}, {"decision", "refused"}}), 2);
  EXPECT_EQ(read.sum("sluice_ratelimit_decisions_total", {{"limit", "new"}, {"decision", "allowed"}}), 1);
}

TEST_F(MetricsTest, FactsOfTheProcess) {
  facts_ = {.version = "1.2", .revision = "abc", .openssl = "3.0", .start_time = 1763859627, .workers = 3};
  facts_.reload_ok = false;
  facts_.reloads_failed = 2;
  facts_.connections = 11;
  facts_.connections_limit = 500;
  Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_build_info", {{"version", "1.2"}, {"revision", "abc"}, {"openssl", "3.0"}}), 1);
  EXPECT_EQ(read.sum("sluice_start_time_seconds"), 1763859627);
  EXPECT_EQ(read.sum("sluice_workers"), 3);
  EXPECT_EQ(read.sum("sluice_config_last_reload_successful"), 0);
  EXPECT_EQ(read.sum("sluice_config_reloads_total", {{"result", "failed"}}), 2);
  EXPECT_EQ(read.sum("sluice_connections_limit"), 500);
  EXPECT_EQ(read.sum("sluice_drain_remaining_connections"), 0);
  facts_.draining = true;
  read = scrape();
  EXPECT_EQ(read.sum("sluice_draining"), 1);
  EXPECT_EQ(read.sum("sluice_drain_remaining_connections"), 11);
}

TEST_F(MetricsTest, ProcessFamiliesHaveSensibleValues) {
  const Exposition read = scrape();
  EXPECT_GT(read.sum("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(read.sum("process_open_fds"), 3);
  EXPECT_GE(read.sum("process_max_fds"), read.sum("process_open_fds"));
  EXPECT_GT(read.sum("process_start_time_seconds"), 1.5e9);
  EXPECT_EQ(read.count("process_cpu_seconds_total"), 1u);
  EXPECT_GE(read.sum("process_threads"), 1);
}

TEST_F(MetricsTest, CertificatesOfOneNameAreOneSeriesThatFollowsTheSnapshot) {
  config::Settings settings = sample_settings();
  settings.listeners[0].tls.emplace();
  net::CertificateSettings certificate = net::self_signed_certificate({"localhost"});
  certificate.name = "a.pem";
  settings.listeners[0].tls->certificates = {certificate, certificate, {"broken.pem", "no certificate", {}}};
  use(settings);
  const auto end = static_cast<double>(net::certificate_facts(certificate.certificate).not_after);
  const std::string name = "sluice_tls_certificate_not_after_timestamp_seconds";
  Exposition read = scrape();
  EXPECT_EQ(read.count(name), 1u);
  EXPECT_EQ(read.sum(name, {{"name", "a.pem"}}), end);
  settings.listeners[0].tls->certificates.resize(1);
  settings.listeners[0].tls->certificates[0].name = "b.pem";
  use(settings);
  read = scrape();
  EXPECT_EQ(read.count(name), 1u);
  EXPECT_EQ(read.sum(name, {{"name", "b.pem"}}), end);
}

TEST_F(MetricsTest, LabelsAreEscaped) {
  const std::string odd = "a\"b\\c\nd{e=\"f\"} 1";
  use(sample_settings(odd));
  tallies_.route(0, odd).connections.add(1);
  EXPECT_EQ(scrape().sum("sluice_websocket_connections", {{"route", odd}}), 1);
}

TEST_F(MetricsTest, ARemovedRouteKeepsWhatItCounted) {
  use(sample_settings("old"));
  tallies_.route(0, "old").slow_consumers.add(5);
  scrape();
  use(sample_settings("new"));
  tallies_.route(0, "new");
  EXPECT_EQ(scrape().sum("sluice_slow_consumer_closes_total", {{"route", "old"}}), 5);
}

TEST_F(MetricsTest, SeriesBeyondTheBoundAreLeftOutAndCounted) {
  for (int i = 0; i < 50; ++i) tallies_.route(0, "route" + std::to_string(i));
  const Exposition read = scrape(1000);
  EXPECT_LE(read.samples.size(), 1001u);
  EXPECT_GT(read.sum("sluice_series_dropped"), 0);
  EXPECT_EQ(read.count("sluice_build_info"), 1u) << "what comes first stays";
  EXPECT_EQ(read.count("sluice_backend_server_up"), 2u);
}

TEST_F(MetricsTest, NothingIsDroppedOfAnOrdinaryConfiguration) {
  for (int i = 0; i < 50; ++i) tallies_.route(0, "route" + std::to_string(i));
  const Exposition read = scrape();
  EXPECT_EQ(read.sum("sluice_series_dropped"), 0);
  EXPECT_EQ(read.count("sluice_websocket_connections"), 50u);
}

TEST_F(MetricsTest, StatusTellsOfListenersAndRoutes) {
  use(sample_settings("a\"b"));
  facts_.version = "1.2";
  facts_.start_time = 1000;
  tallies_.listener(0, "tls").connections[at(Protocol::tls)].add(2);
  tallies_.listener(1, "tls").connections[at(Protocol::websocket)].add(1);
  tallies_.route(2, "a\"b").flow[1].messages[0].add(4);
  const auto json =
      Json::parse(status_json(facts_, *snapshot_, tallies_, WallTime(std::chrono::seconds(1060))));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->find("version")->text(), "1.2");
  EXPECT_EQ(json->find("uptime_seconds")->integer(), 60);
  EXPECT_EQ(json->find("config")->find("generation")->integer(), 1);
  const Json& listener = json->find("listeners")->items().at(0);
  EXPECT_EQ(listener.find("connections")->integer(), 3);
  EXPECT_EQ(listener.find("bind")->text(), "127.0.0.1:8443");
  const Json& route = json->find("routes")->items().at(0);
  EXPECT_EQ(route.find("name")->text(), "a\"b");
  EXPECT_EQ(route.find("messages_out")->integer(), 4);
  EXPECT_EQ(route.find("messages_in")->integer(), 0);
}

TEST_F(MetricsTest, BackendsTellTheStateOfEachServer) {
  use(sample_settings());
  const auto& servers = snapshot_->clusters()[0]->servers();
  servers[0]->active = 7;
  servers[0]->ejected_until = (now_ + std::chrono::milliseconds(4500)).time_since_epoch().count();
  const auto server = [this](std::size_t i) {
    const auto json = Json::parse(backends_json(*snapshot_, now_));
    return json->find("backends")->items().at(0).find("servers")->items().at(i);
  };
  EXPECT_EQ(server(0).find("state")->text(), "ejected");
  EXPECT_EQ(server(0).find("ejected_for_seconds")->integer(), 5);
  EXPECT_EQ(server(0).find("connections")->integer(), 7);
  EXPECT_EQ(server(0).find("addresses")->items().at(0).text(), "127.0.0.1:9000");
  EXPECT_EQ(server(1).find("state")->text(), "up");
  EXPECT_EQ(server(1).find("url")->text(), "ws://127.0.0.1:9001");
  servers[1]->healthy = false;
  EXPECT_EQ(server(1).find("state")->text(), "down");
  servers[1]->weight = 0;
  EXPECT_EQ(server(1).find("state")->text(), "disabled");
}

TEST_F(MetricsTest, ServersThatNobodyNamesOrHoldsAreForgotten) {
  tallies_.server(0, "app", "ws://127.0.0.1:9000")->retries.add(1);
  tallies_.server(0, "app", "ws://gone")->retries.add(1);
  const auto held = tallies_.server(1, "app", "ws://leaving");
  held->retries.add(1);
  tallies_.forget_servers({Tallies::server_name("app", "ws://127.0.0.1:9000")});
  EXPECT_EQ(tallies_.server("app", "ws://127.0.0.1:9000").size(), 1u);
  EXPECT_TRUE(tallies_.server("app", "ws://gone").empty());
  EXPECT_EQ(tallies_.server("app", "ws://leaving").size(), 1u);
}

TEST_F(MetricsTest, ServersOfANameComeAndGoWithIt) {
  config::Settings settings = sample_settings();
  settings.backends[0].servers = {{"dns+ws://app.test:9000", upstream::Scheme::ws, "app.test", 9000}};
  settings.backends[0].servers[0].discovery = upstream::Discovery::addresses;
  use(std::move(settings));
  const auto group = snapshot_->clusters()[0]->entries()[0].group;
  EXPECT_EQ(scrape().sum("sluice_backend_server_state", {{"server", "dns+ws://app.test:9000"}, {"state", "unresolved"}}), 1);
  const auto found = [](const char* ip) { return upstream::Found{ip, 9000, 1, false, {*net::Address::parse(ip, 9000)}}; };
  group->lookups.good_until = now_.time_since_epoch().count();
  group->lookups.results[1] = 3;
  group->update({found("192.0.2.1"), found("192.0.2.2")});
  const upstream::ServerUse session(group->members()->front());
  group->update({found("192.0.2.2"), found("192.0.2.3")});
  Exposition read = scrape();
  EXPECT_EQ(read.count("sluice_backend_server_up"), 3u) << "one has gone, but for its session";
  EXPECT_EQ(read.sum("sluice_backend_server_up"), 2);
  EXPECT_EQ(read.sum("sluice_backend_server_state", {{"server", "ws://192.0.2.1:9000"}, {"state", "vanished"}}), 1);
  EXPECT_EQ(read.sum("sluice_backend_connections", {{"server", "ws://192.0.2.1:9000"}}), 1);
  EXPECT_EQ(read.sum("sluice_dns_lookups_total", {{"server", "dns+ws://app.test:9000"}, {"result", "nxdomain"}}), 3);
  const auto json = Json::parse(backends_json(*snapshot_, now_));
  const auto backend = json->find("backends")->items().at(0);
  EXPECT_EQ(backend.find("servers")->items().size(), 3u);
  EXPECT_EQ(backend.find("servers")->items().at(2).find("state")->text(), "vanished");
  EXPECT_EQ(backend.find("names")->items().at(0).find("servers")->integer(), 2);
}

}  // namespace
}  // namespace sluice::server
