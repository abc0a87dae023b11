#include "store/redis_pipeline.h"

#include <algorithm>
#include <utility>

namespace sluice::store {

namespace {

// What no other command would be served after either.
constexpr std::array<std::string_view, 6> kUnserving{"LOADING", "READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN", "NOAUTH"};

}  // namespace

bool RedisPipeline::ask(std::span<const std::string> command, Duration timeout, Instant now, Done done) {
  if (waiting_.size() >= kMostWaiting || out_.size() >= kMostUnsent) return false;
  out_ += redis_command(command);
  waiting_.push_back({std::move(done), now, timeout > Duration::zero() ? now + timeout : kNever});
  return true;
}

std::expected<void, RedisFault> RedisPipeline::take(Bytes octets, Instant now) {
  std::vector<RedisReply> replies;
  const bool good = reader_.feed(octets, replies);
  for (RedisReply& reply : replies) {
    if (deliver(reply)) continue;
    if (waiting_.empty()) return std::unexpected(RedisFault::protocol);
    Waiting first = std::move(waiting_.front());
    waiting_.pop_front();
    const bool unserving =
        std::ranges::any_of(kUnserving, [&](std::string_view word) { return reply.refused_with(word); });
    if (first.done) {
      if (took_) took_(now - first.asked);
      first.done(std::move(reply));
    }
    if (unserving) return std::unexpected(RedisFault::refused);
  }
  if (!good) return std::unexpected(RedisFault::protocol);
  return {};
}

// A message is no reply. True: it was one.
bool RedisPipeline::deliver(RedisReply& reply) {
  if (!message_ || !reply.is(RedisReply::Type::array) || reply.items.size() != 3) return false;
  if (reply.items[0].text != "message") return false;
  message_(reply.items[1].text, reply.items[2].text);
  return true;
}

void RedisPipeline::expire(Instant now) {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {  // a Done may add to them
    if (waiting_[i].due > now) continue;
    waiting_[i].due = kNever;
    if (Done done = std::exchange(waiting_[i].done, nullptr)) done(std::unexpected(RedisFault::timeout));
  }
}

Instant RedisPipeline::due() const {
  Instant first = kNever;
  for (const Waiting& one : waiting_) first = std::min(first, one.due);
  return first;
}

void RedisPipeline::fail(RedisFault fault) {
  for (Waiting& one : std::exchange(waiting_, {})) {
    if (one.done) one.done(std::unexpected(fault));
  }
}

}  // namespace sluice::store
