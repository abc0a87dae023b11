#include "upstream/pool.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {

namespace {

// More are held than may be.
bool over(const std::atomic<std::uint32_t>& held, std::uint32_t most) {
  return most != 0 && held.load(std::memory_order_relaxed) > most;
}

bool over(const Server& server, std::uint32_t backend_most) {
  return over(server.held, server.max_connections.load(std::memory_order_relaxed)) || over(server.load().held, backend_most);
}

}  // namespace

Pool::Idle::Idle(Pool& its_pool, std::shared_ptr<Server> its_server, Kept its_kept)
    : pool(its_pool), server(std::move(its_server)), use(ServerUse::resting(server)), kept(std::move(its_kept)) {
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

void Pool::give(const std::shared_ptr<Server>& server, std::uint64_t generation, Kept kept, const BackendSettings& backend,
                Duration idle, Instant now) {
  const PoolSettings& settings = backend.pool;
  const Instant oldest = settings.max_age > Duration::zero() ? kept.born + settings.max_age : kNever;
  Resting& resting = servers_[server.get()];
  if (resting.size() >= settings.max_idle || now >= oldest || idle <= Duration::zero()) return;
  if (over(*server, backend.max_connections)) return;
  auto one = std::make_unique<Idle>(*this, server, std::move(kept));
  if (!one->clean()) return;
  one->generation = generation;
  one->until = std::min(oldest, now + idle);
  one->backend_most = backend.max_connections;
  resting.push_back(std::move(one));
  ++size_;
}

void Pool::drop(Idle& idle) {
  Resting& resting = servers_[idle.server.get()];
  size_ -= std::erase_if(resting, [&](const auto& one) { return one.get() == &idle; });
}

void Pool::drop_oldest(Resting& resting) {
  resting.erase(resting.begin());
  --size_;
}

void Pool::make_room(const Server& server, const BackendSettings& backend) {
  const auto own = servers_.find(&server);
  while (own != servers_.end() && !own->second.empty() && over(server, backend.max_connections)) drop_oldest(own->second);
  const auto crowded = [&] { return over(server.load().held, backend.max_connections); };
  if (!crowded()) return;
  for (auto& [other, resting] : servers_) {
    while (!resting.empty() && &other->load() == &server.load() && crowded()) drop_oldest(resting);
  }
}

void Pool::tend(Instant now) {
  for (auto at = servers_.begin(); at != servers_.end();) {
    while (!at->second.empty() && over(*at->first, at->second.front()->backend_most)) drop_oldest(at->second);
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
