#include "server/worker.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "server/tallies.h"
#include "session/arrival.h"

namespace sluice::server {

namespace {

constexpr auto kSlice = std::chrono::milliseconds(100);
constexpr std::size_t kSlices = 10;  // a connection is looked at about once a second
constexpr auto kPauseSaidEvery = std::chrono::seconds(10);
constexpr auto kDrainStep = std::chrono::milliseconds(20);
constexpr std::size_t kWalked = 2000;                          // connections that are shown in one pass at most,
constexpr auto kWalkTime = std::chrono::milliseconds(2);       // and as long as that lasts
constexpr std::size_t kTrimAfter = 1000;  // connections closed between two looks that make trimming worth while

}  // namespace

Worker::Worker(unsigned index, Shared& shared, Tallies& tallies)
    : House(loop_, place_, tallies.worker(index)),
      place_{loop_, turn_, pool_},
      shared_(shared),
      tallies_(tallies),
      mailbox_(loop_),
      names_(loop_),
      sweep_timer_(loop_, [this] { sweep(); }),
      drain_timer_(loop_, [this] { drain_some(); }) {
  worker = index;
}

Worker::~Worker() {
  for (std::size_t i = 0; i < owners_.places(); ++i) delete owners_.at(i);
  loop_.drop_deferred();  // it names owners
  upstreams.flush();
}

void Worker::start() {
  // Signals are the main thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    sweep_due_ = loop_.now() + kSlice;
    sweep_timer_.arm_common(kSlice);
    loop_.run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::string name = "worker-" + std::to_string(worker);
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

void Worker::stop_and_join() {
  if (!thread_.joinable()) return;
  post([this] { loop_.stop(); });
  thread_.join();
}

session::RouteTally& Worker::route(const std::string& name) { return tallies_.route(worker, name); }
session::ListenerTally& Worker::listener(const std::string& name) { return tallies_.listener(worker, name); }
session::RuleTally& Worker::rule(const std::string& route, const std::string& name) {
  return tallies_.rule(worker, route, name);
}
std::shared_ptr<session::ServerTally> Worker::server(const std::string& backend, const std::string& url) {
  return tallies_.server(worker, backend, url);
}

// ---- reload -----------------------------------------------------------------------------------------------------------

bool Worker::prepare(std::shared_ptr<const config::Snapshot> snapshot, const net::TicketKeys& tickets,
                     std::string& why) {
  prepared_ = session::build_runtime(std::move(snapshot), crypto_, tickets, *this, why);
  return prepared_ != nullptr;
}

void Worker::commit(std::map<std::string, net::Fd> fds) {
  if (draining) return discard();  // it would listen again
  // Those that go serve who waits in their queues, while the runtime in force still knows them.
  std::erase_if(listeners_, [this](auto& entry) {
    return std::ranges::none_of(prepared_->listeners, [&](const session::ListenerRuntime& listener) {
      return listener.compiled->settings->name == entry.first;
    });
  });
  runtime_ = std::exchange(prepared_, nullptr);
  upstreams.flush();
  for (auto& [name, fd] : fds) {
    auto& listener = listeners_[name];
    listener.reset();
    listener = std::make_unique<net::Listener>(
        loop_, std::move(fd),
        [this, its = name](net::Fd accepted_fd, const net::Address& peer) {
          accepted(its, std::move(accepted_fd), peer);
        },
        [this, its = name](int error) { accept_paused(its, error); });
  }
}

void Worker::set_ticket_keys(const net::TicketKeys& tickets) {
  if (!runtime_) return;
  for (const auto& profile : runtime_->profiles) profile->set_ticket_keys(tickets);
}

// ---- connections --------------------------------------------------------------------------------------------------------

void Worker::accepted(const std::string& name, net::Fd fd, const net::Address& peer) {
  const auto found = std::ranges::find_if(runtime_->listeners, [&](const session::ListenerRuntime& listener) {
    return listener.compiled->settings->name == name;
  });
  if (found == runtime_->listeners.end()) return;
  const config::Settings& settings = runtime_->snapshot->settings();
  const std::uint64_t own_limit = found->compiled->settings->max_connections;
  const auto refuse = [&](Errc why) {
    found->tally->rejected[static_cast<std::size_t>(why)].add();
    tally.rejects[static_cast<std::size_t>(why)].add();
  };
  if (draining) return refuse(Errc::draining);
  if (shared_.connections.load(std::memory_order_relaxed) >= shared_.max_connections.load(std::memory_order_relaxed) ||
      (own_limit > 0 && tallies_.connections(name) >= own_limit)) {
    return refuse(Errc::max_connections);
  }
  if (tally.handshaking.get() >= settings.server.max_handshakes) return refuse(Errc::handshakes_full);
  session::Admission admission(shared_.connections, *found->tally, tally,
                               found->tls ? session::Protocol::tls : session::Protocol::http1);
  auto owner = session::receive(*this, std::move(admission), std::move(fd), runtime_,
                                static_cast<std::size_t>(found - runtime_->listeners.begin()), peer);
  if (owner) adopt(std::move(owner));
}

// Said once in a while for all workers: each of them meets it again every 100 ms for as long as it lasts.
void Worker::accept_paused(const std::string& name, int error) {
  tallies_.listener(worker, name).rejected[static_cast<std::size_t>(Errc::fd_limit)].add();
  tally.rejects[static_cast<std::size_t>(Errc::fd_limit)].add();
  const std::int64_t time = loop_.now().time_since_epoch().count();
  std::int64_t said = shared_.accept_pause_said.load(std::memory_order_relaxed);
  if (said != 0 && time - said < Duration(kPauseSaidEvery).count()) return;
  if (!shared_.accept_pause_said.compare_exchange_strong(said, time)) return;  // another worker was first
  log::event(Level::error, "accept_paused", {{"listener", name}, {"errno", error}});
}

void Worker::adopt(std::unique_ptr<session::StreamOwner> owner) {
  session::StreamOwner* raw = owner.release();
  raw->slot = owners_.insert(raw);
  // Its first call comes in the next pass: a stream that it took over may hold octets that no edge will announce.
  loop_.defer([this, name = raw->slot] {
    if (session::StreamOwner* found = owners_.find(name)) found->wake();
  });
}

void Worker::retire(session::StreamOwner& owner) {
  owners_.erase(owner.slot);
  ++trim_countdown_;
  loop_.retire(std::unique_ptr<session::StreamOwner>(&owner));
  if (drain_gone_ && owners_.size() == 0) {
    loop_.defer([this] {
      if (drain_gone_ && owners_.size() == 0) std::exchange(drain_gone_, nullptr)();
    });
  }
}

// Walks a tenth of the connections every 100 ms: cheaper by two orders than a timer for each (docs/explanation/performance.md).
void Worker::sweep() {
  const Instant now = loop_.now();
  tally.lag_seconds.observe(std::chrono::duration<double>(std::max(now - sweep_due_, Duration::zero())).count());
  sweep_due_ = now + kSlice;
  sweep_timer_.arm_common(kSlice);
  const std::size_t slice = owners_.places() / kSlices + 1;
  for (std::size_t i = 0; i < slice; ++i) {
    if (sweep_next_ >= owners_.places()) {
      sweep_next_ = 0;
      break;
    }
    session::StreamOwner* owner = owners_.at(sweep_next_++);
    if (owner && owner->tick() == Step::next) owner->wake();
  }
  if (sweep_next_ == 0) {
    upstreams.tend(now);
    // After a mass disconnect the allocator keeps what it had; give it back (docs/explanation/performance.md).
    if (trim_countdown_ >= kTrimAfter) malloc_trim(0);
    trim_countdown_ = 0;
  }
}

// ---- all of them, for whoever asks ----------------------------------------------------------------------------------------

struct Worker::Walk {
  std::move_only_function<bool(session::StreamOwner&)> visit;
  std::move_only_function<void()> done;
  std::size_t next = 0;
  std::size_t end = 0;  // who comes meanwhile is none of those that were meant
};

void Worker::each_owner(std::move_only_function<bool(session::StreamOwner&)> visit, std::move_only_function<void()> done) {
  walk_on(std::make_shared<Walk>(Walk{std::move(visit), std::move(done), 0, owners_.places()}));
}

void Worker::walk_on(std::shared_ptr<Walk> walk) {
  const Instant began = loop_.exactly_now();
  for (std::size_t i = 0; i < kWalked && walk->next < walk->end; ++i) {
    session::StreamOwner* const owner = owners_.at(walk->next++);
    if (owner && !walk->visit(*owner)) walk->next = walk->end;
    if (i % 16 == 15 && loop_.exactly_now() - began >= kWalkTime) break;
  }
  if (walk->next >= walk->end) return walk->done();
  loop_.defer([this, walk = std::move(walk)]() mutable { walk_on(std::move(walk)); });
}

void Worker::describe(session::ConnectionFilter filter, std::size_t limit,
                      std::move_only_function<void(std::vector<std::string>)> done) {
  auto all = std::make_shared<std::vector<std::string>>();
  each_owner(
      [all, limit, filter = std::move(filter)](session::StreamOwner& owner) {
        JsonWriter one;
        owner.describe(one, filter);
        if (!one.text().empty()) all->push_back(one.take());
        return all->size() < limit;
      },
      [all, done = std::move(done)]() mutable { done(std::move(*all)); });
}

void Worker::kick(std::shared_ptr<const session::Kick> kick, std::move_only_function<void(std::size_t)> done) {
  auto hit = std::make_shared<std::size_t>(0);
  each_owner(
      [hit, kick = std::move(kick)](session::StreamOwner& owner) {
        if (owner.kick(*kick)) ++*hit;
        return true;
      },
      [hit, done = std::move(done)]() mutable { done(*hit); });
}

void Worker::renew_anywhere(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
                            std::move_only_function<void(Result<bool>)> done) {
  shared_.renew(std::move(id), std::move(fresh), std::move(by), [this, done = std::move(done)](Result<bool> renewed) mutable {
    post([renewed, done = std::move(done)]() mutable { done(renewed); });
  });
}

void Worker::renew(std::string id, std::shared_ptr<const policy::Authenticated> fresh, std::string by,
                   std::move_only_function<void(Result<bool>)> done) {
  // Each walks over all connections: whoever asks for many gets no more of the worker than a few of them.
  if (renewals_ == kMostRenewals) return done(fail(Errc::refresh_busy, Side::gateway, "as many connections are looked for as may be"));
  ++renewals_;
  auto renewed = std::make_shared<Result<bool>>(false);
  each_owner(
      [renewed, id = std::move(id), fresh = std::move(fresh), by = std::move(by)](session::StreamOwner& owner) {
        *renewed = owner.renew(id, *fresh, by);
        return *renewed && !**renewed;
      },
      [this, renewed, done = std::move(done)]() mutable {
        --renewals_;
        done(*renewed);
      });
}

void Worker::revoke(policy::Revocation what, Duration ttl, const char* action, std::string by,
                    std::move_only_function<void(bool)> done) {
  shared_.revoke(std::move(what), ttl, action, std::move(by), [this, done = std::move(done)](bool good) mutable {
    post([good, done = std::move(done)]() mutable { done(good); });
  });
}

// ---- drain ---------------------------------------------------------------------------------------------------------------

void Worker::drain(Duration spread, Duration deadline, std::move_only_function<void()> gone) {
  if (draining) return;
  for (auto& [name, listener] : listeners_) listener->stop();
  draining = true;
  drain_gone_ = std::move(gone);
  drain_started_ = loop_.now();
  drain_deadline_ = drain_started_ + deadline;
  drain_spread_ = spread;
  for (std::size_t i = 0; i < owners_.places(); ++i) {
    if (owners_.at(i)) drain_queue_.push_back(owners_.at(i)->slot);
  }
  // In an order that has nothing to do with age: who came together does not leave together.
  for (std::size_t i = drain_queue_.size(); i > 1; --i) std::swap(drain_queue_[i - 1], drain_queue_[random_below(i)]);
  drain_total_ = drain_queue_.size();
  if (owners_.size() == 0) {
    std::exchange(drain_gone_, nullptr)();
    return;
  }
  drain_some();
}

void Worker::drain_some() {
  const Instant now = loop_.now();
  const double share = drain_spread_ <= Duration::zero()
                           ? 1.0
                           : std::min(1.0, std::chrono::duration<double>(now - drain_started_) /
                                               std::chrono::duration<double>(drain_spread_));
  const auto due = static_cast<std::size_t>(share * static_cast<double>(drain_total_));
  while (!drain_queue_.empty() && drain_total_ - drain_queue_.size() < std::max<std::size_t>(due, 1)) {
    if (session::StreamOwner* owner = owners_.find(drain_queue_.back())) owner->drain();
    drain_queue_.pop_back();
  }
  if (now >= drain_deadline_) {
    for (std::size_t i = 0; i < owners_.places(); ++i) {
      session::StreamOwner* owner = owners_.at(i);
      if (!owner) continue;
      owner->cut();
      owner->act(Step::done);
    }
    return;
  }
  drain_timer_.arm(kDrainStep);
}

}  // namespace sluice::server
