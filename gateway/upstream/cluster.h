// Cluster: the servers of one backend with their live state and a balancer. Shared by all workers; const methods are
// thread-safe. Kept over reloads by the registry: a reload that leaves a server's URL leaves its state.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "upstream/backend.h"
#include "upstream/members.h"

namespace sluice::upstream {

class Balancer;

class Cluster {
 public:
  Cluster(BackendSettings settings, std::vector<Roster::Entry> entries, std::shared_ptr<const Changes> changes);
  ~Cluster();
  const BackendSettings& settings() const { return settings_; }
  // As they are now: names may lead to others later. The view is this thread's (upstream/members.h).
  std::span<const std::shared_ptr<Server>> servers() const { return roster_.servers(); }
  // One for each entry of settings().servers.
  const std::vector<Roster::Entry>& entries() const { return roster_.entries(); }

  // Candidates in the order in which to try them, at most `retries` + 1: usable ones only (ready, healthy, not
  // ejected, resolved, not in `exclude`); when more than half of the servers are unusable by ejection, the ejected ones count as
  // usable again (panic). Empty: no backend. `key` is the hash of the route's HashKey (0 when there is none).
  // `preferred` (null: none) comes first where it may take back who was with it: even while it is drained.
  std::vector<std::shared_ptr<Server>> order(std::uint64_t key, Instant now, std::span<const Server* const> exclude = {},
                                             const Server* preferred = nullptr) const;

  // Passive health: a connect, handshake or mid-stream failure, or a success. Failures in a row eject the server for a
  // while that doubles each time; a success outside of an ejection forgets all of them. An ejection is served out: what
  // is reported meanwhile is counted and changes nothing.
  void report(Server& server, bool success, Instant now) const;

  // Weights and states of these settings count from now on, on servers that were known before, too. Main thread.
  void take_effect() const;

  // Servers that order() may name.
  std::size_t up(Instant now) const;

 private:
  enum class State : std::uint8_t { unfit, ejected, fit };
  // Fills one state a server, panic applied; returns how many are fit.
  static std::size_t look(std::span<const std::shared_ptr<Server>> servers, Instant now, std::vector<State>& states);
  void eject(Server& server, Instant now) const;
  // The preferred server where it may be had; null: none.
  static std::shared_ptr<Server> first_choice(const Server* preferred, std::span<const std::shared_ptr<Server>> servers,
                                              Instant now, const std::vector<State>& states,
                                              std::span<const Server* const> exclude);

  BackendSettings settings_;
  Roster roster_;
  std::unique_ptr<Balancer> balancer_;
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
  std::shared_ptr<Changes> changes_ = std::make_shared<Changes>(1);
  Secret sticky_secret_;  // of backends that name none: as old as the process
};

}  // namespace sluice::upstream
