// Pending: the clients of one worker that wait because no server of their backend can take them now, first come, first
// served. Those of one backend stand in one queue; whoever is first tries again every few milliseconds and makes way for the
// next one by leaving. Bounded by the backend's `pending.max`, which Load::waiting counts over all workers.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "event/loop.h"
#include "net/stream.h"
#include "upstream/load.h"

namespace sluice::session {

class Pending {
 public:
  static constexpr auto kRetry = std::chrono::milliseconds(20);

  // One client's place in the queue; given up by destroying it. Must not outlive the Pending.
  class Place {
   public:
    Place(Pending& book, std::shared_ptr<upstream::Load> load, net::Ready& ready);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    bool first() const;

   private:
    Pending& book_;
    std::shared_ptr<upstream::Load> load_;
    std::shared_ptr<net::Ready*> ready_;  // whoever is to be woken has it weakly
  };

  explicit Pending(event::Loop& loop) : loop_(loop) {}

  // Null when `most` of the backend wait already.
  std::unique_ptr<Place> enter(const std::shared_ptr<upstream::Load>& load, std::uint32_t most, net::Ready& ready);
  // Whether somebody waits here who came before.
  bool waiting(const upstream::Load& load) const { return queues_.contains(&load); }

 private:
  event::Loop& loop_;
  std::map<const upstream::Load*, std::list<std::shared_ptr<net::Ready*>>> queues_;  // none of them empty
};

}  // namespace sluice::session
