// Names: keeps the addresses of all servers that are named by host on the main loop. Asks at the start and again when
// the answer's time to live is over; a failure leaves the last good answer standing and is asked again soon.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "event/loop.h"
#include "net/resolver.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

class Names {
 public:
  Names(event::Loop& loop, net::Resolver& resolver);
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names();

  // Replaces what is resolved. A server that stays keeps its addresses and its time of asking. Literals need no asking.
  void watch(const std::vector<std::shared_ptr<const Cluster>>& clusters);
  // Asks for all of them now.
  void refresh();

 private:
  class Entry;
  event::Loop& loop_;
  net::Resolver& resolver_;
  std::map<const Server*, std::shared_ptr<Entry>> entries_;
};

}  // namespace sluice::upstream
