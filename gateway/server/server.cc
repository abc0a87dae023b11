#include "server/server.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>

#include "base/json.h"
#include "base/log.h"

namespace sluice::server {

namespace {

constexpr auto kTicketLife = std::chrono::hours(12);
constexpr std::uint64_t kReserve = 1024;  // descriptors that are not connections

unsigned worker_count(const config::Settings& settings) {
  if (settings.server.workers > 0) return settings.server.workers;
  return std::max(1u, std::thread::hardware_concurrency());
}

// The name of a certificate that is not in force yet and has expired already; empty: there is none. One that expired in
// service goes on, so that it does not stand in the way of other changes.
std::string newly_expired(const config::Settings& next, const config::Settings& in_force, WallTime now) {
  const auto serves = [&](const std::string& certificate) {
    return std::ranges::any_of(in_force.listeners, [&](const config::ListenerSettings& listener) {
      return listener.tls && std::ranges::any_of(listener.tls->certificates, [&](const net::CertificateSettings& one) {
        return one.certificate == certificate;
      });
    });
  };
  for (const config::ListenerSettings& listener : next.listeners) {
    if (!listener.tls) continue;
    for (const net::CertificateSettings& one : listener.tls->certificates) {
      const std::chrono::seconds end(net::certificate_facts(one.certificate).not_after);
      if (end.count() != 0 && now.time_since_epoch() > end && !serves(one.certificate)) return one.name;
    }
  }
  return {};
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      place_{loop_, turn_, pool_},
      mailbox_(loop_),
      revoker_(loop_, memory_.revocations, [this](auto kick, auto done) { this->kick(kick, std::move(done)); }),
      resolver_(loop_),
      shared_store_(place_, resolver_, revoker_, memory_.revocations),
      names_(loop_, resolver_, [this] { members_changed(); }),
      health_(place_),
      keys_(place_, resolver_, mailbox_),
      rebalance_timer_(loop_, [this] { rebalance(); }),
      files_(loop_, [this] { reload("file"); }),
      ticket_timer_(loop_, [this] { rotate_tickets(); }),
      drain_guard_(loop_, [this] { loop_.stop(); }) {}

Server::~Server() {
  for (const auto& worker : workers_) worker->stop_and_join();
}

int Server::run() {
  // A core would hold keys and tokens; nothing that this process starts may gain rights.
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  signals_ = std::make_unique<event::Signals>(loop_, [this](int number) { on_signal(number); });
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) signals_->watch(number);
  const int started = start();
  if (started != kExitOk) return started;
  loop_.run();
  for (const auto& worker : workers_) worker->stop_and_join();
  log::event(Level::info, "stopped", {{"exit_code", exit_code_}});
  log::close();
  return exit_code_;
}

// ---- start -------------------------------------------------------------------------------------------------------------

int Server::start() {
  config::Loaded loaded = options_.load();
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) std::fputs(diagnostic.text().c_str(), stderr);
  if (!loaded.ok()) return kExitConfig;
  std::string why;
  if (!limits(loaded.settings, why)) {
    std::fprintf(stderr, "sluice: %s\n", why.c_str());
    return kExitConfig;
  }
  if (!log::open(loaded.settings.log, why)) {
    std::fprintf(stderr, "sluice: %s\n", why.c_str());
    return kExitConfig;
  }
  if (!revoker_.open(loaded.settings.revocation, why)) {
    std::fprintf(stderr, "sluice: revocations: %s\n", why.c_str());
    return kExitConfig;
  }
  if (!shared_store_.accepts(loaded.settings.redis, why)) {
    std::fprintf(stderr, "sluice: %s\n", why.c_str());
    return kExitConfig;
  }
  make_self_signed(loaded.settings);
  const unsigned count = worker_count(loaded.settings);
  mallopt(M_ARENA_MAX, static_cast<int>(count) + 1);  // one a thread: more would only keep more
  tallies_ = std::make_unique<Tallies>(count);
  metrics_ = std::make_unique<Metrics>(*tallies_);
  facts_.version = options_.build.version;
  facts_.revision = options_.build.revision;
  facts_.openssl = net::openssl_version().second;
  facts_.workers = count;
  facts_.start_time = facts_.reload_time =
      std::chrono::duration<double>(loop_.wall().time_since_epoch()).count();
  shared_.revoke = [this](policy::Revocation what, Duration ttl, const char* action, std::string by,
                          std::move_only_function<void(bool)> done) {
    mailbox_.post([this, what = std::move(what), ttl, action, by = std::move(by), done = std::move(done)]() mutable {
      revoke_for_worker(std::move(what), ttl, action, std::move(by), std::move(done));
    });
  };
  shared_.renew = [this](std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
                         std::move_only_function<void(Result<bool>)> done) {
    mailbox_.post([this, id = std::move(id), fresh = std::move(fresh), by = std::move(by), done = std::move(done)]() mutable {
      renew(id, fresh, by, std::move(done));
    });
  };
  for (unsigned i = 0; i < count; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>(i, shared_, *tallies_));
    shared_tickets_.push_back(std::make_unique<SharedTickets>(
        [this](SharedTickets::Task task) { mailbox_.post(std::move(task)); },
        [&worker](SharedTickets::Task task) { worker.post(std::move(task)); },
        [this](std::vector<std::string> command, store::RedisPipeline::Done done) {
          shared_store_.ask(std::move(command), std::move(done));
        }));
  }

  auto first = std::make_unique<Reload>();
  first->snapshot = std::make_shared<const config::Snapshot>(std::move(loaded.settings), memory_, ++generation_);
  // Before the admin listener: who finds it can connect here, too. There is no configuration yet that could stay in force.
  if (!open_listeners(*first)) {
    std::fprintf(stderr, "sluice: %s\n", first->why.c_str());
    return kExitBind;
  }
  AdminSource& source = *this;
  admin_ = std::make_unique<Admin>(loop_, place_, source);
  if (!admin_->listen(first->snapshot->settings().admin, why)) {
    std::fprintf(stderr, "sluice: admin: %s\n", why.c_str());
    return kExitBind;
  }
  int result = kExitOk;
  first->done = [this, &result](bool good) {
    if (!good) {
      std::fprintf(stderr, "sluice: %s\n", reload_->why.c_str());
      result = kExitConfig;
    }
    loop_.stop();
  };
  for (const auto& worker : workers_) worker->start();
  apply(std::move(first));
  loop_.run();  // until the workers serve, or a signal ends it
  if (!snapshot_) return result != kExitOk ? result : exit_code_;
  ticket_timer_.arm(kTicketLife);
  log::event(Level::info, "started",
             {{"version", options_.build.version}, {"revision", options_.build.revision}, {"workers", count}, {"config", snapshot_->settings().file},
              {"max_connections", shared_.max_connections.load()}});
  if (options_.ready) options_.ready(*this);
  return kExitOk;
}

std::uint64_t most_legs(const config::Settings& settings) {
  std::uint64_t legs = 1;
  for (const upstream::BackendSettings& backend : settings.backends) {
    if (backend.unit != upstream::Unit::message) continue;
    legs = std::max<std::uint64_t>(legs, backend.most_legs());
  }
  // Messages of one client may go to several backends, by default to eight servers in all or to one of each.
  for (const config::RouteSettings& route : settings.routes) {
    if (!route.messages.empty()) legs = std::max<std::uint64_t>(legs, std::max<std::size_t>(8, route.messages.size() + 1));
  }
  return legs;
}

// The soft descriptor limit is raised to the hard one; max_connections follows from it, or must fit.
bool Server::limits(const config::Settings& settings, std::string& why) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < files.rlim_max) {
    const rlimit raised{files.rlim_max, files.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;  // a seccomp filter may forbid it: then it stays
  }
  const std::uint64_t legs = most_legs(settings);
  const std::uint64_t have = files.rlim_cur;
  const std::uint64_t fits = have > kReserve ? (have - kReserve) / (1 + legs) : 0;
  std::uint64_t wanted = settings.server.max_connections;
  if (wanted > fits) {
    why = "server.max_connections = " + std::to_string(wanted) + " needs " +
          std::to_string(wanted * (1 + legs) + kReserve) + " descriptors, the limit is " + std::to_string(have) +
          " (raise it with ulimit -n or LimitNOFILE=)";
    return false;
  }
  // Without a reserve's worth of descriptors a small limit is shared as well as it can be.
  if (wanted == 0) wanted = fits > 0 ? fits : std::max<std::uint64_t>(1, have / 2 / (1 + legs));
  shared_.max_connections.store(wanted);
  facts_.connections_limit = wanted;
  return true;
}

void Server::make_self_signed(config::Settings& settings) {
  for (config::ListenerSettings& listener : settings.listeners) {
    if (!listener.tls || !listener.tls->self_signed) continue;
    net::CertificateSettings& made = self_signed_[listener.name];
    if (made.certificate.empty()) {
      made = net::self_signed_certificate({"localhost", "127.0.0.1", "::1"});
      const net::CertificateFacts facts = net::certificate_facts(made.certificate);
      log::event(Level::warn, "self_signed_certificate", {{"listener", listener.name}, {"sha256", facts.sha256}});
    }
    listener.tls->certificates = {made};
  }
}

std::string Server::self_signed_certificate(const std::string& listener) const {
  const auto found = self_signed_.find(listener);
  return found == self_signed_.end() ? std::string() : found->second.certificate;
}

bool Server::open_listeners(Reload& reload) {
  reload.fds.resize(workers_.size());
  for (const config::ListenerSettings& listener : reload.snapshot->settings().listeners) {
    const std::string address = listener.bind.text();
    const auto open = bound_.find(listener.name);
    if (open != bound_.end() && open->second == address) continue;  // kept ones keep their sockets
    for (auto& fds : reload.fds) {
      int error = 0;
      net::Fd fd = net::listen_on(listener.bind, error);
      if (!fd) {
        reload.why = "cannot listen on " + address + " (listener '" + listener.name + "'): " + std::strerror(error);
        return false;
      }
      fds[listener.name] = std::move(fd);
    }
  }
  return true;
}

// ---- reload ------------------------------------------------------------------------------------------------------------

void Server::apply(std::unique_ptr<Reload> reload) {
  reload_ = std::move(reload);
  reload_->waiting = static_cast<unsigned>(workers_.size());
  for (const auto& worker : workers_) {
    worker->post([this, &worker = *worker, snapshot = reload_->snapshot, tickets = tickets_] {
      std::string why;
      const bool good = worker.prepare(snapshot, tickets, why);
      if (good && &worker == workers_.front().get()) {  // every worker has built the same
        for (const std::string& warning : worker.warnings()) {
          log::event(Level::warn, "config_warning", {{"message", warning}});
        }
      }
      mailbox_.post([this, good, why] { prepared(good, why); });
    });
  }
}

void Server::prepared(bool good, std::string why) {
  if (!good) reload_->why = std::move(why);
  if (--reload_->waiting > 0) return;
  // Sockets last: nobody is to connect to one of a configuration that does not come into force.
  if (!reload_->why.empty() || (reload_->fds.empty() && !open_listeners(*reload_))) {
    for (const auto& worker : workers_) worker->post([&worker = *worker] { worker.discard(); });
    reload_->done(false);
    reload_.reset();
    return;
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([&worker = *workers_[i], fds = std::move(reload_->fds[i])]() mutable {
      worker.commit(std::move(fds));
    });
  }
  applied(reload_->snapshot);
  const auto done = std::move(reload_->done);
  reload_.reset();
  done(true);
}

void Server::applied(const std::shared_ptr<const config::Snapshot>& snapshot) {
  snapshot_ = snapshot;
  snapshot_->take_effect(memory_);
  revoker_.configure(snapshot_->settings().revocation);
  bound_.clear();
  for (const config::ListenerSettings& listener : snapshot->settings().listeners) {
    bound_[listener.name] = listener.bind.text();
  }
  std::string resolvers;
  for (const net::Address& resolver : snapshot->settings().server.resolvers) {
    resolvers += (resolvers.empty() ? "" : ",") + resolver.text();
  }
  resolver_.use(resolvers);
  names_.watch(snapshot->clusters());
  keys_.watch(snapshot->key_uses());
  shared_store_.configure(snapshot->settings().redis);
  share_tickets(shared_store_.enabled());
  members_changed();
  rebalancer_.watch(snapshot->clusters());
  if (rebalancer_.needed() && !rebalance_timer_.armed()) rebalance_timer_.arm(upstream::Rebalancer::kPeriod);
  files_.set(snapshot->settings().watched);
}

void Server::rebalance() {
  if (!rebalancer_.needed() || draining_) return;
  rebalancer_.look(loop_.now());
  rebalance_timer_.arm(upstream::Rebalancer::kPeriod);
}

// What looks after servers follows their comings and goings.
void Server::members_changed() {
  health_.watch(snapshot_->clusters());
  std::set<std::string> named;
  for (const auto& cluster : snapshot_->clusters()) {
    for (const auto& server : cluster->servers()) {
      named.insert(Tallies::server_name(cluster->settings().name, server->settings().url));
    }
  }
  tallies_->forget_servers(named);
}

void Server::reload(const char* cause) {
  if (draining_) return;
  if (reload_) {  // one at a time; what comes meanwhile is one more
    reload_again_ = true;
    return;
  }
  log::event(Level::info, "reloading", {{"cause", cause}});
  config::Loaded loaded = options_.load();
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    const bool error = diagnostic.kind == config::Diagnostic::Kind::error;
    log::event(error ? Level::error : Level::warn, error ? "config_error" : "config_warning",
               {{"file", diagnostic.file}, {"line", diagnostic.line}, {"column", diagnostic.column},
                {"message", diagnostic.message}, {"help", diagnostic.help}});
  }
  if (!loaded.ok()) return reloaded(false, "the configuration has errors");
  std::string why;
  const std::uint64_t limit_before = shared_.max_connections.load();
  if (!limits(loaded.settings, why)) {
    shared_.max_connections.store(limit_before);
    return reloaded(false, why);
  }
  if (!shared_store_.accepts(loaded.settings.redis, why)) {
    shared_.max_connections.store(limit_before);
    return reloaded(false, why);
  }
  if (worker_count(loaded.settings) != workers_.size()) {
    log::event(Level::warn, "config_warning", {{"message", "server.workers changes at the next start only"}});
  }
  if (loaded.settings.revocation.file != snapshot_->settings().revocation.file) {
    log::event(Level::warn, "config_warning", {{"message", "revocation.file changes at the next start only"}});
  }
  if (const std::string name = newly_expired(loaded.settings, snapshot_->settings(), loop_.wall()); !name.empty()) {
    shared_.max_connections.store(limit_before);
    return reloaded(false, "the new certificate '" + name + "' has expired");
  }
  make_self_signed(loaded.settings);
  auto next = std::make_unique<Reload>();
  next->snapshot = std::make_shared<const config::Snapshot>(std::move(loaded.settings), memory_, ++generation_);
  next->done = [this, limit_before](bool good) {
    const std::string reason = good ? std::string() : reload_->why;
    if (!good) shared_.max_connections.store(limit_before);
    if (good) {
      std::string fault;
      if (!log::open(snapshot_->settings().log, fault) || !admin_->listen(snapshot_->settings().admin, fault)) {
        log::event(Level::error, "reload_incomplete", {{"error", fault}});
      }
    }
    reloaded(good, reason);
    if (std::exchange(reload_again_, false)) {
      loop_.defer([this] { reload("again"); });
    }
  };
  apply(std::move(next));
}

void Server::reloaded(bool good, const std::string& why) {
  facts_.reload_ok = good;
  if (good) {
    ++facts_.reloads_ok;
    facts_.reload_time = std::chrono::duration<double>(loop_.wall().time_since_epoch()).count();
    log::event(Level::info, "reloaded", {{"generation", snapshot_->generation()}});
  } else {
    ++facts_.reloads_failed;
    log::event(Level::error, "reload_failed", {{"error", why}, {"kept", "the configuration in force"}});
  }
}

void Server::share_tickets(bool shared) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([&worker = *workers_[i], store = shared ? shared_tickets_[i].get() : nullptr] { worker.share_tickets(store); });
  }
}

void Server::rotate_tickets() {
  tickets_ = net::rotate(tickets_);
  for (const auto& worker : workers_) {
    worker->post([&worker = *worker, tickets = tickets_] { worker.set_ticket_keys(tickets); });
  }
  ticket_timer_.arm(kTicketLife);
}

// ---- signals and the end -------------------------------------------------------------------------------------------------

void Server::on_signal(int number) {
  switch (number) {
    case SIGHUP: return reload("signal");
    case SIGUSR1:
      if (!log::reopen()) log::event(Level::error, "log_reopen_failed");
      return;
    case SIGUSR2: return;  // reserved for an in-place upgrade
    case SIGTERM:
    case SIGQUIT:
      if (!draining_ && snapshot_) return drain();
      [[fallthrough]];
    default:
      exit_code_ = 128 + number;
      loop_.stop();
  }
}

void Server::drain() {
  draining_ = true;
  const Duration timeout = snapshot_->settings().server.drain_timeout;
  log::event(Level::info, "draining",
             {{"connections", shared_.connections.load()},
              {"timeout_ms", std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count()}});
  draining_workers_ = static_cast<unsigned>(workers_.size());
  for (const auto& worker : workers_) {
    worker->post([this, &worker = *worker, timeout] {
      // Closes are spread over the first 80 %, so that clients do not all come back at once.
      worker.drain(timeout * 8 / 10, timeout, [this] {
        mailbox_.post([this] {
          if (--draining_workers_ == 0) loop_.stop();
        });
      });
    });
  }
  drain_guard_.arm(timeout + std::chrono::seconds(1));
}

// ---- what the admin listener asks ------------------------------------------------------------------------------------------

ProcessFacts Server::facts() {
  ProcessFacts now = facts_;
  now.draining = draining_;
  now.connections = shared_.connections.load();
  now.revocations = revoker_.in_force();
  now.connections_limit = shared_.max_connections.load();
  now.keys = keys_.facts(loop_.now());
  now.redis = shared_store_.facts();
  return now;
}

std::string Server::metrics() { return metrics_->scrape(facts(), *snapshot_, loop_.now()); }
std::string Server::status() { return status_json(facts(), *snapshot_, *tallies_, loop_.wall()); }
std::string Server::backends() { return backends_json(*snapshot_, loop_.now()); }
std::expected<std::string, AdminRefusal> Server::command(const AdminCommand& command) {
  return command.apply(*snapshot_, loop_.now());
}

bool Server::ready(std::string& why) {
  if (draining_) {
    why = "draining";
    return false;
  }
  if (!snapshot_) {
    why = "starting";
    return false;
  }
  return true;
}

void Server::connections(const ConnectionQuery& query, std::move_only_function<void(AdminReply)> done) {
  struct Gathered {
    std::string all;
    std::size_t left;  // of the limit, which is that of all workers together
    std::size_t waiting;
    std::move_only_function<void(AdminReply)> done;
    void add(const std::vector<std::string>& found) {
      for (const std::string& one : found) {
        if (left == 0) break;
        --left;
        if (!all.empty()) all += ',';
        all += one;
      }
      if (--waiting == 0) done({200, "{\"connections\":[" + all + "]}"});
    }
  };
  auto gathered = std::make_shared<Gathered>(Gathered{{}, query.limit, workers_.size(), std::move(done)});
  const session::ConnectionFilter filter = query.filter(memory_.revocations->seed());
  for (const auto& worker : workers_) {
    worker->post([this, &worker = *worker, filter, limit = query.limit, gathered] {
      worker.describe(filter, limit, [this, gathered](std::vector<std::string> found) {
        mailbox_.post([found = std::move(found), gathered] { gathered->add(found); });
      });
    });
  }
}

void Server::revoke(const RevokeCommand& command, std::string_view by, std::move_only_function<void(AdminReply)> done) {
  const auto& auths = snapshot_->settings().auths;
  const std::string& auth = command.what.auth;
  if (!auth.empty() && std::ranges::none_of(auths, [&](const auto& one) { return one.name == auth; })) {
    return done({404, R"({"error":"no such auth"})"});
  }
  revoker_.revoke(command, by, std::move(done));
}

void Server::revoke_for_worker(policy::Revocation what, Duration ttl, const char* action, std::string by,
                               std::move_only_function<void(bool)> done) {
  RevokeCommand command;
  command.what = std::move(what);
  command.ttl = ttl;
  command.action = action;
  revoker_.revoke(command, by, [done = std::move(done)](AdminReply reply) mutable { done(reply.status == 200); });
}

// An id is that of one connection: one worker at most has something to say.
void Server::renew(const std::string& id, const std::shared_ptr<const policy::Authenticated>& fresh, const std::string& by,
                   std::move_only_function<void(Result<bool>)> done) {
  struct Gathered {
    Result<bool> renewed;
    std::size_t waiting;
    std::move_only_function<void(Result<bool>)> done;
    void add(Result<bool> more) {
      const bool found = renewed && *renewed;
      if (!found && (!more || *more)) renewed = more;
      if (--waiting == 0) done(renewed);
    }
  };
  auto gathered = std::make_shared<Gathered>(Gathered{false, workers_.size(), std::move(done)});
  for (const auto& worker : workers_) {
    worker->post([this, &worker = *worker, id, fresh, by, gathered] {
      worker.renew(id, fresh, by, [this, gathered](Result<bool> renewed) {
        mailbox_.post([renewed, gathered] { gathered->add(renewed); });
      });
    });
  }
}

void Server::kick(const std::shared_ptr<const session::Kick>& kick, std::move_only_function<void(std::size_t)> done) {
  struct Gathered {
    std::size_t closed;
    std::size_t waiting;
    std::move_only_function<void(std::size_t)> done;
    void add(std::size_t more) {
      closed += more;
      if (--waiting == 0) done(closed);
    }
  };
  auto gathered = std::make_shared<Gathered>(Gathered{0, workers_.size(), std::move(done)});
  for (const auto& worker : workers_) {
    worker->post([this, &worker = *worker, kick, gathered] {
      worker.kick(kick, [this, gathered](std::size_t closed) {
        mailbox_.post([closed, gathered] { gathered->add(closed); });
      });
    });
  }
}

}  // namespace sluice::server
