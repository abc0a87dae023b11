#include <chrono>
#include <cstdio>
#include <fstream>

#include "base/json.h"
#include "base/random.h"
#include "net/crypto.h"
#include "server/commands.h"
#include "server/demo_backend.h"
#include "server/demo_page.h"
#include "server/server.h"

namespace sluice::server {

namespace {

using policy::Carrier;
using policy::LimitSettings;

constexpr std::int64_t kTokenLife = 24 * 3600;

upstream::ServerSettings server_at(upstream::Scheme scheme, const net::Address& address) {
  upstream::ServerSettings server;
  server.scheme = scheme;
  server.host = address.ip();
  server.port = address.port();
  server.url = (scheme == upstream::Scheme::tcp ? "tcp://" : "ws://") + address.text();
  return server;
}

config::RouteSettings route(const std::string& path, const std::string& backend) {
  config::RouteSettings route;
  route.name = route.path = path;
  route.backend = backend;
  if (!backend.empty()) route.auth = {"demo"};
  return route;
}

config::Settings demo_settings(const DemoOptions& options, const std::string& secret, DemoBackend& backends) {
  config::Settings settings;
  settings.file = "demo";
  settings.server.workers = 1;
  settings.server.drain_timeout = std::chrono::seconds(2);
  settings.log.level = Level::warn;
  settings.log.access = "stdout";
  settings.admin.bind = *net::Address::parse("127.0.0.1", options.admin_port);

  config::ListenerSettings listener;
  listener.name = "demo";
  listener.bind = *net::Address::parse("127.0.0.1", options.port);
  listener.tls.emplace().self_signed = true;
  settings.listeners.push_back(listener);

  policy::AuthSettings auth;
  auth.name = "demo";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = secret;
  auth.from = {{Carrier::Kind::header, "Authorization"},
               {Carrier::Kind::subprotocol, "bearer"},
               {Carrier::Kind::query, "access_token"}};
  auth.forward = {{"sub", "X-User-Id"}};
  settings.auths.push_back(auth);

  LimitSettings limit;
  limit.name = "messages";
  limit.key = LimitSettings::Key::connection;
  limit.unit = LimitSettings::Unit::messages;
  limit.rate = 5;
  limit.burst = 10;
  limit.on_limit = LimitSettings::Action::close;
  settings.limits.push_back(limit);

  upstream::BackendSettings echo;
  echo.name = "echo";
  for (const char* name : {"echo-a", "echo-b"}) {
    echo.servers.push_back(server_at(upstream::Scheme::ws, backends.serve(DemoBackend::Kind::websocket, name)));
  }
  upstream::BackendSettings each = echo;
  each.name = "each-message";
  each.unit = upstream::Unit::message;
  upstream::BackendSettings line;
  line.name = "line";
  line.servers.push_back(server_at(upstream::Scheme::tcp, backends.serve(DemoBackend::Kind::line, "line")));
  settings.backends = {echo, each, line};

  settings.routes = {route("/demo", "each-message"), route("/echo", "echo"), route("/line", "line"), route("/", "")};
  settings.routes[0].rate_limit = {"messages"};
  settings.routes[1].websocket.validate_utf8 = true;
  settings.routes[1].websocket.max_message = 64 * 1024 * 1024;
  settings.routes[3].answer = {"text/html; charset=utf-8", std::string(demo_page())};
  return settings;
}

std::string demo_token(const std::string& secret) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  JsonWriter claims;
  claims.begin_object().field("sub", "demo").field("iat", now).field("exp", now + kTokenLife).end_object();
  net::CryptoContext crypto;
  std::string why;
  const auto token = policy::mint(crypto, net::JwsAlgorithm::hs256, secret, "", claims.text(), why);
  check(token.has_value(), "the demo's token");
  return *token;
}

void introduce(const DemoOptions& options, const std::string& token) {
  const std::string at = "localhost:" + std::to_string(options.port);
  const char* file = options.certificate_file.c_str();
  std::printf("\nSluice demo\n\n");
  std::printf("page         https://%s/#token=%s\n", at.c_str(), token.c_str());
  std::printf("url          wss://%s/demo\n", at.c_str());
  std::printf("token        %s\n", token.c_str());
  std::printf("certificate  %s\n", file);
  std::printf("metrics      http://127.0.0.1:%u/metrics\n\n", options.admin_port);
  std::printf("Without a token: 401, and why\n");
  std::printf(
      "  curl -i --http1.1 --cacert %s -H 'Connection: Upgrade' -H 'Upgrade: websocket' "
      "-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' https://%s/demo\n\n",
      file, at.c_str());
  std::printf("With it: type a line, see who answers\n");
  std::printf("  SSL_CERT_FILE=%s /usr/bin/python3 -m websockets 'wss://%s/demo?access_token=%s'\n\n", file, at.c_str(),
              token.c_str());
  std::printf("Access log below; Ctrl-C ends it.\n\n");
  std::fflush(stdout);
}

}  // namespace

int command_demo(const DemoOptions& options, const Build& build) {
  std::array<std::uint8_t, 32> octets;
  random_fill(octets);
  const std::string secret(as_text(octets));
  DemoBackend backends;
  const config::Settings settings = demo_settings(options, secret, backends);
  ServerOptions server;
  server.build = build;
  server.load = [&settings] { return config::Loaded{settings, {}}; };
  bool written = true;
  server.ready = [&](const Server& running) {
    std::ofstream out(options.certificate_file, std::ios::trunc);
    out << running.self_signed_certificate("demo");
    written = static_cast<bool>(out.flush());
    if (!written) std::fprintf(stderr, "sluice: cannot write %s\n", options.certificate_file.c_str());
    introduce(options, demo_token(secret));
  };
  backends.start();
  return Server(std::move(server)).run();
}

}  // namespace sluice::server
