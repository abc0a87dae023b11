// The relay phase of a Session: pumping both directions, and what is looked at once a second.
#include <algorithm>

#include "base/random.h"
#include "session/session.h"

namespace sluice::session {

namespace {

using Why = relay::Relay::Why;
constexpr auto kGateStall = std::chrono::seconds(30);

// Slow is not stalled: whether the other end has taken anything since the last look.
bool moved(const net::Stream& stream, std::size_t& undelivered) {
  const std::size_t before = std::exchange(undelivered, stream.undelivered());
  return before != undelivered;
}

}  // namespace

Step Session::relay() {
  spent_ = false;
  if (spread_) tend_legs();
  relay::Budget up_budget;
  pump_up(up_budget);
  if (revival_) revival_->tend();
  if (renewal()) tend_renewal();
  relay::Budget down_budget;
  if (spread_) {
    pump_legs(down_budget);
  } else {
    for (const auto& leg : legs_) pump_down(*leg, down_budget);
  }
  emit();
  return deadline_ == kNever ? Step::wait : settle_closing();
}

void Session::pump_up(relay::Budget& budget) {
  if (client_gone_ || client_cut_) {
    up_->flush_owed();  // what it sent before is delivered, and makes way for the Close
    return;
  }
  Why why = up_->idle() ? Why::starved : up_->pump(budget);
  if (spread_ && revival_ && why == Why::held) {
    // One message at a time goes up: the next one as soon as it has left.
    while (why == Why::held && budget.octets > 0 && revival_->goes_on()) why = up_->pump(budget);
    if (why == Why::held && budget.octets == 0) spent_ = true;
    if (why == Why::held && revival_->jammed()) why = Why::jammed;
  }
  if (up_->take_activity()) last_client_in_ = now();
  Leg* sink = nullptr;
  for (const auto& leg : legs_) {
    if (leg->state() != Leg::State::open) continue;
    if (&leg->stream() == up_->to() || (revival_ && revival_->feeds(*leg))) sink = leg.get();
  }
  if (sink && why != Why::jammed && sink->jammed_since != Instant{}) end_pause(Direction::up, sink->jammed_since);
  switch (why) {
    case Why::starved: break;
    case Why::jammed:
      if (sink) begin_pause(*sink);
      break;
    case Why::held:
      if (up_lane_.resume_at > now()) arm(up_lane_.resume_at);
      break;
    case Why::budget: spent_ = true; break;
    case Why::from_end:
    case Why::from_error: on_client_end(); break;
    case Why::to_error:
      if (sink) {
        // What it said before it left may be here still: its last messages, and its Close.
        relay::Budget last;
        pump_down(*sink, last);
        on_leg_end(*sink, false);
      }
      break;
    case Why::denied:
      client_cut_ = row(up_->error().code).stage == Stage::ws;
      if (client_cut_) route_->tally->invalid[static_cast<std::size_t>(up_->error().code)].add();
      end(up_->error(), Side::gateway);
      if (!client_cut_) spent_ = true;  // what is left of the message at hand may be here already
      break;
  }
}

void Session::pump_down(Leg& leg, relay::Budget& budget) {
  if (!leg.relaying() || leg.deaf) return;
  const Why why = leg.relay().idle() ? Why::starved : leg.relay().pump(budget);
  if (leg.relay().take_activity()) leg.last_in = now();
  if (client_jammed_since_ != Instant{} && why != Why::jammed && why != Why::held && !client_.jammed()) {
    end_pause(Direction::down, client_jammed_since_);
  }
  switch (why) {
    case Why::starved: break;
    case Why::held:
      if (gate_ == &leg && leg.at_message_boundary()) leave_gate(leg);  // it makes way for those who wait
      break;
    case Why::jammed:
      if (client_jammed_since_ == Instant{}) {
        client_jammed_since_ = now();
        route_->tally->flow[static_cast<std::size_t>(Direction::down)].pauses.add();
      }
      break;
    case Why::budget: spent_ = true; break;
    case Why::from_end: on_leg_end(leg, true); break;
    case Why::from_error: on_leg_end(leg, false); break;
    case Why::to_error: on_client_end(); break;
    case Why::denied:
      leg.close_in = leg.deaf = true;
      if (leg.relay().error().code == Errc::message_denied) {  // it has broken no protocol
        leg.close_code = 1008;
      } else {
        route_->tally->invalid[static_cast<std::size_t>(leg.relay().error().code)].add();
        leg.close_code = 1002;
      }
      end(leg.relay().error(), Side::gateway);
      break;
  }
}

// The client is not read because this leg is full.
void Session::begin_pause(Leg& leg) {
  if (leg.jammed_since != Instant{}) return;
  leg.jammed_since = now();
  route_->tally->flow[static_cast<std::size_t>(Direction::up)].pauses.add();
}

// `way` is not read from `since` on, because who takes it is full. Who has gone pauses no more.
void Session::count_pause(Direction way, Instant since) {
  if (since == Instant{} || client_gone_) return;
  route_->tally->flow[static_cast<std::size_t>(way)].paused.add(static_cast<std::uint64_t>((now() - since).count()));
}

void Session::end_pause(Direction way, Instant& since) {
  count_pause(way, std::exchange(since, {}));
}

void Session::count_pauses() {
  count_pause(Direction::down, client_jammed_since_);
  for (const auto& leg : legs_) count_pause(Direction::up, leg->jammed_since);
}

// ---- once a second ----------------------------------------------------------------------------------------------------

Step Session::tick() {
  if (phase_ == Phase::exchange) return tick_exchange();
  if (phase_ != Phase::relay) return Step::wait;
  count_kept();
  const config::WebSocketSettings& r = rules();
  const Instant time = now();
  // An error that came together with the last octets announces itself by no further edge: one more receive finds it.
  bool work = client_.recheck();
  for (const auto& leg : legs_) work = (leg->relaying() && leg->stream().recheck()) || work;

  if (!ending_) {
    const bool limited = time >= retires_;
    const bool idle = r.idle_timeout > Duration::zero() && time - last_data_ >= r.idle_timeout;
    const bool cut_message = !up_framer_->at_message_boundary() || !client_.received().empty();
    // Octets that we do not read (a limit, a full upstream) are not the client's silence.
    const bool stalled = cut_message && client_.starved() && !up_->holds() && time - last_client_in_ >= r.fragment_timeout;
    if (time >= expires_) {
      close_override_ = expiry_close_code_;
      end({Errc::token_expired, Side::client, false, "token expired"}, Side::gateway, auth_of_standing()->expiry_close_reason);
    } else if (const Result<void> welcome = recheck_ ? recheck_->look() : Result<void>(); !welcome) {
      end(welcome.error(), Side::gateway);
    } else if (limited) {
      end({Errc::lifetime, Side::gateway, false, ""}, Side::gateway);
    } else if (idle) {
      end({Errc::idle, Side::gateway, false, ""}, Side::gateway);
    } else if (stalled) {
      end({Errc::frag_timeout, Side::client, false, "no octet inside a message"}, Side::gateway);
    }
    work = warn(time) || work || ending_;
  }
  for (const auto& leg : legs_) {
    const bool stays = ending_ || draining_ || !leg->relaying() || leg->leaving();
    const Errc why = stays ? Errc::none : unwanted(*leg);
    if (why == Errc::none) continue;
    leg->count_off();
    leave_server(*leg, why);
    work = true;
    break;  // the others are asked next time, if the session lives on
  }
  work = tick_client(time) || work;
  for (const auto& leg : legs_) work = tick_leg(*leg, time) || work;
  work = (revival_ && revival_->restless()) || work;
  if (time >= deadline_ || time >= boundary_deadline_) work = true;
  return work ? Step::next : Step::wait;
}

// What waits in streams and relays, as it is found now.
void Session::count_kept() {
  std::array<std::size_t, 2> kept{client_.received().size() + up_->owed(), client_.owed()};  // [Direction]
  if (spread_) kept[static_cast<std::size_t>(Direction::up)] += spread_->owed();
  for (const auto& leg : legs_) {
    if (!leg->relaying()) continue;
    kept[static_cast<std::size_t>(Direction::up)] += leg->stream().owed();
    kept[static_cast<std::size_t>(Direction::down)] += leg->stream().received().size() + leg->relay().owed();
  }
  if (revival_) kept[static_cast<std::size_t>(Direction::up)] += revival_->kept();
  note_kept(kept);
}

void Session::note_kept(const std::array<std::size_t, 2>& kept) {
  for (std::size_t way = 0; way < kept.size(); ++way) {
    const auto before = static_cast<std::int64_t>(std::exchange(kept_[way], static_cast<std::uint32_t>(kept[way])));
    if (const std::int64_t change = kept_[way] - before; change != 0) route_->tally->flow[way].buffered.add(change);
  }
}

// Pings and stalls of the client's side; true when something is to be done.
bool Session::tick_client(Instant time) {
  const config::WebSocketSettings& r = rules();
  if (client_gone_) return false;
  if (client_jammed_since_ != Instant{} && moved(client_, client_undelivered_)) {
    count_pause(Direction::down, std::exchange(client_jammed_since_, time));
    if (ping_sent_ != Instant{}) ping_sent_ = time;  // who takes octets lives
  }
  if (client_jammed_since_ != Instant{} && time - client_jammed_since_ >= r.write_stall) {
    route_->tally->slow_consumers.add();
    end({Errc::slow_reader, Side::client, false, "took nothing for too long"}, Side::gateway);
    return true;
  }
  if (r.ping_interval == Duration::zero() || client_close_out_ || ending_) return false;
  if (ping_sent_ != Instant{}) {
    if (last_client_in_ > ping_sent_) {
      ping_sent_ = {};  // whatever it says, it lives
    } else if (ping_due_ || client_unread()) {
      ping_sent_ = time;  // it waits behind a long frame, or its answer waits for us
    } else if (time - ping_sent_ >= r.pong_timeout) {
      end({Errc::ping_timeout, Side::client, false, "no answer to a ping"}, Side::client);
      return true;
    }
    return false;
  }
  if (time - last_client_in_ < r.ping_interval) return false;
  ping_due_ = true;
  ping_mark_ = random_u64() | 1;
  ping_sent_ = time;
  return true;
}

// Octets of the client may wait that we do not read: for a limit, or because an upstream is full.
bool Session::client_unread() const {
  return up_->holds() || (revival_ && revival_->full()) || std::ranges::any_of(legs_, [](const auto& leg) { return leg->jammed_since != Instant{}; });
}

bool Session::tick_leg(Leg& leg, Instant time) {
  const config::WebSocketSettings& r = rules();
  if (!leg.relaying()) return false;
  if (leg.leaving() && time >= leg.deadline() && !ending_) {
    // Where the client survives there is time for what is under way.
    const bool speaks = client_jammed_since_ != Instant{} || leg.relay().holds() ||
                        (leg.relay().inside_message() && time - leg.last_in < kGateStall);
    if (revival_ && (speaks || is_target(leg))) {
      leg.leave_by(time + r.close_timeout);
      return false;
    }
    leg_left(leg);
    return true;
  }
  if (leg.jammed_since != Instant{} && moved(leg.stream(), leg.undelivered)) {
    count_pause(Direction::up, std::exchange(leg.jammed_since, time));
    if (leg.ping_sent != Instant{}) leg.ping_sent = time;
  }
  if (leg.jammed_since != Instant{} && time - leg.jammed_since >= r.write_stall) {
    leg_died(leg, {Errc::slow_reader, Side::upstream, false, "the upstream took nothing for too long"});
    return true;
  }
  if (gate_ == &leg && legs_.size() > 1 && client_jammed_since_ == Instant{} && time - leg.last_in >= kGateStall) {
    leg_died(leg, {Errc::be_lost, Side::upstream, false, "stalled inside a message"});
    return true;
  }
  if (r.ping_interval == Duration::zero() || tcp() || leg.close_out) return false;
  if (leg.ping_sent != Instant{}) {
    if (leg.last_in > leg.ping_sent) {
      leg.ping_sent = {};
    } else if (leg.ping_due || leg.relay().holds()) {
      leg.ping_sent = time;
    } else if (time - leg.ping_sent >= r.pong_timeout && client_jammed_since_ == Instant{}) {
      leg_died(leg, {Errc::ping_timeout, Side::upstream, false, "the upstream does not answer pings"});
      return true;
    }
    return false;
  }
  if (time - leg.last_in < r.ping_interval || client_jammed_since_ != Instant{}) return false;
  leg.ping_due = true;
  leg.ping_mark = random_u64() | 1;
  leg.ping_sent = time;
  return true;
}

}  // namespace sluice::session
