#include "upstream/pool.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {

Pool::Idle::Idle(Pool& its_pool, std::shared_ptr<Server> its_server, Kept its_kept)
    : pool(its_pool), server(std::move(its_server)), kept(std::move(its_kept)) {
  kept.stream->set_ready(this);
}

void Pool::Idle::on_ready() {
  if (!clean()) pool.drop(*this);
}

// Records of TLS that carry no data (tickets for the next handshake) are no words.
bool Pool::Idle::clean() {
  net::Stream& stream = *kept.stream;
  while (!stream.starved()) {
    const Io io = stream.fill();
    stream.settle();
    if (io == Io::blocked) break;
    if (io != Io::ok || !stream.received().empty()) return false;
  }
  return stream.received().empty() && !stream.jammed() && !stream.unsent();
}

Pool::Kept Pool::take(const Server& server, std::uint64_t generation, Instant now, bool asked) {
  const auto found = servers_.find(&server);
  if (found == servers_.end()) return {};
  Resting& resting = found->second;
  while (!resting.empty()) {
    const std::unique_ptr<Idle> idle = std::move(resting.back());
    resting.pop_back();
    --size_;
    if (asked) idle->kept.stream->recheck();
    if (idle->generation != generation || now >= idle->until || !idle->clean()) continue;
    idle->kept.stream->set_ready(nullptr);
    return std::move(idle->kept);
  }
  return {};
}

void Pool::give(const std::shared_ptr<Server>& server, std::uint64_t generation, Kept kept, const PoolSettings& settings,
                Duration idle, Instant now) {
  const Instant oldest = settings.max_age > Duration::zero() ? kept.born + settings.max_age : kNever;
  Resting& resting = servers_[server.get()];
  if (resting.size() >= settings.max_idle || now >= oldest || idle <= Duration::zero()) return;
  auto one = std::make_unique<Idle>(*this, server, std::move(kept));
  if (!one->clean()) return;
  one->generation = generation;
  one->until = std::min(oldest, now + idle);
  resting.push_back(std::move(one));
  ++size_;
}

void Pool::drop(Idle& idle) {
  Resting& resting = servers_[idle.server.get()];
  size_ -= std::erase_if(resting, [&](const auto& one) { return one.get() == &idle; });
}

void Pool::tend(Instant now) {
  for (auto at = servers_.begin(); at != servers_.end();) {
    size_ -= std::erase_if(at->second, [now](const auto& one) { return now >= one->until; });
    at = at->second.empty() ? servers_.erase(at) : std::next(at);
  }
}

void Pool::flush() {
  servers_.clear();
  size_ = 0;
}

std::size_t Pool::idle(const Server& server) const {
  const auto found = servers_.find(&server);
  return found == servers_.end() ? 0 : found->second.size();
}

}  // namespace sluice::upstream
