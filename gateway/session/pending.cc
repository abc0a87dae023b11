#include "session/pending.h"

#include <algorithm>
#include <atomic>

#include "session/front.h"

namespace sluice::session {

namespace {

// A server that has just refused a connection is not asked again at once.
constexpr auto kRetryAfterFailure = std::chrono::milliseconds(250);

}  // namespace

// Of one client in the line; given up by destroying it.
class Pending::Place final : private upstream::WaitingLine::Waiter {
 public:
  // Null when `pending.max` of the backend wait already.
  static std::unique_ptr<Place> enter(House& house, const upstream::Cluster& cluster, net::Ready& ready) {
    auto place = std::make_unique<Place>(house, cluster, ready);
    place->in_line_ = place->load_->line.enter(place->of_, *place, cluster.settings().pending.max);
    return place->in_line_ ? std::move(place) : nullptr;
  }
  Place(House& house, const upstream::Cluster& cluster, net::Ready& ready)
      : house_(house), load_(cluster.load()), of_(&cluster), bell_(std::make_shared<Bell>(ready)) {}
  ~Place() {
    if (in_line_) load_->line.leave(of_, *this);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  bool first() const { return load_->line.first(of_, *this); }

 private:
  struct Bell {
    explicit Bell(net::Ready& its_ready) : ready(its_ready) {}
    net::Ready& ready;
    std::atomic<bool> rung{false};  // and not heard yet
  };

  // On whatever thread: the bell rings on the client's own, unless the client has left by then.
  void call() override {
    if (bell_->rung.exchange(true)) return;
    house_.post([weak = std::weak_ptr(bell_)] {
      const std::shared_ptr<Bell> bell = weak.lock();
      if (!bell) return;
      bell->rung.store(false);
      bell->ready.on_ready();
    });
  }

  House& house_;
  std::shared_ptr<upstream::Load> load_;
  const void* of_;
  std::shared_ptr<Bell> bell_;
  bool in_line_ = false;
};

Pending::Pending() = default;
Pending::~Pending() = default;

void Pending::leave() { place_.reset(); }

bool Pending::must_wait(const upstream::Cluster& cluster, Instant now) const {
  if (place_) return now < retry_at_ || !place_->first();
  return cluster.load()->line.any(&cluster);
}

Result<Instant> Pending::hold(House& house, const upstream::Cluster& cluster, Error error, net::Ready& ready) {
  const upstream::PendingSettings& settings = cluster.settings().pending;
  const Instant now = house.loop.now();
  // A request that was lost on the way is not asked for again and again.
  const bool passes = error.retryable() || row(error.code).status == 503;
  if (settings.max == 0 || !passes) return fail(error);
  if (until_ == kNever) until_ = now + settings.timeout;
  const char* const why = row(error.code).name.data();
  if (now >= until_) return fail(Errc::pending_timeout, Side::upstream, why);
  const bool enters = !place_;
  if (enters) place_ = Place::enter(house, cluster, ready);
  if (!place_) return fail(Errc::pending_full, Side::upstream, why);
  if (!upstream::Cluster::refuses_with(error.code) && now >= retry_at_) retry_at_ = now + kRetryAfterFailure;
  if (!place_->first()) return until_;
  if (now < retry_at_) return std::min(until_, retry_at_);
  return enters ? now : std::min(until_, cluster.changes_at(now));
}

}  // namespace sluice::session
