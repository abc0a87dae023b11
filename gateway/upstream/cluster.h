// Cluster: the servers of one backend with their live state and a balancer. Shared by all workers; const methods are
// thread-safe. Kept over reloads by the registry: a reload that leaves a server's URL leaves its state.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "upstream/backend.h"
#include "upstream/members.h"

namespace sluice::upstream {

class Balancer;

// Which servers are named: those with room for one more connection, or full ones, too.
enum class Room : std::uint8_t { some, any };

class Cluster {
 public:
  Cluster(BackendSettings settings, std::vector<Roster::Entry> entries, std::shared_ptr<const Changes> changes,
          std::shared_ptr<Load> load);
  ~Cluster();
  const BackendSettings& settings() const { return settings_; }
  // As they are now: names may lead to others later. The view is this thread's (upstream/members.h).
  std::span<const std::shared_ptr<Server>> servers() const { return roster_.servers(); }
  // One for each entry of settings().servers.
  const std::vector<Roster::Entry>& entries() const { return roster_.entries(); }
  const std::shared_ptr<Load>& load() const { return load_; }

  // Servers that the DNS does not name any more and that still have sessions. Main thread.
  ServerList leaving() const;
  // Whether any server has an address.
  bool resolved() const;

  // Candidates in the order in which to try them, at most `retries` + 1: usable ones only (ready, healthy, not ejected,
  // resolved, not full, not in `exclude`), primaries before backups, which are named only while no primary is usable. When
  // more than `ejection.panic` percent of those that could serve are ejected, the ejected count as usable. Empty: refusal()
  // says why. `key` is the hash of the route's HashKey (0 when there is none). `preferred` (null: none) comes first where it
  // may take back who was with it: even while it is drained. Per message a full server is named all the same (Room::any):
  // the client may have its leg there already.
  std::vector<std::shared_ptr<Server>> order(std::uint64_t key, Instant now, std::span<const Server* const> exclude = {},
                                             const Server* preferred = nullptr, Room room = Room::some) const;

  // Whether a session with that key belongs to another server now than to its own: one that is usable and comes before it in
  // the key's order. A server that is not usable keeps its own.
  bool moved(std::uint64_t key, Server& own, Instant now) const;

  // One session with that key, of those that `own` is to give up (upstream/rebalance.h); by key only when the key has another
  // server now. True: the session that asks is to leave.
  bool sheds(std::uint64_t key, Server& own, Instant now) const;

  // Whether a server may be tried at all: the circuit breaker's word, to be asked once before order().
  bool allow(Instant now) const { return load_->breaker.allow(settings_.breaker, now); }
  // A place on the server, or nobody's where a limit refuses it.
  ServerUse take(std::shared_ptr<Server> server) const {
    return ServerUse::within(std::move(server), settings_.max_connections);
  }
  // Which limit leaves nobody: circuit_open, backend_limit, server_limit, be_unresolved, or no_backend where none is usable.
  Error refusal(Instant now) const;
  static bool refuses_with(Errc code);
  // When time alone may change that: an ejection ends, or the circuit breaker lets a probe through. kNever: not at all.
  Instant changes_at(Instant now) const;

  // An attempt to open a connection, for passive health and the circuit breaker.
  void attempted(Server& server, bool success, Instant now) const;
  // All servers that order() may name, as they are configured.
  std::vector<std::shared_ptr<Server>> everyone(Instant now) const;

  // Passive health: a connect, handshake or mid-stream failure, or a success. Failures in a row eject the server for a
  // while that doubles each time; a success outside of an ejection forgets all of them. An ejection is served out: what
  // is reported meanwhile is counted and changes nothing.
  void report(Server& server, bool success, Instant now) const;

  // Weights and states of these settings count from now on, on servers that were known before, too. Main thread.
  void take_effect() const;

  // Servers that order() may name.
  std::size_t up(Instant now) const;

 private:
  enum class State : std::uint8_t { unfit, ejected, fit, held };
  // Fills one state a server, panic applied; returns how many are fit.
  std::size_t look(std::span<const std::shared_ptr<Server>> servers, Instant now, std::vector<State>& states) const;
  bool panics(std::size_t ejected, std::size_t fit) const;
  static bool hold_back(std::span<const std::shared_ptr<Server>> servers, std::vector<State>& states);
  void eject(Server& server, Instant now) const;
  // The preferred server where it may be had; null: none.
  static std::shared_ptr<Server> first_choice(const Server* preferred, std::span<const std::shared_ptr<Server>> servers,
                                              Instant now, const std::vector<State>& states,
                                              std::span<const Server* const> exclude);

  BackendSettings settings_;
  Roster roster_;
  std::shared_ptr<Load> load_;
  std::unique_ptr<Balancer> balancer_;
  bool limited_;             // some server may be full
  mutable std::mutex ejecting_;  // so that two threads do not eject one server more than max_percent allows
};

// Servers by backend name and URL. Main thread only.
class Registry {
 public:
  // The cluster for these settings, on the servers that are known already and new ones for the rest. Changes nothing that
  // another cluster sees.
  std::shared_ptr<const Cluster> cluster(const BackendSettings& settings);
  // These are the clusters in force from now on: servers that none of them names have vanished.
  void take_effect(const std::vector<std::shared_ptr<const Cluster>>& clusters);

 private:
  std::map<std::string, std::weak_ptr<Server>> servers_;
  std::map<std::string, std::weak_ptr<Group>> groups_;
  std::map<std::string, std::weak_ptr<Load>> loads_;  // by backend
  bool in_force_ = false;                             // some configuration is: a server that comes now starts slowly
  std::shared_ptr<Changes> changes_ = std::make_shared<Changes>(1);
  Secret sticky_secret_;  // of backends that name none: as old as the process
};

}  // namespace sluice::upstream
