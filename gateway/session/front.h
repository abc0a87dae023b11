// House and StreamOwner: what a connection sees of its worker, and what a worker sees of a connection.
//
// One place ends a life: code below returns a Step, and only StreamOwner::wake (the trampoline) acts on it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/answer.h"
#include "base/result.h"
#include "base/slot_map.h"
#include "event/loop.h"
#include "event/timer.h"
#include "net/connector.h"
#include "net/name_cache.h"
#include "net/stream.h"
#include "policy/revocations.h"
#include "session/runtime.h"
#include "upstream/pool.h"

namespace sluice {
class JsonWriter;
}

namespace sluice::policy {
struct Authenticated;
}

namespace sluice::session {

class Kick;
class StreamOwner;
struct ConnectionFilter;

// The worker, as its connections see it. Outlives them.
class House {
 public:
  House(event::Loop& its_loop, net::Place& its_place, WorkerTally& its_tally)
      : loop(its_loop), place(its_place), tally(its_tally) {}
  event::Loop& loop;
  net::Place& place;
  WorkerTally& tally;
  unsigned worker = 0;
  bool draining = false;
  policy::TicketStore* shared_tickets = nullptr;  // of several gateways; null: this process has its own
  upstream::Pool upstreams;  // idle connections; to be flushed before `place` dies

  policy::TicketStore& tickets() { return shared_tickets ? *shared_tickets : in_force()->snapshot->tickets(); }

  // From any thread: runs on this one, while it lives.
  virtual void post(std::move_only_function<void()> task) = 0;
  // Takes over a new owner and calls it for the first time in the next pass.
  virtual void adopt(std::unique_ptr<StreamOwner> owner) = 0;
  // Frees it at the end of the pass. Called by StreamOwner::act only.
  virtual void retire(StreamOwner& owner) = 0;
  // What new connections begin with.
  virtual const std::shared_ptr<const Runtime>& in_force() const = 0;
  // One attempt to reach an upstream.
  virtual std::unique_ptr<net::Connector> dial(const net::Address& address, const net::Way& way,
                                               net::Ready& ready) = 0;
  // Addresses of a name that a client gave, without port: called back on this thread, perhaps at once. What it calls
  // outlives the session.
  virtual void resolve(const std::string& host, net::NameCache::Done done) = 0;
  // Has main put it in force for so long, on the disk, and close whom it hits; then calls back on this thread, with whether all of
  // that is so. `action`: of the audit line, a literal; `by`: who asks. What it calls outlives the session.
  virtual void revoke(policy::Revocation what, Duration ttl, const char* action, std::string by,
                      std::move_only_function<void(bool)> done) = 0;
  // Has the connection of that id, on whatever worker, stand on `fresh` (StreamOwner::renew); then calls back on this thread.
  virtual void renew_anywhere(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
                              std::move_only_function<void(Result<bool>)> done) = 0;
  // The owner of that name, or null when it is gone.
  virtual StreamOwner* find(Slot slot) = 0;

 protected:
  ~House() = default;
};

class StreamOwner : public net::Ready {
 public:
  explicit StreamOwner(House& house) : house_(house) {}
  virtual ~StreamOwner() = default;
  StreamOwner(const StreamOwner&) = delete;
  StreamOwner& operator=(const StreamOwner&) = delete;

  // The trampoline: every edge and every timer comes in here.
  void on_ready() final { wake(); }
  void wake();

  // Looked at about once a second: pings, idleness, expiry.
  virtual Step tick() = 0;
  // Say goodbye: the connection is to end in order, soon.
  virtual void drain() = 0;
  // It is about to be freed without more ado: leaves its line in the log.
  virtual void cut() {}
  // Closes it when it is one of those that are meant. False: it is not, or is closed already.
  virtual bool kick(const Kick&) { return false; }
  // Lets the connection of that id stand on a credential that was checked just now; `by`: who asks, for the log. False: it is
  // another one, or does not relay messages. Errors: those of Session::renew.
  virtual Result<bool> renew(std::string_view /*id*/, const policy::Authenticated& /*fresh*/, std::string_view /*by*/) {
    return false;
  }
  // One JSON object of what /api/v1/connections says; nothing for a connection that is no session yet, or that the filter
  // does not take.
  virtual void describe(JsonWriter&, const ConnectionFilter&) const {}
  // Worker's sweep and drain act through this.
  void act(Step step);

  Slot slot;  // the worker's name for it

 protected:
  // Runs until it has nothing to do: wait, or done.
  virtual Step advance() = 0;
  // Calls again in the next pass (a budget was spent).
  void wake_later();
  House& house_;

 private:
  bool retired_ = false;
  bool later_ = false;
};

}  // namespace sluice::session
