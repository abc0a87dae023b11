// How a relaying Session ends.
//
//   who speaks first        what the other side gets                      when both are done
//   ----------------------  --------------------------------------------  -----------------------------------
//   client Close            the same Close, inline (per connection), or   the upstream's Close has come back
//                           one to every leg (per message); TCP: the end  (≤ close_timeout)
//   upstream Close          the same Close, inline or at a boundary       the client's Close has come back
//   client gone             1001 to every leg                             at once, or ≤ 1 s
//   upstream gone           1011 at a frame boundary; inside a frame the  the client's Close has come back
//                           end alone (1006). TCP in order: 1000
//   the gateway (end)       the table's code to the client, 1001 up       both Closes, or ≤ close_timeout;
//                           (cut, where its client broke off a frame)     kicked: or ≤ 1 s
//   drain, or the server    1001 or 1012 at a message boundary; its       the client's Close, then ours up
//   is to be left           messages still pass
//
// A Close of the gateway's own waits for its boundary at most 1 s, then that side is cut.
// With [route.survive] the loss of an upstream between two of its messages ends nothing: session/revival.h is asked first.
#include <algorithm>
#include <array>

#include "session/authentication.h"
#include "session/kick.h"
#include "session/session.h"
#include "ws/control.h"

namespace sluice::session {

namespace {

constexpr auto kBoundaryWait = std::chrono::seconds(1);
constexpr auto kGoneWait = std::chrono::seconds(1);
constexpr auto kKickWait = std::chrono::seconds(1);  // who is not to be here is not waited for

}  // namespace

void Session::note_close(std::uint16_t code, Side initiator, std::string_view reason) {
  if (record_.close_code != 0) return;  // the first one tells the story
  record_.close_code = code;
  record_.initiator = initiator;
  if (!reason.empty()) record_.close_reason = std::make_unique<std::string>(reason);
}

void Session::closing_until(Duration wait) {
  const Instant when = now() + wait;
  if (deadline_ > when) deadline_ = when;
}

// ---- who begins --------------------------------------------------------------------------------------------------------

void Session::end(Error error, Side initiator, std::string_view words) {
  if (ending_) return;
  if (words.empty()) words = row(error.code).name;
  ending_ = true;
  record_.error = error;
  if (error.side != Side::upstream) house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
  // A WebSocket server's mistakes are none of the client's.
  const bool theirs = error.side == Side::upstream && row(error.code).stage == Stage::ws;
  std::uint16_t code = theirs ? std::uint16_t{1011} : row(error.code).close_code;
  if (close_override_ != 0) code = close_override_;
  note_close(code == 0 ? 1006 : code, initiator, words);
  if (code == 0) {
    cut_client();
  } else if (!client_close_out_) {
    client_close_due_ = true;
    client_close_code_ = code;
    rare().close_reason = words;
  }
  close_legs(1001);
  boundary_deadline_ = std::min(boundary_deadline_, now() + kBoundaryWait);
  closing_until(rules().close_timeout);
}

void Session::close_legs(std::uint16_t code) {
  for (const auto& leg : legs_) {
    if (leg->state() == Leg::State::closed || leg->close_out) continue;
    if (!leg->relaying()) {
      if (spread_) spread_->forget(*leg);
      leg->close();
      continue;
    }
    if (!leg->deaf) leg->close_code = code;  // which is told what it did
    leg->close_due = true;
  }
}

void Session::drain() {
  if (phase_ != Phase::relay) return;  // a handshake that is under way goes on and is drained when it relays
  take_leave({Errc::draining, Side::gateway, false, ""});
}

void Session::take_leave(Error error) {
  if (ending_ || client_close_out_ || client_close_in_ || draining_) return;
  draining_ = true;
  client_close_due_ = true;
  client_close_code_ = row(error.code).close_code;
  rare().close_reason = row(error.code).name;
  record_.error = error;
  note_close(client_close_code_, Side::gateway, row(error.code).name);
  boundary_deadline_ = now() + kBoundaryWait;
  closing_until(rules().close_timeout);
}

// Asked about once a second: servers change under sessions of all workers, and none of them is called.
Errc Session::unwanted(const Leg& leg) const {
  if (route_->compiled->cluster->sheds(record_.key_hash, leg.server(), now())) return Errc::rebalance;
  if (leg.server().down() && route_->compiled->settings->close_on_server_down) return Errc::server_down;
  return Errc::none;
}

// Per message the other legs serve on, and one that was left makes room for another.
void Session::leave_server(Leg& leg, Errc why) {
  if (revival_ && revival_->move(leg, why)) return;
  const bool others = spread_ && std::ranges::any_of(legs_, [&](const auto& other) {
    return other.get() != &leg && other->relaying() && !other->leaving();
  });
  if (!others) return take_leave({why, Side::gateway, false, "its server is not to be used"});
  std::erase(spread_->chosen, &leg);  // the message that waits for it goes elsewhere
  leg.leave_by(now() + rules().close_timeout);
  leg.close_due = true;
}

// A leg that is left has ended, or does not.
void Session::leg_left(Leg& leg) {
  const bool cut = !leg.at_message_boundary() || (is_target(leg) && (revival_ || !up_framer_->at_message_boundary()));
  if (cut) return leg_died(leg, {Errc::be_lost, Side::upstream, false, "ended inside a message"});
  retire_leg(leg);
}

// An operator wants it gone: before it is served it is refused, then it is closed.
bool Session::kick(const Kick& kick) {
  const std::string_view client = opening_ ? std::string_view(opening_->words.client) : record_.client();
  const std::string_view id = opening_ ? std::string_view(opening_->words.id) : record_.id();
  const bool opens = phase_ == Phase::authenticate || phase_ == Phase::first_message || phase_ == Phase::choose || phase_ == Phase::open;
  const bool answers = phase_ == Phase::answer && after_flush_ == Phase::relay;
  const bool relays = phase_ == Phase::relay && !ending_;
  if (!opens && !answers && !relays && phase_ != Phase::exchange) return false;
  if (!kick.hits(standing_.get(), client, id, born_)) return false;
  house_.tally.revoked[static_cast<std::size_t>(kick.revocation().kind)].add();
  const Error error{Errc::revoked, Side::gateway, false, "revoked while it was connected"};
  if (relays) {
    end_kicked(kick, error);
  } else if (answers) {
    // No Close can stand inside the head that is on its way.
    phase_ = Phase::relay;
    deadline_ = kNever;
    start_relaying();
    end_kicked(kick, error);
    cut_client();
  } else if (opens) {
    opening_->authentication.reset();  // whoever is asked about it is waited for no longer
    for (const auto& leg : legs_) leg->close();
    [[maybe_unused]] const Step step = refuse(error);
  } else {
    [[maybe_unused]] const Step step = exchange_failed(error);
  }
  return true;
}

void Session::end_kicked(const Kick& kick, Error error) {
  if (kick.revocation().code != 0) close_override_ = kick.revocation().code;
  end(error, Side::gateway, kick.revocation().reason);
  closing_until(kKickWait);
}

// The process ends before the closing did.
void Session::cut() {
  if (phase_ == Phase::authenticate || phase_ == Phase::first_message || phase_ == Phase::choose || phase_ == Phase::open ||
      phase_ == Phase::exchange) {
    const Error error{Errc::draining, Side::gateway, false, "cut at the drain's deadline"};
    house_.tally.rejects[static_cast<std::size_t>(error.code)].add();
    log_open(opening_->accepted() ? 101 : row(error.code).status, &error);
    phase_ = Phase::done;
    return;
  }
  if (phase_ == Phase::answer && after_flush_ == Phase::relay) {
    phase_ = Phase::relay;
    start_relaying();
  }
  if (phase_ != Phase::relay) return;
  if (record_.error.code == Errc::none) record_.error = {Errc::draining, Side::gateway, false, "cut at the drain's deadline"};
  note_close(1006, Side::gateway, "");
  log_close();
  phase_ = Phase::done;
}

// True when the frame itself is forwarded.
bool Session::on_client_close(const ws::CloseContent& close) {
  client_close_in_ = true;
  note_close(close.code, Side::client, close.reason);
  closing_until(rules().close_timeout);
  if (ending_) return false;
  const bool away = this->away();
  // Where messages are read, nothing of the client's goes ahead of one that it has sent in part: the gateway says it.
  if (!per_message() && !tcp() && !away && !up_->looks_ahead()) {
    Leg& leg = *legs_.front();
    if (!leg.relaying() || leg.close_out) return false;
    leg.close_out = true;
    return true;
  }
  close_legs(close.code == 1005 ? std::uint16_t{1000} : close.code);
  boundary_deadline_ = now() + kBoundaryWait;
  client_close_code_ = close.code;
  rare().close_reason = close.reason;
  // Before TCP the echo waits for the upstream's last octets; before several legs nobody else will send one.
  if ((!tcp() || away) && !client_close_out_) client_close_due_ = true;
  return false;
}

bool Session::on_leg_close(Leg& leg, const ws::CloseContent& close) {
  if (revival_ && revival_->on_close(leg, close.code)) return false;
  leg.close_in = true;
  if (leg.leaving()) return false;
  note_close(close.code, Side::upstream, close.reason);
  closing_until(rules().close_timeout);
  if (!per_message()) {
    if (client_close_out_ || client_close_due_ || client_gone_) return false;
    if (guard(Direction::down)) {  // as on_client_close
      client_close_due_ = true;
      client_close_code_ = close.code;
      rare().close_reason = close.reason;
      boundary_deadline_ = std::min(boundary_deadline_, now() + kBoundaryWait);
      return false;
    }
    client_close_out_ = true;
    return true;
  }
  ending_ = true;  // every leg is told at once, so nobody is left for further messages
  close_legs(1001);
  leg.close_due = !leg.close_out;
  leg.close_code = close.code == 1005 ? std::uint16_t{1000} : close.code;
  if (!client_close_out_ && !client_close_due_) {
    client_close_due_ = true;
    client_close_code_ = close.code;
    rare().close_reason = close.reason;
  }
  boundary_deadline_ = std::min(boundary_deadline_, now() + kBoundaryWait);
  return false;
}

void Session::on_client_end() {
  if (client_gone_) return;
  count_pauses();
  client_gone_ = true;
  client_.close();
  for (const auto& leg : legs_) {
    if (leg->relaying()) leg->relay().forget(client_);
  }
  if (!client_close_in_ && !client_close_out_) {
    record_.error = {Errc::client_lost, Side::client, false, "the connection ended without Close"};
    note_close(1006, Side::client, "");
  }
  ending_ = true;
  client_close_due_ = false;
  close_legs(1001);
  boundary_deadline_ = std::min(boundary_deadline_, now() + kBoundaryWait);
  closing_until(kGoneWait);
}

void Session::cut_client() {
  count_pauses();
  client_gone_ = true;
  client_close_due_ = client_end_due_ = false;
  client_.abort();
  for (const auto& leg : legs_) {
    if (leg->relaying()) leg->relay().forget(client_);
  }
}

void Session::on_leg_end(Leg& leg, bool in_order) {
  if (leg.state() == Leg::State::closed) return;
  if (leg.leaving() && !ending_) return leg_left(leg);
  if (tcp() && in_order && !leg.close_in) {
    const bool listens = !client_close_out_ && !client_gone_;
    if (listens && (!leg.at_message_boundary() || !leg.stream().received().empty())) {
      return leg_died(leg, {Errc::tcp_frame_cut, Side::upstream, false, "ended inside a frame"});
    }
    if (revival_ && revival_->lost(leg, false)) return;
    // The end of a TCP stream is its Close. Ours to it follows when the client has answered.
    leg.close_in = true;
    note_close(1000, Side::upstream, "");
    closing_until(rules().close_timeout);
    if (per_message() && !client_close_in_) {
      ending_ = true;  // as with a WebSocket server's Close
      close_legs(1001);
    }
    leg.close_due = !leg.close_out;
    // The answer to a client's Close waits for the rest of all that were opened for it.
    const bool rest = client_close_in_ && !std::ranges::all_of(legs_, [](const auto& one) {
                        return one->close_in || one->state() == Leg::State::closed;
                      });
    if (!rest && !client_close_out_ && !client_close_due_ && !client_gone_) {
      client_close_due_ = true;
      client_close_code_ = client_close_in_ ? client_close_code_ : std::uint16_t{1000};
      boundary_deadline_ = std::min(boundary_deadline_, now() + kBoundaryWait);
    }
    return;
  }
  if (leg.close_in || (client_close_in_ && leg.close_out)) {
    // It has said what it had to say, or left instead of answering a Close.
    const bool answered = leg.close_in;
    retire_leg(leg);
    if (!answered && !client_close_out_ && !client_close_due_ && !client_gone_) {
      client_close_due_ = true;
      client_close_code_ = record_.close_code;
      rare().close_reason = record_.close_reason ? *record_.close_reason : std::string();
    }
    return;
  }
  leg_died(leg, {Errc::be_lost, Side::upstream, false, in_order ? "ended without Close" : "connection lost"});
}

// Lost without a Close of its own.
void Session::leg_died(Leg& leg, Error error) {
  if (revival_ && revival_->lost(leg, true, error.code != Errc::slow_reader)) return;
  const bool inside_frame = leg.relay().inside_frame();
  cluster_of(leg).report(leg.server(), false, now());
  retire_leg(leg);
  if (inside_frame && !client_close_out_ && !client_gone_) {
    // The rest of the frame will never come, and nothing else may stand in its place: what was whole leaves, then the end.
    if (!ending_) record_.error = error;
    note_close(1006, Side::upstream, "");
    ending_ = true;
    client_close_due_ = false;
    client_close_out_ = client_end_due_ = client_cut_ = true;
    close_legs(1001);
    boundary_deadline_ = now() + kBoundaryWait;
    closing_until(kGoneWait);
    return;
  }
  end(error, Side::upstream);
}

void Session::retire_leg(Leg& leg) {
  // A server must not take the beginning of a frame for all of it.
  const bool inside = revival_ ? revival_->half_given(leg)
                               : up_->inside_frame() && (up_->to() == &leg.stream() ||
                                                         (spread_ && spread_->serves(up_->to(), leg)));
  const bool cut_short = tcp() && framing().framed() && inside;
  up_->forget(leg.stream());
  if (revival_) revival_->forget(leg);
  end_pause(Direction::up, leg.jammed_since);
  // What it owes of its last message goes before others speak (see tend_legs), and inside one nobody else may.
  if (gate_ == &leg && !leg.relay().owes() && !leg.relay().inside_message()) gate_ = nullptr;
  if (spread_) spread_->forget(leg);
  cut_short ? leg.abort() : leg.close();
}

// ---- control frames of the gateway's own ---------------------------------------------------------------------------------

void Session::emit() {
  if (client_close_due_ || pong_due_ || ping_due_ || (renewal() && renewal()->owes())) emit_to_client();
  if (client_end_due_ && std::ranges::all_of(legs_, [](const auto& leg) { return leg->flush_owed(); })) {
    client_end_due_ = false;
    client_.finish();
  }
  for (const auto& leg : legs_) {
    if (leg->close_due || leg->pong_due || leg->ping_due) emit_to_leg(*leg);
  }
}

void Session::emit_to_client() {
  if (client_gone_ || client_close_out_) return;
  Leg* writer = gate_ ? gate_ : legs_.front().get();
  for (const auto& leg : legs_) {
    if (!writer->writes()) writer = leg.get();
    // Octets of a message wait to leave, or (of a leg that is lost) will never come.
    if (!leg->flush_owed() || !leg->at_frame_boundary()) return;
  }
  // A drain ends between messages, everything else between frames.
  const bool whole =
      !draining_ || ending_ || std::ranges::all_of(legs_, [&](const auto& leg) {
        return (leg.get() != writer && spread_) || leg->at_message_boundary();
      });
  if (pong_due_ &&
      writer->inject(client_, ws::ControlFrame::make(ws::kPong, as_bytes(rare().pong), false).bytes())) {
    pong_due_ = false;
    rare().pong.clear();
  }
  if (ping_due_) {
    std::array<std::uint8_t, 8> mark;
    store_be(mark.data(), ping_mark_);
    if (writer->inject(client_, ws::ControlFrame::make(ws::kPing, mark, false).bytes())) ping_due_ = false;
  }
  if (renewal() && renewal()->owes() && !client_close_due_) say_notices(*writer);
  if (client_close_due_ && whole &&
      writer->inject(client_, ws::ControlFrame::close(client_close_code_, rare().close_reason, false).bytes())) {
    client_close_due_ = false;
    client_close_out_ = true;
  }
}

void Session::emit_to_leg(Leg& leg) {
  if (!leg.relaying() || leg.close_out) return;
  // What goes to several waits for each of them apart.
  if (spread_ && spread_->owed(leg) > 0) return;
  if (spread_ && (revival_ ? !revival_->through(leg) : spread_->serves(up_->to(), leg) && !up_->at_frame_boundary())) return;
  // A message of the client's that runs to a leg which is left goes there whole.
  const bool finishes =
      leg.leaving() && !ending_ && is_target(leg) && (revival_ || !up_framer_->at_message_boundary());
  if (tcp()) {
    if (!leg.close_due || finishes) return;
    // Only the leg that a message runs to waits for its end.
    const bool meant = !per_message() || up_->to() == &leg.stream();
    if (revival_ ? !revival_->through(leg) : meant && !up_->at_frame_boundary()) return;
    leg.stream().finish();
    leg.close_out = true;
    leg.close_due = false;
    return;
  }
  if (leg.pong_due && tell_leg(leg, ws::ControlFrame::make(ws::kPong, as_bytes(*leg.pong), true).bytes())) {
    leg.pong_due = false;
    leg.pong.reset();
  }
  if (leg.ping_due) {
    std::array<std::uint8_t, 8> mark;
    store_be(mark.data(), leg.ping_mark);
    if (tell_leg(leg, ws::ControlFrame::make(ws::kPing, mark, true).bytes())) leg.ping_due = false;
  }
  if (leg.close_due && !finishes && tell_leg(leg, ws::ControlFrame::close(leg.close_code, "", true).bytes())) {
    leg.close_due = false;
    leg.close_out = true;
  }
}

// Only the leg that a message runs to waits for the end of a frame; the others stand at a boundary of their own.
bool Session::tell_leg(Leg& leg, Bytes frame) {
  if (revival_) return revival_->tell(leg, frame);
  if (!per_message() || up_->to() == &leg.stream()) return up_->inject(leg.stream(), frame);
  up_->forget(leg.stream());  // a message that waits for it asks again: it may not go now, or no more
  return leg.tell(frame);
}

// ---- when it is over -----------------------------------------------------------------------------------------------------

bool Session::client_done() const {
  return client_gone_ || (client_close_out_ && !client_end_due_ && (client_close_in_ || client_cut_));
}

bool Session::leg_done(const Leg& leg) const {
  return leg.state() == Leg::State::closed || (leg.close_out && leg.close_in);
}

Step Session::settle_closing() {
  // A client that has answered a drain: now the upstream is told.
  if (draining_ && client_close_in_) {
    close_legs(1001);
    emit();
  }
  // A frame that its client cannot finish, since it is not read any more: nothing may stand in the frame's place, and once
  // the client has been told there is nothing to wait for.
  if (client_cut_ && !client_close_due_ && up_->inside_frame()) retire_targets();
  if (now() >= boundary_deadline_) {
    if (client_close_due_ || client_end_due_) {
      cut_client();
      ending_ = true;
      close_legs(1001);
    }
    for (const auto& leg : legs_) {
      if (leg->relaying() && leg->close_due) retire_leg(*leg);
    }
    boundary_deadline_ = kNever;
  }
  const bool owed = up_->owes() || (revival_ && revival_->owes()) || (spread_ && spread_->owed() > 0);
  const bool owing = owed || std::ranges::any_of(legs_, [](const auto& leg) {
                       return !leg->flush_owed() || (leg->relaying() && leg->owes_told());
                     });
  const bool legs_done =
      !owing && std::ranges::all_of(legs_, [this](const auto& leg) { return leg_done(*leg); });
  const bool late = now() >= deadline_;
  if ((!client_done() || !legs_done) && !late) {
    arm(std::min(deadline_, boundary_deadline_));
    return Step::wait;
  }
  if (late && !client_done() && record_.error.code == Errc::none) {
    record_.error = {Errc::close_timeout, client_close_in_ ? Side::upstream : Side::client, false, ""};
  }
  if (late) {
    close_legs(1001);
    emit();
    if (!client_close_out_ && !client_gone_ && client_close_in_) {
      client_close_due_ = true;
      client_close_code_ = record_.close_code;
      emit_to_client();
    }
  }
  log_close();
  for (const auto& leg : legs_) {
    const bool cut = revival_ && revival_->half_given(*leg);
    if (revival_) revival_->forget(*leg);
    if (leg->relaying() && !cut) leg->stream().finish();
    cut && tcp() ? leg->abort() : leg->close();
  }
  permits_.clear();
  spent_ = false;
  if (client_gone_) {
    phase_ = Phase::done;
    return Step::done;
  }
  client_.finish();
  phase_ = Phase::linger;
  deadline_ = now() + kGoneWait;
  return Step::next;
}

}  // namespace sluice::session
