// RawFront: one client connection of a listener with protocol = "tcp": octets to a server and back, of which nothing is
// read.
//
//     judge (limits) → choose ⇄ (wait for a server) → open ⇄ (next candidate) → relay ⇄ → done
//
// While it waits, what the client sends stays in the kernel. Owns the client's stream, one Leg, and a Relay for each direction, all on the worker that accepted it. An end on one side
// is passed on when all that came before it has left, and the other direction goes on; a reset on one side becomes a reset
// on the other, so that what was cut never looks whole. There is nobody to answer: a refusal is the end of the connection,
// and its line in the log.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "relay/relay.h"
#include "session/admission.h"
#include "session/ends.h"
#include "session/front.h"
#include "session/leg.h"
#include "session/opening.h"
#include "session/raw_log.h"

namespace sluice::session {

class RawFront final : public StreamOwner {
 public:
  RawFront(House& house, Admission admission, std::unique_ptr<net::Stream> client, std::shared_ptr<const Runtime> runtime,
           std::size_t listener, const Ends& ends, http::TlsFacts tls);
  ~RawFront() override;

  Step tick() override;
  // What runs is left alone until the drain's deadline: nobody knows where such a protocol may be cut.
  void drain() override;
  void cut() override;
  bool kick(const Kick& kick) override;
  void describe(JsonWriter& out, const ConnectionFilter& filter) const override;

 private:
  // One direction: lets everything pass, and counts it.
  class Lane final : public relay::RelayHost {
   public:
    Lane(net::Stream& from, net::Stream& to, Counter& counter, BufferPool& pool)
        : to_(to), counter_(counter), relay_(from, framer_, *this, pool) {}
    Verdict admit(const relay::Run& run) override;
    net::Stream* route(const relay::Run&) override { return &to_; }
    void settled() override {}

    relay::Relay& relay() { return relay_; }
    net::Stream& to() { return to_; }
    // Everything that it was given has left, the end included.
    bool done() const { return ended && !to_.unsent(); }

    bool ended = false;       // the source has finished, and the sink has been told
    std::uint64_t octets = 0;
    std::size_t undelivered = 0;  // of the sink, at the last look

   private:
    net::Stream& to_;
    Counter& counter_;
    relay::RawFramer framer_;
    relay::Relay relay_;
  };
  // What is needed until octets flow.
  struct Waiting {
    Opening opening;
    LegPlan plan;
    event::Timer timer;
  };

  Step advance() override;
  Result<void> judge();
  Result<void> judge_limit(policy::Limiter& limiter);
  Step choose();
  Step hold(Error error);
  bool client_left() const;
  Step open();
  Step candidate_failed(Error error);
  void start_relaying();
  Step relay();
  Step pump(Lane& lane, relay::Budget& budget);
  Step lost(Side side);
  Errc unwanted();
  Step end(Error error, Side initiator);
  void log();

  const ListenerRuntime& listener() const { return runtime_->listeners[listener_]; }
  const upstream::Cluster& cluster() const { return *listener().compiled->cluster; }
  Instant now() const { return house_.loop.now(); }

  Admission admission_;
  std::unique_ptr<net::Stream> client_;
  std::shared_ptr<const Runtime> runtime_;
  std::size_t listener_;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<Leg> leg_;
  std::vector<policy::Permit> permits_;
  std::optional<Lane> up_;
  std::optional<Lane> down_;
  RawRecord record_;
  std::uint64_t key_hash_ = 0;
  Instant last_octet_{};
  bool judged_ = false;
  bool logged_ = false;
};

}  // namespace sluice::session
