// RedisPipeline: commands on their way over one connection and who waits for their replies, which come in the same order. Sans
// I/O: what is to be sent lies in out(), what has come is given to take(). Time is an argument.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "store/redis_codec.h"

namespace sluice::store {

// Why there is no reply; label `kind` of sluice_redis_errors_total.
enum class RedisFault : std::uint8_t { dns, connect, tls, auth, timeout, protocol, lost, refused, full };
inline constexpr std::array<std::string_view, 9> kRedisFaultNames{
    "dns", "connect", "tls", "auth", "timeout", "protocol", "lost", "refused", "full"};

class RedisPipeline {
 public:
  static constexpr std::size_t kMostWaiting = 10'000;
  static constexpr std::size_t kMostUnsent = 8 * 1024 * 1024;  // octets

  using Answer = std::expected<RedisReply, RedisFault>;
  using Done = std::move_only_function<void(Answer)>;
  // Of messages: their channel and what they say. The views die with the call.
  using Message = std::move_only_function<void(std::string_view channel, std::string_view payload)>;

  // `message`: where this connection subscribes. It and every Done may ask() and must not destroy this. `took`: told how long each
  // reply took that came in time.
  explicit RedisPipeline(Message message = nullptr, std::function<void(Duration)> took = nullptr)
      : message_(std::move(message)), took_(std::move(took)) {}

  // `done` is called once and never from inside; with an error of the server's, that is a reply. Without it there within `timeout`
  // (0: however long) it is told so, and what comes later is dropped. False: too much waits already, and `done` is not called.
  bool ask(std::span<const std::string> command, Duration timeout, Instant now, Done done);

  std::string& out() { return out_; }

  // The fault that ends the connection: octets that are no replies or that nobody asked for, or a server that serves nobody (it
  // loads its data, has become a replica, belongs to a cluster, lost our authentication).
  std::expected<void, RedisFault> take(Bytes octets, Instant now);

  // Tells those whose time is over.
  void expire(Instant now);
  // When the next one's is.
  Instant due() const;
  // Since when the oldest one waits; kNever: nobody does.
  Instant oldest() const { return waiting_.empty() ? kNever : waiting_.front().asked; }
  // The connection is gone: everybody is told.
  void fail(RedisFault fault);

 private:
  struct Waiting {
    Done done;  // null: it was told that it takes too long
    Instant asked;
    Instant due;
  };
  bool deliver(RedisReply& reply);

  Message message_;
  std::function<void(Duration)> took_;
  RedisReader reader_;
  std::deque<Waiting> waiting_;
  std::string out_;
};

}  // namespace sluice::store
