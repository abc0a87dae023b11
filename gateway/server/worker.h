// Worker: one thread, one loop, and everything that lives on it: listeners, connections, the runtime of the snapshot in
// force. Other threads talk to it by post() only.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "event/loop.h"
#include "event/mailbox.h"
#include "event/timer.h"
#include "net/listener.h"
#include "session/connection_filter.h"
#include "session/front.h"
#include "session/kick.h"
#include "session/runtime.h"

namespace sluice::server {

class Tallies;

// What all workers and the main thread share: commented atomics, and the ways to main.
struct Shared {
  std::atomic<std::uint64_t> connections{0};   // of the process, for max_connections
  std::atomic<std::uint64_t> max_connections{0};
  std::atomic<std::int64_t> accept_pause_said{0};  // Instant in nanoseconds; 0: never
  // House::revoke of all workers, from any thread; calls back on the main one. Set before they start.
  std::function<void(policy::Revocation, Duration, const char*, std::string, std::move_only_function<void(bool)>)> revoke;
  std::function<void(std::string, std::shared_ptr<const policy::Authenticated>, std::string,
                     std::move_only_function<void(Result<bool>)>)>
      renew;  // House::renew_anywhere, likewise
};

class Worker final : private session::House, private session::TallyBook {
 public:
  Worker(unsigned index, Shared& shared, Tallies& tallies);
  ~Worker();

  // From any thread: runs on the worker's.
  void post(std::move_only_function<void()> task) override { mailbox_.post(std::move(task)); }
  void start();
  void stop_and_join();

  // On the worker's thread (inside a posted task) from here on.
  // Phase one of a reload: builds, holds, does not switch. False and `why` on any fault.
  bool prepare(std::shared_ptr<const config::Snapshot> snapshot, const net::TicketKeys& tickets, std::string& why);
  // Of what was prepared.
  const std::vector<std::string>& warnings() const { return prepared_->warnings; }
  // Phase two: what was prepared serves from now on. `fds` are new listening sockets by listener name; listeners that are
  // not in the snapshot stop.
  void commit(std::map<std::string, net::Fd> fds);
  void discard() { prepared_.reset(); }
  void set_ticket_keys(const net::TicketKeys& tickets);
  // Stops accepting; closes are spread evenly over `spread`; what is left at `deadline` is cut. `gone` is called (on this
  // thread) once nobody is left.
  void drain(Duration spread, Duration deadline, std::move_only_function<void()> gone);
  // The JSON of up to `limit` sessions that the filter takes; `done` is called on this thread, as below.
  void describe(session::ConnectionFilter filter, std::size_t limit,
                std::move_only_function<void(std::vector<std::string>)> done);
  // One-time tickets lie there from now on; null: in this process.
  void share_tickets(policy::TicketStore* store) { shared_tickets = store; }
  // Closes what the kick hits, and says how many that were.
  void kick(std::shared_ptr<const session::Kick> kick, std::move_only_function<void(std::size_t)> done);
  // Lets the connection of that id stand on `fresh`, as StreamOwner::renew says; `done` is called with false when it is none of
  // this worker's.
  void renew(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
             std::move_only_function<void(Result<bool>)> done);
  std::size_t connections() const { return owners_.size(); }

 private:
  void adopt(std::unique_ptr<session::StreamOwner> owner) override;
  void retire(session::StreamOwner& owner) override;
  std::unique_ptr<net::Connector> dial(const net::Address& address, const net::Way& way,
                                       net::Ready& ready) override {
    return net::connect_socket(place_, address, way, ready);
  }
  const std::shared_ptr<const session::Runtime>& in_force() const override { return runtime_; }
  void resolve(const std::string& host, net::NameCache::Done done) override { names_.resolve(host, std::move(done)); }
  void revoke(policy::Revocation what, Duration ttl, const char* action, std::string by,
              std::move_only_function<void(bool)> done) override;
  void renew_anywhere(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
                      std::move_only_function<void(Result<bool>)> done) override;
  session::StreamOwner* find(Slot slot) override { return owners_.find(slot); }
  session::RouteTally& route(const std::string& name) override;
  session::ListenerTally& listener(const std::string& name) override;
  session::RuleTally& rule(const std::string& route, const std::string& name) override;
  std::shared_ptr<session::ServerTally> server(const std::string& backend, const std::string& url) override;

  void accepted(const std::string& listener, net::Fd fd, const net::Address& peer);
  void accept_paused(const std::string& listener, int error);
  // Shows every connection to `visit`, until it says false; some at a time, so that the others do not wait. Then calls `done`.
  void each_owner(std::move_only_function<bool(session::StreamOwner&)> visit, std::move_only_function<void()> done);
  struct Walk;
  void walk_on(std::shared_ptr<Walk> walk);
  void sweep();
  void drain_some();

  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_;
  static constexpr std::size_t kMostRenewals = 4;
  std::size_t renewals_ = 0;  // under way
  Shared& shared_;
  Tallies& tallies_;
  net::CryptoContext crypto_;
  event::Mailbox mailbox_;
  net::NameCache names_;
  SlotMap<session::StreamOwner> owners_;
  std::shared_ptr<const session::Runtime> runtime_;
  std::shared_ptr<const session::Runtime> prepared_;
  std::map<std::string, std::unique_ptr<net::Listener>> listeners_;
  event::Timer sweep_timer_;
  std::size_t sweep_next_ = 0;
  Instant sweep_due_{};
  unsigned trim_countdown_ = 0;
  event::Timer drain_timer_;
  Instant drain_started_{};
  Instant drain_deadline_{};
  Duration drain_spread_{};
  std::size_t drain_total_ = 0;
  std::vector<Slot> drain_queue_;
  std::move_only_function<void()> drain_gone_;
  std::thread thread_;
};

}  // namespace sluice::server
