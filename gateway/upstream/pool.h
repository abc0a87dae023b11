// Pool: idle connections to upstreams, kept by one worker for the next request. Whoever gives one vouches that it stands
// between two answers; from then on the pool owns it, and drops it as soon as it says anything or ends: what comes unasked
// would be taken for the answer to the next request.
//
// An idle connection is not in use: no balancer sees it, and it is in nobody's way. But it is one that the server has
// (Server::held): where one more would exceed max_connections, of its server or backend, idle ones of this worker are closed
// first. Those of other workers are not waited for; whoever has some while there are too many closes them within about a
// second. So a server never has more than max_connections in use, nor more than that idle, and for longer than a second not
// more than that together.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "net/stream.h"
#include "upstream/backend.h"

namespace sluice::upstream {

class Pool {
 public:
  // A connection on its way from one request to the next.
  struct Kept {
    std::unique_ptr<net::Stream> stream;
    Instant born{};            // when it was opened
    explicit operator bool() const { return stream != nullptr; }
  };

  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // The one that rested least, for a configuration of that generation; empty when there is none. `asked`: it is looked
  // once more whether it has ended, at the price of a receive.
  Kept take(const Server& server, std::uint64_t generation, Instant now, bool asked);
  // Until `now + idle`, and no older than `pool.max_age`. Closes the stream when it is not clean or not wanted, or where there
  // are too many. Its last user still counts on its server.
  void give(const std::shared_ptr<Server>& server, std::uint64_t generation, Kept kept, const BackendSettings& backend,
            Duration idle, Instant now);
  // One more has been taken on the server: closes idle ones until there are no more than may be, or none is left here.
  void make_room(const Server& server, const BackendSettings& backend);
  // Drops what has rested long enough, and what is too much. About once a second.
  void tend(Instant now);
  // Drops all: another configuration is in force, or the worker ends.
  void flush();

  std::size_t idle(const Server& server) const;
  std::size_t size() const { return size_; }

 private:
  // Told of every edge of its stream.
  class Idle final : public net::Ready {
   public:
    Idle(Pool& pool, std::shared_ptr<Server> server, Kept kept);
    void on_ready() override;
    // True while nothing has come and it has not ended.
    bool clean();

    Pool& pool;
    std::shared_ptr<Server> server;
    ServerUse use;
    Kept kept;
    std::uint64_t generation = 0;
    Instant until{};
    std::uint32_t backend_most = 0;  // max_connections of the backend
  };
  using Resting = std::vector<std::unique_ptr<Idle>>;  // the last to come is the first to go

  void drop(Idle& idle);
  void drop_oldest(Resting& resting);

  std::unordered_map<const Server*, Resting> servers_;
  std::size_t size_ = 0;
};

}  // namespace sluice::upstream
