// Server: the process. Loads and checks the configuration, owns the workers and what the main thread looks after
// (signals, reload, names, health checks, the admin listener), and ends it all in order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/file.h"
#include "config/snapshot.h"
#include "event/file_watch.h"
#include "event/loop.h"
#include "event/mailbox.h"
#include "event/signals.h"
#include "event/timer.h"
#include "net/resolver.h"
#include "server/admin.h"
#include "server/build.h"
#include "server/exit_code.h"
#include "server/key_fetcher.h"
#include "server/metrics.h"
#include "server/revoker.h"
#include "server/shared_store.h"
#include "server/shared_tickets.h"
#include "server/status.h"
#include "server/tallies.h"
#include "server/worker.h"
#include "upstream/health.h"
#include "upstream/names.h"
#include "upstream/rebalance.h"

namespace sluice::server {

class Server;

// Upstream connections that one client connection may have at a time.
std::uint64_t most_legs(const config::Settings& settings);

struct ServerOptions {
  std::function<config::Loaded()> load;       // called at start and at every reload
  std::function<void(const Server&)> ready;   // called once when everything serves; may be empty
  Build build;
};

class Server final : private AdminSource {
 public:
  explicit Server(ServerOptions options);
  ~Server();

  // Runs until a signal ends it. The exit code.
  int run();
  // The certificate that was made for a listener with self_signed = true, PEM; empty when none was.
  std::string self_signed_certificate(const std::string& listener) const;

 private:
  // A reload under way: counted down by the workers' answers.
  struct Reload {
    std::shared_ptr<const config::Snapshot> snapshot;
    std::vector<std::map<std::string, net::Fd>> fds;  // per worker; empty: not bound yet
    unsigned waiting = 0;
    std::string why;  // not empty: nothing of it comes into force
    std::function<void(bool)> done;
  };

  int start();
  bool limits(const config::Settings& settings, std::string& why);
  void make_self_signed(config::Settings& settings);
  bool open_listeners(Reload& reload);
  // Two phases: every worker builds, then all switch or none does.
  void apply(std::unique_ptr<Reload> reload);
  void prepared(bool good, std::string why);
  void applied(const std::shared_ptr<const config::Snapshot>& snapshot);
  void members_changed();
  void rebalance();
  void reload(const char* cause);
  void reloaded(bool good, const std::string& why);
  void on_signal(int number);
  void drain();
  void rotate_tickets();
  void share_tickets(bool shared);

  std::string metrics() override;
  std::string status() override;
  std::string backends() override;
  std::expected<std::string, AdminRefusal> command(const AdminCommand& command) override;
  bool ready(std::string& why) override;
  bool started() override { return snapshot_ != nullptr; }
  void connections(const ConnectionQuery& query, std::move_only_function<void(AdminReply)> done) override;
  void revoke(const RevokeCommand& command, std::string_view by, std::move_only_function<void(AdminReply)> done) override;
  std::string revocations(std::size_t limit) override { return revoker_.list(limit); }
  AdminReply restore(const std::string& id, std::string_view by) override { return revoker_.restore(id, by); }
  void revoke_for_worker(policy::Revocation what, Duration ttl, const char* action, std::string by,
                         std::move_only_function<void(bool)> done);
  void renew(const std::string& id, const std::shared_ptr<const policy::Authenticated>& fresh, const std::string& by,
             std::move_only_function<void(Result<bool>)> done);
  void kick(const std::shared_ptr<const session::Kick>& kick, std::move_only_function<void(std::size_t)> done);
  ProcessFacts facts();

  ServerOptions options_;
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_;
  event::Mailbox mailbox_;
  config::Memory memory_;
  Shared shared_;
  std::unique_ptr<Tallies> tallies_;
  std::unique_ptr<Metrics> metrics_;
  std::vector<std::unique_ptr<SharedTickets>> shared_tickets_;  // of each worker
  std::vector<std::unique_ptr<Worker>> workers_;
  Revoker revoker_;
  net::Resolver resolver_;
  SharedStore shared_store_;
  upstream::Names names_;
  upstream::Health health_;
  KeyFetcher keys_;
  upstream::Rebalancer rebalancer_;
  event::Timer rebalance_timer_;
  std::unique_ptr<Admin> admin_;
  event::FileWatch files_;
  event::Timer ticket_timer_;
  event::Timer drain_guard_;
  std::unique_ptr<event::Signals> signals_;
  net::TicketKeys tickets_ = net::fresh_ticket_keys();
  std::map<std::string, net::CertificateSettings> self_signed_;
  std::map<std::string, std::string> bound_;  // listener name → address text, of what is open
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::unique_ptr<Reload> reload_;
  bool reload_again_ = false;
  std::uint64_t generation_ = 0;
  ProcessFacts facts_;
  unsigned draining_workers_ = 0;
  bool draining_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace sluice::server
