// Names: asks the DNS on the main loop for all that the configuration names: the addresses of servers, the servers of groups
// (each address of a name, or each SRV record). Asks at the start and again when the answer's time to live is over; a failure,
// of whatever kind, leaves the last good answer standing and is asked again soon.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "event/loop.h"
#include "net/resolver.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

class Names {
 public:
  // `changed`: servers of a group have come or gone.
  Names(event::Loop& loop, net::Resolver& resolver, std::function<void()> changed = {});
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names();

  // Replaces what is resolved. Whatever stays keeps its addresses and its time of asking. Literals need no asking.
  void watch(const std::vector<std::shared_ptr<const Cluster>>& clusters);
  // Asks for all of them now.
  void refresh();

 private:
  class Entry;
  class ServerEntry;
  class GroupEntry;
  event::Loop& loop_;
  net::Resolver& resolver_;
  std::function<void()> changed_;
  std::map<const void*, std::shared_ptr<Entry>> entries_;  // by server or group
};

}  // namespace sluice::upstream
