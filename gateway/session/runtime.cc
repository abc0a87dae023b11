#include "session/runtime.h"

#include <algorithm>

#include "session/limit_key.h"

namespace sluice::session {

namespace {

ServerBook* book_of(Runtime& runtime, const upstream::Cluster& cluster, TallyBook& tallies) {
  auto& book = runtime.books[cluster.settings().name];
  if (!book) book = std::make_unique<ServerBook>(tallies, cluster.settings().name);
  return book.get();
}

// Leaves `tls` alone where no server speaks it; false when a certificate or key cannot be used.
bool make_client(Runtime& runtime, const upstream::Cluster& cluster, bool http, net::CryptoContext& crypto,
                 const net::TlsClient*& tls, std::string& why) {
  if (!cluster.settings().encrypted()) return true;
  const upstream::UpstreamTls& settings = cluster.settings().tls;
  auto client = net::TlsClient::make(crypto, {settings.ca, settings.certificate, settings.key, http}, why);
  if (!client) {
    why = "backend '" + cluster.settings().name + "': " + why;
    return false;
  }
  tls = client.get();
  runtime.clients.push_back(std::move(client));
  return true;
}

// One for all routes that name it.
bool make_jwt(Runtime& runtime, const policy::AuthSettings& auth, net::CryptoContext& crypto, policy::Method& method,
              std::string& why) {
  auto& made = runtime.tokens[auth.name];
  if (!made) {
    made = policy::Jwt::make(crypto, auth.jwt, why, runtime.snapshot->key_source(auth.name));
    // Whoever fetches the keys takes this for good.
    const policy::KeySourceSettings& keys = auth.jwt.source;
    if (made && keys.remote() && !net::TlsClient::make(crypto, {keys.ca, {}, {}}, why)) made.reset();
    if (!made) {
      why = "auth '" + auth.name + "': " + why;
      return false;
    }
    for (const std::string& warning : made->warnings()) {
      runtime.warnings.push_back("auth '" + auth.name + "': " + warning);
    }
  }
  method.jwt = made.get();
  auto& cache = runtime.caches[auth.name];
  if (!cache) cache = std::make_unique<policy::TokenCache>();
  method.cache = cache.get();
  return true;
}

bool make_external(Runtime& runtime, const policy::AuthSettings& auth, net::CryptoContext& crypto, policy::Method& method,
                   std::string& why) {
  const policy::ExternalSettings& settings = auth.external;
  auto& made = runtime.external_checks[auth.name];
  if (!made) made = std::make_unique<policy::ExternalAuth>(settings);
  method.external = made.get();
  if (!settings.tls) return true;
  auto client = net::TlsClient::make(crypto, {settings.ca, settings.certificate, settings.key, true}, why);
  if (!client) {
    why = "auth '" + auth.name + "': " + why;
    return false;
  }
  method.external_tls = client.get();
  runtime.clients.push_back(std::move(client));
  return true;
}

void add_meter(RouteRuntime& route, policy::Limiter& limiter, const policy::LimitSettings& limit) {
  using Unit = policy::LimitSettings::Unit;
  if ((limit.unit != Unit::messages && limit.unit != Unit::bytes) || route.meter(limiter)) return;
  auto rule = std::make_unique<MeterRule>();
  rule->limiter = &limiter;
  rule->rate = policy::Rate(limit.rate, limit.per, limit.burst);
  rule->own = limit.key == policy::LimitSettings::Key::connection;
  rule->by_bytes = limit.unit == Unit::bytes;
  rule->action = limit.on_limit;
  rule->close_code = limit.close_code;
  rule->refusal = limit_errc(limit.key);
  route.meters.push_back(std::move(rule));
}

bool add_method(Runtime& runtime, const policy::AuthSettings& auth, net::CryptoContext& crypto, std::vector<policy::Method>& methods,
                std::string& why) {
  policy::Method& method = methods.emplace_back(&auth);
  method.failures = runtime.snapshot->failures(auth.name);
  using Type = policy::AuthSettings::Type;
  if (auth.type == Type::jwt) return make_jwt(runtime, auth, crypto, method, why);
  return auth.type != Type::external || make_external(runtime, auth, crypto, method, why);
}

bool add_endpoints(Runtime& runtime, const policy::AuthSettings& auth, net::CryptoContext& crypto, std::string& why) {
  using Kind = policy::EndpointSettings::Kind;
  if (!auth.endpoints.any()) return true;
  std::vector<policy::Method> methods;
  if (!add_method(runtime, auth, crypto, methods, why)) return false;
  // A ticket is for one connection: neither another ticket nor a longer life is had by it.
  runtime.authenticators.push_back(std::make_unique<const policy::Authenticator>(std::move(methods), false));
  for (const Kind kind : {Kind::ticket, Kind::refresh, Kind::logout}) {
    if (!auth.endpoints.path(kind).empty()) runtime.endpoints.push_back({kind, &auth, runtime.authenticators.back().get()});
  }
  return true;
}

bool add_route(Runtime& runtime, const config::CompiledRoute& compiled, net::CryptoContext& crypto,
               TallyBook& tallies, std::string& why) {
  RouteRuntime route;
  route.compiled = &compiled;
  route.tally = &tallies.route(compiled.settings->name);
  if (compiled.cluster) route.servers = book_of(runtime, *compiled.cluster, tallies);
  std::vector<policy::Method> methods;
  for (const policy::AuthSettings* const auth : compiled.auths) {
    if (!add_method(runtime, *auth, crypto, methods, why)) return false;
  }
  if (!methods.empty()) route.authenticator = std::make_unique<const policy::Authenticator>(std::move(methods));
  const bool http = compiled.plan.up != config::FramerKind::ws_to_tcp;
  if (compiled.cluster && !make_client(runtime, *compiled.cluster, http, crypto, route.tls, why)) return false;
  if (compiled.messages) {
    for (const auto& cluster : compiled.messages->clusters) {
      const net::TlsClient* tls = cluster == compiled.cluster ? route.tls : nullptr;
      if (cluster != compiled.cluster && !make_client(runtime, *cluster, http, crypto, tls, why)) return false;
      route.message_tls.push_back(tls);
      route.message_servers.push_back(book_of(runtime, *cluster, tallies));
    }
    for (const upstream::MessageRule& rule : compiled.messages->rules.rules()) {
      route.rules.push_back(&tallies.rule(compiled.settings->name, rule.name));
    }
    route.rules.push_back(&tallies.rule(compiled.settings->name, "fallback"));
  }
  for (const auto* const limits : {&compiled.limits, &compiled.key_limits}) {
    for (const auto& limiter : *limits) add_meter(route, *limiter, runtime.snapshot->limit(*limiter));
  }
  runtime.routes.push_back(std::move(route));
  return true;
}

}  // namespace

ServerTally& ServerBook::of(const upstream::Server& server) {
  const auto known = entries_.find(&server);
  if (known != entries_.end() && !known->second.server.expired()) return *known->second.tally;
  std::erase_if(entries_, [](const auto& entry) { return entry.second.server.expired(); });
  Entry& entry = entries_[&server];
  entry = {server.weak_from_this(), tallies_.server(backend_, server.settings().url)};
  return *entry.tally;
}

std::shared_ptr<const Runtime> build_runtime(std::shared_ptr<const config::Snapshot> snapshot,
                                             net::CryptoContext& crypto, const net::TicketKeys& tickets,
                                             TallyBook& tallies, std::string& why) {
  auto runtime = std::make_shared<Runtime>();
  runtime->snapshot = std::move(snapshot);
  const config::Snapshot& source = *runtime->snapshot;
  for (const policy::AuthSettings& auth : source.settings().auths) std::ranges::copy(auth.from, std::back_inserter(runtime->carriers));
  for (const config::CompiledListener& compiled : source.listeners()) {
    ListenerRuntime listener{&compiled, nullptr, &tallies.listener(compiled.settings->name),
                             &source.settings().access_fields, &runtime->carriers};
    if (compiled.cluster) {
      listener.servers = book_of(*runtime, *compiled.cluster, tallies);
      if (!make_client(*runtime, *compiled.cluster, false, crypto, listener.upstream_tls, why)) return nullptr;
    }
    if (compiled.settings->tls) {
      auto profile = net::TlsProfile::make(crypto, *compiled.settings->tls, tickets, why);
      if (!profile) {
        why.insert(0, "listener '" + compiled.settings->name + "': ");
        return nullptr;
      }
      listener.tls = profile.get();
      runtime->profiles.push_back(std::move(profile));
    }
    runtime->listeners.push_back(listener);
  }
  for (const policy::AuthSettings& auth : source.settings().auths) {
    if (!add_endpoints(*runtime, auth, crypto, why)) return nullptr;
  }
  for (const config::CompiledRoute& compiled : source.routes()) {
    if (!add_route(*runtime, compiled, crypto, tallies, why)) return nullptr;
  }
  return runtime;
}

}  // namespace sluice::session
