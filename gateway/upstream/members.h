// Group, Roster: which servers there are, where they may come and go while a configuration is in force.
//
// A Group stands for one configured name and holds the servers that the name has led to; main publishes them
// (upstream/names). It is shared by all snapshots that name it. A Roster is the whole list of one Cluster: servers that are
// configured one by one, and those of its groups, in the order of the configuration. Workers read it for each connection or
// message: a Roster without groups is a fixed list; with groups each thread keeps a copy of its own and looks at one counter
// to see whether it is still good. A server is the same object for as long as its address or record stays.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "upstream/backend.h"

namespace sluice::upstream {

using ServerList = std::vector<std::shared_ptr<Server>>;

// Changes of the lists of all groups of a registry. Written by main.
using Changes = std::atomic<std::uint64_t>;

// What one answer of the DNS says of one server.
struct Found {
  std::string host;  // address, or the target of an SRV record
  std::uint16_t port = 0;
  std::uint32_t weight = 1;  // beside the others of its name; times that of the configuration
  bool backup = false;
  std::vector<net::Address> addresses;  // to be tried in turn
};

class Group {
 public:
  Group(ServerSettings settings, std::shared_ptr<Changes> changes, std::shared_ptr<Load> load = std::make_shared<Load>());

  const ServerSettings& settings() const { return settings_; }
  // Any thread.
  std::shared_ptr<const ServerList> members() const;

  // Main thread from here on.
  // The newest configuration's words on all of its members.
  void configure(const ServerSettings& settings);
  // The servers that there are from now on. One that was there before is the same object with the new addresses; one that is
  // not listed any more has vanished. False: they are the same.
  bool update(const std::vector<Found>& found);
  // Of the members, in their order.
  const std::vector<Found>& found() const { return found_; }
  // No configuration in force names it (any more), or one does again.
  void set_named(bool named);
  bool resolved() const { return !members()->empty(); }
  // Vanished ones that still have sessions.
  ServerList leaving();

  Lookups lookups;

 private:
  ServerSettings settings_for(const Found& found) const;

  const ServerSettings settings_;  // its identity
  ServerSettings newest_;
  std::vector<Found> found_;       // of members, in their order
  ServerList left_;                // vanished, and perhaps not without sessions
  const std::shared_ptr<Changes> changes_;
  std::shared_ptr<Load> load_;  // of the backend
  mutable std::mutex mutex_;
  std::shared_ptr<const ServerList> members_;
};

class Roster {
 public:
  // One of the two.
  struct Entry {
    std::shared_ptr<Server> server;
    std::shared_ptr<Group> group;
  };
  Roster(std::vector<Entry> entries, std::shared_ptr<const Changes> changes);
  Roster(const Roster&) = delete;
  Roster& operator=(const Roster&) = delete;

  // In the order of the configuration.
  const std::vector<Entry>& entries() const { return entries_; }
  // As they are now, for this thread: the view is good until the thread asks again and the list has changed twice.
  std::span<const std::shared_ptr<Server>> servers() const { return grouped_ ? current() : fixed_; }

 private:
  struct Copy;
  std::span<const std::shared_ptr<Server>> current() const;
  void gather(ServerList& into) const;

  std::vector<Entry> entries_;
  ServerList fixed_;  // without groups
  bool grouped_ = false;
  std::shared_ptr<const Changes> changes_;
  std::shared_ptr<const char> alive_;  // what copies look at: another roster may come to stand at this address
};

}  // namespace sluice::upstream
