#include <sys/resource.h>

#include <cstdio>

#include "config/check.h"
#include "config/file.h"
#include "config/snapshot.h"
#include "server/commands.h"
#include "server/server.h"
#include "server/shared_store.h"
#include "server/tallies.h"
#include "session/runtime.h"

namespace sluice::server {

namespace {

// The counters of a runtime that will never run.
class NoTallies final : public session::TallyBook {
 public:
  session::RouteTally& route(const std::string&) override { return route_; }
  session::ListenerTally& listener(const std::string&) override { return listener_; }
  session::RuleTally& rule(const std::string&, const std::string&) override { return rule_; }
  std::shared_ptr<session::ServerTally> server(const std::string&, const std::string&) override { return server_; }

 private:
  session::RouteTally route_;
  session::ListenerTally listener_;
  std::shared_ptr<session::ServerTally> server_ = std::make_shared<session::ServerTally>();
  session::RuleTally rule_;
};

// Builds what a worker would build: keys, certificates, authorities. Asks no network.
bool builds(config::Settings settings, std::vector<std::string>& warnings, std::string& why) {
  for (config::ListenerSettings& listener : settings.listeners) {
    if (listener.tls && listener.tls->self_signed) {
      listener.tls->certificates = {net::self_signed_certificate({"localhost"})};
    }
  }
  net::CryptoContext crypto;
  if (!SharedStore::accepts(crypto, settings.redis, why)) return false;
  config::Memory memory;
  const auto snapshot = std::make_shared<const config::Snapshot>(std::move(settings), memory, 0);
  NoTallies tallies;
  const auto runtime = session::build_runtime(snapshot, crypto, net::fresh_ticket_keys(), tallies, why);
  if (runtime) warnings = runtime->warnings;
  return runtime != nullptr;
}

}  // namespace

int command_check(const std::string& config, bool dump) {
  config::Loaded loaded = config::load(config);
  std::size_t errors = 0;
  std::size_t warnings = 0;
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    std::fputs(diagnostic.text().c_str(), stderr);
    (diagnostic.kind == config::Diagnostic::Kind::error ? errors : warnings) += 1;
  }
  std::string why;
  std::vector<std::string> of_keys;
  if (loaded.ok() && !builds(loaded.settings, of_keys, why)) {
    std::fprintf(stderr, "%s: error: %s\n", config.c_str(), why.c_str());
    ++errors;
  }
  for (const std::string& warning : of_keys) {
    std::fprintf(stderr, "%s: warning: %s\n", config.c_str(), warning.c_str());
    ++warnings;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const std::uint64_t need = loaded.settings.server.max_connections * (1 + most_legs(loaded.settings)) + 1024;
  if (loaded.ok() && loaded.settings.server.max_connections > 0 && need > files.rlim_max) {
    std::fprintf(stderr, "%s: warning: server.max_connections needs %llu descriptors, the hard limit here is %llu\n",
                 config.c_str(), static_cast<unsigned long long>(need),
                 static_cast<unsigned long long>(files.rlim_max));
    ++warnings;
  }
  if (errors > 0) {
    std::fprintf(stderr, "%s: %zu error%s\n", config.c_str(), errors, errors == 1 ? "" : "s");
    return kExitConfig;
  }
  if (dump) std::fputs(config::dump(loaded.settings).c_str(), stdout);
  std::printf("%s: ok%s\n", config.c_str(), warnings > 0 ? ", with warnings" : "");
  return kExitOk;
}

}  // namespace sluice::server
