// The waiting room, and a Session's stay in it.
#include "session/pending.h"

#include <algorithm>

#include "session/session.h"

namespace sluice::session {

namespace {

// A server that has just refused a connection is not asked again at once.
constexpr auto kRetryAfterFailure = std::chrono::milliseconds(250);

}  // namespace

Pending::Place::Place(Pending& book, std::shared_ptr<upstream::Load> load, net::Ready& ready)
    : book_(book), load_(std::move(load)), ready_(std::make_shared<net::Ready*>(&ready)) {
  book_.queues_[load_.get()].push_back(ready_);
}

Pending::Place::~Place() {
  load_->waiting.fetch_sub(1, std::memory_order_relaxed);
  const auto queue = book_.queues_.find(load_.get());
  const bool was_first = queue->second.front() == ready_;
  std::erase(queue->second, ready_);
  if (queue->second.empty()) {
    book_.queues_.erase(queue);
  } else if (was_first) {
    book_.loop_.defer([next = std::weak_ptr(queue->second.front())] {
      if (const auto ready = next.lock()) (*ready)->on_ready();
    });
  }
}

bool Pending::Place::first() const { return book_.queues_.find(load_.get())->second.front() == ready_; }

std::unique_ptr<Pending::Place> Pending::enter(const std::shared_ptr<upstream::Load>& load, std::uint32_t most,
                                               net::Ready& ready) {
  if (!upstream::take_one(load->waiting, most)) return nullptr;
  return std::make_unique<Place>(*this, load, ready);
}

// ---- a session that waits ---------------------------------------------------------------------------------------------

// Whether it is not this client's turn: others came before, or it has just tried.
bool Session::must_wait() const {
  const Opening& o = *opening_;
  if (o.place) return !o.place->first() || now() < o.retry_at;
  return house_.pending.waiting(*route_->compiled->cluster->load());
}

// No server can take the client now: it waits for one where the backend says so, else it is refused with what is in the way.
Step Session::hold(Error error) {
  Opening& o = *opening_;
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  const upstream::PendingSettings& settings = cluster.settings().pending;
  // A request that was lost on the way is not asked for again and again.
  const bool passes = error.retryable() || row(error.code).status == 503;
  if (settings.max == 0 || !passes) return refuse(error);
  if (house_.draining) return refuse({Errc::draining, Side::gateway, false, ""});
  if (o.hold_until == kNever) o.hold_until = now() + settings.timeout;
  if (now() >= o.hold_until) return refuse({Errc::pending_timeout, Side::upstream, false, row(error.code).name.data()});
  if (!o.place) o.place = house_.pending.enter(cluster.load(), settings.max, ready_);
  if (!o.place) return refuse({Errc::pending_full, Side::upstream, false, row(error.code).name.data()});
  if (error.retryable() && now() >= o.retry_at) o.retry_at = now() + kRetryAfterFailure;
  o.candidates.clear();
  o.next_candidate = 0;
  o.last_error = {};
  arm(o.place->first() ? std::min(o.hold_until, std::max(o.retry_at, now() + Pending::kRetry)) : o.hold_until);
  return Step::wait;
}

}  // namespace sluice::session
