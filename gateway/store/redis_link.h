// RedisLink: one connection to Redis that is kept up: name, connect, TLS, AUTH and SELECT, then commands, or a subscription; lost, it
// is made anew after a growing pause. The name is resolved at every attempt, so that an address which moved is followed. A server that
// answers nothing for a second is given up, which a PING every half second finds out. On the main loop; never blocks.
//
//     resting ── its pause is over ──▶ resolving ──▶ connecting ──▶ greeting ──▶ up
//        ▲──────────────────────────── whatever fails ──────────────────────────│
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "event/timer.h"
#include "net/connector.h"
#include "net/resolver.h"
#include "store/backoff.h"
#include "store/redis_pipeline.h"
#include "store/redis_settings.h"

namespace sluice::store {

// Counted over all links and the life of the process.
struct RedisTally {
  std::array<std::uint64_t, kRedisFaultNames.size()> faults{};
  std::function<void(Duration)> took;  // of each reply

  void count(RedisFault fault) { ++faults[static_cast<std::size_t>(fault)]; }
};

class RedisLink final : private net::Ready {
 public:
  using Done = RedisPipeline::Done;
  using Dial = std::function<std::unique_ptr<net::Connector>(const net::Address&, net::Ready&)>;
  using Resolve = std::function<void(std::move_only_function<void(net::Resolver::Answer)>)>;

  // How it reaches its server.
  struct Way {
    Resolve resolve;  // of the host, as net::Resolver does it
    Dial dial;        // up to a stream, TLS included
    std::string username;
    Secret password;
    std::uint32_t database = 0;
    std::string channel;  // to subscribe to; empty: it takes commands
  };
  // None of them may destroy the link, and down() may not open() it.
  struct Hooks {
    std::function<void()> up;
    // An attempt failed, or the link is lost; `why` for the log.
    std::function<void(RedisFault fault, const std::string& why)> down;
    std::function<void(std::string_view payload)> message;
  };

  static constexpr Duration kAttempt = std::chrono::seconds(1);  // from the name to up
  static constexpr Duration kStall = std::chrono::seconds(1);    // without an answer that is owed
  static constexpr Duration kBeat = std::chrono::milliseconds(500);
  static constexpr Duration kFirstPause = std::chrono::milliseconds(50);
  static constexpr Duration kMostPause = std::chrono::seconds(1);

  // `loop` and `tally` outlive it. `random`: for the pauses.
  RedisLink(event::Loop& loop, Way way, Hooks hooks, RedisTally& tally, std::function<std::uint64_t()> random);
  ~RedisLink();
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;

  // The first attempt begins.
  void open();
  bool up() const { return phase_ == Phase::up; }
  // As RedisPipeline::ask; false also while it is not up. What is asked in one pass leaves in one write.
  bool ask(std::span<const std::string> command, Duration timeout, Done done);

 private:
  enum class Phase : std::uint8_t { resting, resolving, connecting, greeting, up };

  void on_ready() override { advance(); }
  void on_time();
  void beat();
  void attempt();
  void resolved(net::Resolver::Answer answer);
  bool dial_next();
  void advance();
  bool connect();
  void greet();
  void greet_with(std::vector<std::string> command);
  void greeted(const RedisPipeline::Answer& answer);
  bool read();
  bool write();
  void plan();
  void lose(RedisFault fault, std::string why);

  event::Loop& loop_;
  Way way_;
  Hooks hooks_;
  RedisTally& tally_;
  std::function<std::uint64_t()> random_;
  Phase phase_ = Phase::resting;
  Backoff backoff_{kFirstPause, kMostPause};
  std::vector<net::Address> addresses_;  // not tried yet
  Error failed_{};                       // of those tried; one that got further than others says more
  std::unique_ptr<net::Connector> connector_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<RedisPipeline> pipeline_;
  unsigned greetings_ = 0;     // that are owed
  std::string greeting_why_;   // not empty: one was refused
  RedisFault greeting_fault_ = RedisFault::refused;
  Instant up_since_{};
  event::Timer timer_;    // the pause, the end of the attempt, or the next beat
  event::Timer due_;      // of commands
  event::Timer begin_;    // what was asked leaves; a connect that fails at once has no edge to tell it
  std::shared_ptr<RedisLink*> self_;  // of this attempt: what the resolver holds weakly
};

}  // namespace sluice::store
