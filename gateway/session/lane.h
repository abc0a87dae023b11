// UpLane, DownLane: who may pass in one direction of a session, and where to. They count, apply limits, and answer or
// forward control frames; they never write.
#pragma once

#include <memory>
#include <vector>

#include "policy/limiter.h"
#include "relay/relay.h"
#include "session/runtime.h"
#include "session/tally.h"

namespace sluice::session {

class Session;
class Leg;

// One messages or bytes limit of a session.
struct Meter {
  const MeterRule* rule = nullptr;  // kept alive by the session's runtime
  policy::Bucket bucket;            // for keys that connections share
  policy::Rate::State state;        // for a limit per connection

  Duration owe(std::uint64_t units, Instant now) {
    return rule->own ? rule->rate.owe(state, units, now) : bucket.owe(units, now);
  }
  Duration take(std::uint64_t units, Instant now) {
    return rule->own ? rule->rate.take(state, units, now) : bucket.take(units, now);
  }
  Duration debt(Instant now) { return rule->own ? rule->rate.debt(state, now) : bucket.debt(now); }
  // Undoes a take().
  void give_back(std::uint64_t units) { rule->own ? rule->rate.give_back(state, units) : bucket.give_back(units); }
  void charge(std::uint64_t units, Instant now) {
    rule->own ? rule->rate.charge(state, units, now) : bucket.charge(units, now);
  }
};

class UpLane final : public relay::RelayHost {
 public:
  explicit UpLane(Session& session) : session_(session) {}
  Verdict admit(const relay::Run& run) override;
  net::Stream* pass(relay::Batch& batch, Bytes octets, const net::Stream* with) override;
  relay::Appetite appetite() override;
  void inspect(const relay::Preview& message) override;
  net::Stream* route(const relay::Run& run) override;
  bool gives_up(const relay::Run& held) const override;
  void settled() override {}

  std::vector<Meter> meters;
  Instant resume_at{};  // when a delayed message may pass

 private:
  Verdict control(const relay::Run& run);
  Verdict swallow_token(const relay::Run& run);
  Verdict meter(const relay::Run& run);
  void count(const relay::Run& run);

  Session& session_;
  std::size_t metered_ = 0;        // meters that the run at hand has passed
  std::uint64_t size_ = 0;         // payload octets of the message at hand
  Instant control_tat_{};          // GCRA of control frames
};

class DownLane final : public relay::RelayHost {
 public:
  DownLane(Session& session, Leg& leg) : session_(session), leg_(leg) {}
  Verdict admit(const relay::Run& run) override;
  net::Stream* pass(relay::Batch& batch, Bytes octets, const net::Stream* with) override;
  relay::Appetite appetite() override;
  void inspect(const relay::Preview& message) override;
  net::Stream* route(const relay::Run& run) override;
  bool gives_up(const relay::Run& held) const override;
  void settled() override;
  // Whether rules want to see the messages.
  bool guarded() const;

 private:
  Verdict control(const relay::Run& run);

  Session& session_;
  Leg& leg_;
  std::uint64_t size_ = 0;
};

}  // namespace sluice::session
