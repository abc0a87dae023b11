#include "session/lane.h"

#include "session/limit_key.h"
#include "session/message_guard.h"
#include "session/session.h"
#include "ws/control.h"

namespace sluice::session {

namespace {

void count_message(RouteTally::Flow& flow, std::uint8_t opcode, std::uint64_t size) {
  flow.messages[opcode == ws::kText ? 0 : 1].add();
  flow.sizes.observe(size);
}

void count_batch(RouteTally::Flow& flow, const relay::Batch& batch) {
  if (batch.text > 0) flow.messages[0].add(batch.text);
  if (batch.binary > 0) flow.messages[1].add(batch.binary);
  flow.bytes.add(batch.payload);
  if (batch.messages() == 1) {
    flow.sizes.observe(batch.payload);
  } else {
    flow.sizes.observe(batch.sizes, batch.payload);
  }
}

bool is_mark(Bytes payload, std::uint64_t mark) {
  return mark != 0 && payload.size() == sizeof mark && load_be<std::uint64_t>(payload.data()) == mark;
}

// Where nothing is awaited any more, since the other side has spoken meanwhile, there is no time to measure.
void observe_ping(Histogram<14>& seconds, Instant sent, Instant now) {
  if (sent != Instant{}) seconds.observe(std::chrono::duration<double>(now - sent).count());
}

}  // namespace

// ---- client → upstream ------------------------------------------------------------------------------------------------

Verdict UpLane::admit(const relay::Run& run) {
  if (session_.client_close_in_) return Verdict::consume();  // after Close nothing counts (RFC 6455 §5.5.1)
  if (run.control) return control(run);
  // A message that has begun to pass is finished, so that the upstream is left at a boundary; no new one begins.
  if (session_.ending_ && run.begins) return Verdict::consume();
  if (run.begins && session_.renewal() && session_.renewal()->brings()) return swallow_token(run);
  if (!session_.per_message()) {
    const Leg& leg = *session_.legs_.front();
    if ((leg.close_out || leg.state() == Leg::State::closed) && !session_.away()) return Verdict::consume();
  } else if (!run.begins) {  // the leg is known once a message has begun
    if (session_.revival_ ? session_.revival_->over() : session_.target_gone()) return Verdict::consume();
  } else if (session_.spread_->refused) {
    return Verdict::deny({Errc::too_big, Side::client, false, "a message too large to be read"});
  } else if (session_.revival_ && session_.revival_->over()) {
    return Verdict::consume();
  }
  const Verdict verdict = session_.ending_ ? Verdict::allow() : meter(run);
  if (!verdict.allowed()) return verdict;
  if (run.begins && session_.guarded_) {
    if (const auto denied = session_.denied_message(Direction::up)) return *denied;
  }
  if (run.begins && session_.per_message() && session_.revival_ && !session_.revival_->begin()) {
    metered_ = meters.size();  // once is enough
    return Verdict::pending();
  }
  count(run);
  return verdict;
}

// It counts for limits as any message does.
Verdict UpLane::swallow_token(const relay::Run& run) {
  const Verdict verdict = meter(run);
  if (verdict.kind == Verdict::Kind::consume) session_.renewal()->dropped();
  if (!verdict.allowed()) return verdict;
  session_.renewal()->admitted(session_.now());
  return Verdict::consume();
}

// Only where every limit has room for all of it: whoever must wait or be dropped is asked for one by one.
net::Stream* UpLane::pass(relay::Batch& batch, Bytes octets, const net::Stream* with) {
  if (session_.client_close_in_ || session_.ending_ || session_.revival_) return nullptr;
  const Instant now = session_.now();
  const auto give_back = [this](std::size_t count, std::uint64_t messages, std::uint64_t payload) {
    for (Meter& meter : std::span(meters).first(count)) meter.give_back(meter.rule->by_bytes ? payload : messages);
  };
  for (std::size_t i = 0; i < meters.size(); ++i) {
    const std::uint64_t units = meters[i].rule->by_bytes ? batch.payload : batch.messages();
    if (meters[i].take(units, now) == Duration::zero()) continue;
    give_back(i, batch.messages(), batch.payload);
    return nullptr;
  }
  const std::uint64_t messages = batch.messages();
  const std::uint64_t payload = batch.payload;
  net::Stream* const to = session_.way_of(batch, octets, with);
  if (!to || batch.messages() < messages) {
    give_back(meters.size(), messages - (to ? batch.messages() : 0), payload - (to ? batch.payload : 0));
  }
  if (!to) return nullptr;
  session_.last_data_ = now;
  session_.record_.messages_in += batch.messages();
  session_.record_.bytes_in += batch.payload;
  count_batch(session_.route_->tally->flow[static_cast<std::size_t>(Direction::up)], batch);
  return to;
}

// All limits of the session, each once per run; where one makes the run wait, those before it are not asked again.
Verdict UpLane::meter(const relay::Run& run) {
  using Action = policy::LimitSettings::Action;
  const Instant now = session_.now();
  for (; metered_ < meters.size(); ++metered_) {
    Meter& meter = meters[metered_];
    const MeterRule& rule = *meter.rule;
    Duration wait{};
    if (run.begins) {
      wait = rule.action == Action::drop ? meter.take(1, now) : meter.owe(rule.by_bytes ? run.payload : 1, now);
    } else if (rule.by_bytes) {
      wait = meter.debt(now);
      if (wait == Duration::zero()) meter.charge(run.payload, now);
    }
    if (wait == Duration::zero()) [[likely]] continue;
    rule.limiter->count_refused();
    session_.record_.rate_limited = true;
    if (rule.action == Action::delay) {
      resume_at = now + wait;
      return Verdict::wait(resume_at);
    }
    metered_ = 0;
    if (rule.action == Action::drop) {
      session_.route_->tally->discarded_limit.add();
      return Verdict::consume();
    }
    session_.close_override_ = rule.close_code;
    return Verdict::deny({rule.refusal, Side::client, false, "message or byte rate"});
  }
  metered_ = 0;
  return Verdict::allow();
}

void UpLane::count(const relay::Run& run) {
  RouteTally::Flow& flow = session_.route_->tally->flow[static_cast<std::size_t>(Direction::up)];
  if (run.begins) size_ = 0;
  session_.last_data_ = session_.now();
  size_ += run.payload;
  flow.bytes.add(run.payload);
  session_.record_.bytes_in += run.payload;
  if (!run.ends) return;
  ++session_.record_.messages_in;
  count_message(flow, run.opcode, size_);
}

Verdict UpLane::control(const relay::Run& run) {
  const config::WebSocketSettings& rules = session_.rules();
  const Instant now = session_.now();
  if (rules.control_rate > 0) {
    const Duration interval = Duration(std::chrono::seconds(1)) / rules.control_rate;
    if (control_tat_ < now) control_tat_ = now;
    control_tat_ += interval;
    if (control_tat_ - now > interval * static_cast<std::int64_t>(rules.control_burst)) {
      return Verdict::deny({Errc::flood_ctl, Side::client, false, "too many control frames"});
    }
  }
  if (run.opcode == ws::kClose) {
    const auto close = ws::parse_close(run.content, Side::client);
    if (!close) return Verdict::deny(close.error());
    return session_.on_client_close(*close) ? Verdict::allow() : Verdict::consume();
  }
  if (run.opcode == ws::kPong && is_mark(run.content, session_.ping_mark_)) {
    observe_ping(session_.house_.tally.ping_seconds[0], session_.ping_sent_, now);
    session_.ping_mark_ = 0;
    session_.ping_sent_ = {};
    return Verdict::consume();
  }
  // What stands inside of a message that is held to be read is answered here: it cannot pass before that.
  const bool forward = session_.route_->compiled->plan.forward_control && !session_.ending_ && !session_.up_->looks_ahead() &&
                       session_.legs_.front()->relaying() && !session_.legs_.front()->close_out;
  if (forward) return Verdict::allow();
  if (run.opcode == ws::kPing) {
    // Only the newest is answered (RFC 6455 §5.5.3), so a flood is owed one answer.
    session_.rare().pong.assign(as_text(run.content));
    session_.pong_due_ = true;
  }
  return Verdict::consume();
}

// What will be swallowed is not waited for.
relay::Appetite UpLane::appetite() {
  return session_.client_close_in_ || session_.ending_ ? relay::Appetite{} : session_.appetite(Direction::up);
}

void UpLane::inspect(const relay::Preview& message) {
  if (!session_.client_close_in_ && !session_.ending_) session_.inspect_up(message);
}

net::Stream* UpLane::route(const relay::Run& run) {
  if (session_.revival_) return session_.revival_->route(run);
  if (session_.per_message()) return session_.leg_for(run);
  Leg& leg = *session_.legs_.front();
  return leg.relaying() ? &leg.stream() : nullptr;
}

// What waits for a leg that is gone, or begins while the session ends, waits in vain; the client's Close may stand behind.
bool UpLane::gives_up(const relay::Run& held) const {
  if (held.begins && session_.ending_) return true;
  if (held.begins && session_.per_message()) return false;
  if (session_.per_message()) return session_.revival_ ? session_.revival_->over() : session_.target_gone();
  const Leg& leg = *session_.legs_.front();
  return leg.close_out || leg.state() == Leg::State::closed;
}

// ---- upstream → client ------------------------------------------------------------------------------------------------

Verdict DownLane::admit(const relay::Run& run) {
  if (leg_.close_in) return Verdict::consume();
  if (run.control) return control(run);
  if (run.begins && session_.guarded_) {
    if (const auto denied = session_.denied_message(Direction::down)) return *denied;
  }
  if (run.begins && session_.spread_ && session_.spread_->races &&
      std::exchange(session_.spread_->races->swallow, false)) {
    session_.route_->tally->discarded_race.add();
    return Verdict::consume();
  }
  // The message at hand may be finished; no new one begins once a Close stands in line for the client.
  const bool closing = session_.client_close_out_ || session_.client_gone_ ||
                       (run.begins && (session_.client_close_due_ || session_.ending_));
  if (closing) {
    if (run.begins) session_.route_->tally->discarded_closing.add();
    return Verdict::consume();
  }
  RouteTally::Flow& flow = session_.route_->tally->flow[static_cast<std::size_t>(Direction::down)];
  if (run.begins) size_ = 0;
  session_.last_data_ = session_.now();
  size_ += run.payload;
  flow.bytes.add(run.payload);
  session_.record_.bytes_out += run.payload;
  if (run.ends) {
    ++session_.record_.messages_out;
    count_message(flow, run.opcode, size_);
  }
  return Verdict::allow();
}

net::Stream* DownLane::pass(relay::Batch& batch, Bytes, const net::Stream*) {
  if (leg_.close_in || session_.client_close_out_ || session_.client_gone_ || session_.client_close_due_ ||
      session_.ending_) {
    return nullptr;
  }
  if (session_.per_message() && !session_.enter_gate(leg_, true)) return nullptr;
  session_.last_data_ = session_.now();
  session_.record_.messages_out += batch.messages();
  session_.record_.bytes_out += batch.payload;
  count_batch(session_.route_->tally->flow[static_cast<std::size_t>(Direction::down)], batch);
  return &session_.client_;
}

Verdict DownLane::control(const relay::Run& run) {
  if (run.opcode == ws::kClose) {
    const auto close = ws::parse_close(run.content, Side::upstream);
    if (!close) return Verdict::deny(close.error());
    return session_.on_leg_close(leg_, *close) ? Verdict::allow() : Verdict::consume();
  }
  if (run.opcode == ws::kPong && is_mark(run.content, leg_.ping_mark)) {
    observe_ping(session_.house_.tally.ping_seconds[1], leg_.ping_sent, session_.now());
    leg_.ping_mark = 0;
    leg_.ping_sent = {};
    return Verdict::consume();
  }
  const bool forward = session_.route_->compiled->plan.forward_control && !session_.client_close_out_ &&
                       !session_.client_close_due_ && !session_.client_gone_;
  if (forward) return Verdict::allow();
  if (run.opcode == ws::kPing) {
    leg_.pong = std::make_unique<std::string>(as_text(run.content));
    leg_.pong_due = true;
  }
  return Verdict::consume();
}

relay::Appetite DownLane::appetite() {
  return session_.appetite(Direction::down);
}

void DownLane::inspect(const relay::Preview& message) {
  if (MessageGuard* const guard = session_.guard(Direction::down); guard && !guard->read(Direction::down, message)) return;
  if (session_.spread_ && session_.spread_->races) session_.read_answer(leg_, message);
}

bool DownLane::guarded() const { return session_.guard(Direction::down) != nullptr; }

net::Stream* DownLane::route(const relay::Run& run) {
  if (!session_.per_message() || session_.enter_gate(leg_, run.begins)) return &session_.client_;
  return nullptr;
}

// What waits at the gate when the client has been told Close comes too late.
bool DownLane::gives_up(const relay::Run&) const { return session_.client_close_out_ || session_.client_gone_; }

void DownLane::settled() { session_.leave_gate(leg_); }

}  // namespace sluice::session
