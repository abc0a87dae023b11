// WaitingLine: the clients that wait for a server of one backend, those of all workers, first come, first served. Whoever
// gives up a place on a server, or changes what may be used, calls the first; nobody asks again and again. Any thread.
//
// Who waits under one configuration (`of`: its Cluster) stands apart from who waits under another, so that nobody is kept by
// those whose servers are gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>

namespace sluice::upstream {

class WaitingLine {
 public:
  class Waiter {
   public:
    // It is the first, and something has changed or it has become the first. From any thread and under the line's lock: to
    // be passed on to its own thread, and nothing else.
    virtual void call() = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class WaitingLine;
    std::list<Waiter*>::iterator place_;
  };

  std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  // False when `most` wait already. Whoever enters looks once more for a server: of what was free before it was not told.
  bool enter(const void* of, Waiter& waiter, std::uint32_t most);
  void leave(const void* of, Waiter& waiter);
  bool first(const void* of, const Waiter& waiter) const;
  // Whether somebody waits.
  bool any(const void* of) const;
  // A place may be free now. Where nobody waits this is one operation on a counter.
  void call_first();

 private:
  std::atomic<std::uint32_t> size_{0};
  mutable std::mutex mutex_;
  std::map<const void*, std::list<Waiter*>> lines_;  // none of them empty
};

}  // namespace sluice::upstream
