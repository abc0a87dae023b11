// Runtime: what one worker needs of one Snapshot and may not share with other threads: TLS contexts, token keys, and the
// worker's own copies of the counters. Built by server/worker on its own thread; a Session holds it by shared_ptr until it
// ends, so that a reload leaves it as it was.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/snapshot.h"
#include "net/crypto.h"
#include "net/tls_client.h"
#include "net/tls_profile.h"
#include "policy/authenticator.h"
#include "session/tally.h"

namespace sluice::session {

// A messages or bytes limit of a route, as the message path reads it.
struct MeterRule {
  policy::Limiter* limiter = nullptr;
  policy::Rate rate;      // of a limit per connection, which asks no table
  bool own = false;       // it is one
  bool by_bytes = false;
  policy::LimitSettings::Action action = policy::LimitSettings::Action::delay;
  std::uint16_t close_code = 1008;
  Errc refusal = Errc::rl_connection;
};

class TallyBook;

// The worker's counters of the servers of one backend, each found when it is first asked for: servers may come and go.
class ServerBook {
 public:
  ServerBook(TallyBook& tallies, std::string backend) : tallies_(tallies), backend_(std::move(backend)) {}
  ServerTally& of(const upstream::Server& server);

 private:
  struct Entry {
    std::weak_ptr<const upstream::Server> server;  // another one may come to stand at its address
    std::shared_ptr<ServerTally> tally;
  };
  TallyBook& tallies_;
  std::string backend_;
  std::unordered_map<const upstream::Server*, Entry> entries_;
};

struct RouteRuntime {
  const config::CompiledRoute* compiled = nullptr;
  std::unique_ptr<const policy::Authenticator> authenticator;  // null: everybody may come
  const net::TlsClient* tls = nullptr;                   // for wss:// backends
  RouteTally* tally = nullptr;
  ServerBook* servers = nullptr;                         // of its backend
  // Where messages are read: what each of their clusters has of these two, and the count of each rule, then of those that
  // none matched.
  std::vector<const net::TlsClient*> message_tls;
  std::vector<ServerBook*> message_servers;
  std::vector<RuleTally*> rules;
  std::vector<std::unique_ptr<MeterRule>> meters;

  // null: not a limit of this route that meters messages.
  const MeterRule* meter(const policy::Limiter& limiter) const {
    for (const auto& rule : meters) {
      if (rule->limiter == &limiter) return rule.get();
    }
    return nullptr;
  }
};

// A path that the gateway answers itself.
struct EndpointRuntime {
  policy::EndpointSettings::Kind kind{};
  const policy::AuthSettings* auth = nullptr;
  const policy::Authenticator* authenticator = nullptr;  // whom it asks for a credential; null: it does not
};

struct ListenerRuntime {
  const config::CompiledListener* compiled = nullptr;
  const net::TlsProfile* tls = nullptr;  // null: plain
  ListenerTally* tally = nullptr;
  const std::vector<std::string>* access_fields = nullptr;  // of the access lines; empty: all
  const std::vector<policy::Carrier>* carriers = nullptr;   // of all [auth] tables
  // Of the backend of a listener with protocol = "tcp".
  ServerBook* servers = nullptr;
  const net::TlsClient* upstream_tls = nullptr;  // for its tls:// servers
};

struct Runtime {
  std::shared_ptr<const config::Snapshot> snapshot;
  std::vector<ListenerRuntime> listeners;  // in the snapshot's order
  std::vector<RouteRuntime> routes;
  std::vector<EndpointRuntime> endpoints;

  // Owned parts that the above point into.
  std::vector<policy::Carrier> carriers;
  std::vector<std::unique_ptr<const policy::Authenticator>> authenticators;  // of endpoints
  std::vector<std::unique_ptr<net::TlsProfile>> profiles;
  std::vector<std::unique_ptr<net::TlsClient>> clients;
  std::map<std::string, std::unique_ptr<ServerBook>> books;  // by backend
  std::map<std::string, std::unique_ptr<policy::Jwt>> tokens;  // by [auth]
  std::map<std::string, std::unique_ptr<policy::TokenCache>> caches;  // likewise
  std::map<std::string, std::unique_ptr<policy::ExternalAuth>> external_checks;

  std::vector<std::string> warnings;  // what works, but not as its author may think; for `check` and the log
};

// Where the counters of routes, listeners and servers live: by name, for as long as the process, so that a reload forgets nothing.
class TallyBook {
 public:
  virtual RouteTally& route(const std::string& name) = 0;
  virtual ListenerTally& listener(const std::string& name) = 0;
  virtual RuleTally& rule(const std::string& route, const std::string& name) = 0;
  // Kept for as long as somebody holds it, or the server is named.
  virtual std::shared_ptr<ServerTally> server(const std::string& backend, const std::string& url) = 0;

 protected:
  ~TallyBook() = default;
};

// nullptr and `why` when a certificate or key cannot be used.
std::shared_ptr<const Runtime> build_runtime(std::shared_ptr<const config::Snapshot> snapshot,
                                             net::CryptoContext& crypto, const net::TicketKeys& tickets,
                                             TallyBook& tallies, std::string& why);

}  // namespace sluice::session
