// Revival, per message: what becomes of the messages of a leg that is lost or left while others go on, and how they wait while
// nobody serves.
#include <algorithm>

#include "base/log.h"
#include "session/revival.h"
#include "session/session.h"

namespace sluice::session {

namespace {

constexpr int kMostHomed = 64;  // messages that leave the hold in one pass

using upstream::Aim;

bool lives(const Leg& leg) { return leg.state() != Leg::State::closed && !leg.leaving(); }

}  // namespace

bool Revival::runs_to(const Leg& leg) const {
  if (feeds(leg)) return true;
  const Fan* const fan = dealt_ ? session_.spread_->fan : nullptr;
  return fan && hold_.feeds(*fan) && fan->serves(leg);
}

// Of what has been handed over for it nothing is kept on this side.
bool Revival::has_all(const Leg& leg) const {
  return !leg.stream().unsent() && (!dealt_ || session_.spread_->owed(leg) == 0);
}

bool Revival::has_leg() const {
  return std::ranges::any_of(session_.legs_, [](const auto& leg) { return lives(*leg); });
}

bool Revival::others(const Leg& leg) const {
  return std::ranges::any_of(session_.legs_,
                             [&](const auto& one) { return one.get() != &leg && one->relaying() && lives(*one); });
}

bool Revival::served(std::uint8_t group) const {
  return std::ranges::any_of(session_.legs_, [group](const auto& leg) {
    return leg->relaying() && lives(*leg) && leg->group == group;
  });
}

// A drain lets messages pass; every other end does not.
bool Revival::ends() const {
  const Session& s = session_;
  return s.ending_ || s.client_gone_ || s.client_close_in_ || s.client_close_out_;
}

// ---- a message begins --------------------------------------------------------------------------------------------------

bool Revival::begin() {
  Session& s = session_;
  Dealt& d = *dealt_;
  tend_front();
  if (!d.lines.empty() && !d.homeless) {
    d.behind = true;
    return false;
  }
  if (d.lines.empty() && s.legs_ready()) {
    d.lines.push_back(*s.spread_);
    d.wanted = false;
    hold_.join(*s.aim());
    return true;
  }
  // While legs are being opened it waits with the client; where nobody serves, in the hold.
  if (d.lines.empty() && (!s.spread_->chosen.empty() || ends())) return false;
  if (hold_.jammed()) return false;
  d.lines.push_back(*s.spread_);
  d.homeless = true;
  return true;
}

bool Revival::goes_on() {
  tend_front();
  return std::exchange(dealt_->behind, false) && dealt_->lines.empty();
}

void Revival::want(std::uint8_t group) {
  Session& s = session_;
  Dealt& d = *dealt_;
  d.wanted = true;
  if (state_ == State::seeking && d.group == group) return;
  if (state_ != State::seeking) {
    began_ = s.now();
    deadline_ = began_ + rules_.timeout;
    from_.clear();
    rounds_ = attempts_ = 0;
  }
  state_ = State::seeking;
  d.group = group;
  candidates_.clear();
  next_candidate_ = 0;
  pause();
  s.arm(retry_at_);
}

// ---- a leg is lost, or left ----------------------------------------------------------------------------------------------

bool Revival::lost_one(Leg& leg, bool fault, bool ended) {
  Session& s = session_;
  if (leg.relay().inside_message() && ended) {
    count_lost_inside();
    return false;  // the client waits for the rest, and nothing else may stand in its place
  }
  const bool known = leg.leaving();
  if (!lasts() || (!known && !counts(1006))) return false;
  if (fault && !known) s.cluster_of(leg).report(leg.server(), false, s.now());
  part(leg);
  if (ended && (known || leg.stream().received().empty())) {
    s.retire_leg(leg);
  } else {
    leg.close_out = true;  // the client has not had all of its words yet
    leg.leave_by(s.now() + s.rules().close_timeout);
    s.spent_ = true;
  }
  if (!known) left_behind(leg);
  return true;
}

bool Revival::closed_one(Leg& leg, std::uint16_t code) {
  Session& s = session_;
  if (leg.relay().inside_message()) {
    count_lost_inside();
    return false;
  }
  const bool known = leg.leaving();
  if (!lasts() || (!known && !counts(code))) return false;
  // Inside a message no Close of ours may follow, and what its stream keeps of that message must not leave any more.
  if (half_given(leg)) leg.close_out = true;
  part(leg);
  s.spent_ = true;
  leg.close_in = true;
  leg.close_due = !leg.close_out;
  leg.close_code = code == 1005 ? std::uint16_t{1000} : code;
  if (known) return true;
  leg.leave_by(s.now() + s.rules().close_timeout);
  left_behind(leg);
  return true;
}

// The message at hand loses it; one that stands in line, too.
void Revival::part(Leg& leg) {
  Session& s = session_;
  s.spent_ = true;
  s.end_pause(Direction::up, leg.jammed_since);
  std::erase(s.spread_->chosen, &leg);
  if (!runs_to(leg)) return;
  if (half_given(leg)) half_given_.push_back(&leg);
  if (feeds(leg)) {
    if (!dealt_->had) return lose();
    s.route_->tally->fan_skipped.add();  // it was asked once more
    return settle();
  }
  const bool had = hold_.given() && has_all(leg);
  s.spread_->fan->forget(leg);
  if (!had) return miss(leg);
  dealt_->had = true;
  if (s.spread_->fan->empty()) settle();
}

void Revival::branch_lost(const Fan& fan, Leg& leg, bool cut) {
  if (!hold_.feeds(fan)) return;
  if (hold_.given() && !cut) {
    dealt_->had = true;
    if (fan.empty()) settle();
    return;
  }
  if (hold_.begun()) half_given_.push_back(&leg);
  if (lasts() && counts(1006)) {
    miss(leg);
  } else if (fan.empty()) {
    hopeless(Dropped::closing);
  }
}

// A message for several servers will not be whole at one of them.
void Revival::miss(Leg& leg) {
  Session& s = session_;
  Dealt& d = *dealt_;
  const bool more = !s.spread_->fan->empty();
  if (!more && !d.had) return lose();  // nobody has it
  // In a race the others answer; otherwise each is to have it.
  if (d.lines.front().aim == Aim::all) {
    if (rules_.in_flight == config::InFlight::fail && hold_.begun()) return fail();
    if (rules_.in_flight == config::InFlight::hold && !d.again) {
      if (!hold_.whole()) return fail();
      d.missed.push_back(&leg.server());
      hold_.keep();
    } else {
      s.route_->tally->fan_skipped.add();
    }
  }
  if (!more) settle();
}

// Whoever the message at hand went to and is left has all of it, and so has somebody who is not left.
void Revival::settle() {
  Dealt& d = *dealt_;
  if (d.missed.empty()) {
    hold_.settle_front();
    return tend_front();
  }
  if (!hold_.whole()) return fail();
  hold_.rewind();
  d.homeless = true;
}

// Of a message for several that is given up: one that somebody has all of is not lost.
void Revival::settle_had() {
  Dealt& d = *dealt_;
  const Fan* const fan = session_.spread_->fan;
  for (std::size_t i = 0; fan && hold_.feeds(*fan) && hold_.given() && i < fan->size(); ++i) {
    d.had = d.had || has_all(fan->leg(i));
  }
  if (!std::exchange(d.had, false)) return;
  hold_.settle_front();
  hold_.take_left();
}

// Nobody has had all of the message at hand.
void Revival::lose() {
  Dealt& d = *dealt_;
  d.missed.clear();
  switch (hold_.lose()) {
    case Hold::Loss::none:
    case Hold::Loss::kept: d.homeless = true; return;
    case Hold::Loss::failed: return fail();
    case Hold::Loss::dropped: break;
  }
  count(Dropped::in_flight);
  d.lines.pop_front();
  d.again = false;
  d.homeless = !d.lines.empty();
}

void Revival::fail() {
  Session& s = session_;
  count(Revived::in_flight);
  hopeless(Dropped::in_flight);
  s.close_override_ = rules_.close_code;
  s.end({Errc::be_lost, Side::upstream, false, "lost with a message of the client on its way"}, Side::upstream);
}

// The session goes on without it, or seeks another one.
void Revival::left_behind(Leg& leg) {
  Session& s = session_;
  if (state_ == State::over) return;
  if (std::ranges::find(dealt_->missed, &leg.server()) == dealt_->missed.end()) s.rest(leg.server());
  if (state_ == State::seeking) return;
  if (others(leg) || has_leg()) return announce_kept(leg, false);
  dealt_->group = leg.group;
  dealt_->wanted = false;
  if (state_ == State::moving) {  // a server is being asked already
    state_ = State::seeking;
    return;
  }
  begin_seeking(State::seeking, leg);
}

bool Revival::move_one(Leg& leg, Errc why) {
  if (!lasts()) return false;
  if (leg.leaving()) return true;
  if (others(leg)) {
    leave(leg);
    announce_kept(leg, true);
  } else if (state_ == State::steady) {
    why_ = why;
    dealt_->group = leg.group;
    dealt_->wanted = false;
    begin_seeking(State::moving, leg);
  }
  return true;
}

// A message that runs to it is finished there; then it is told.
void Revival::leave(Leg& leg) {
  std::erase(session_.spread_->chosen, &leg);
  leg.leave_by(session_.now() + session_.rules().close_timeout);
  leg.close_due = !leg.close_out;
  leg.close_code = 1001;
  session_.spent_ = true;
}

void Revival::forget_one(const Leg& leg) {
  if (!runs_to(leg)) return;
  if (!feeds(leg)) {
    Fan& fan = *session_.spread_->fan;
    dealt_->had = dealt_->had || (hold_.given() && has_all(leg));
    fan.forget(leg);
    if (!fan.empty()) return;
  }
  next_.reset();
  hopeless(Dropped::closing);
}

void Revival::announce_kept(const Leg& leg, bool moved) {
  Session& s = session_;
  count(moved ? Revived::moved : Revived::revived);
  log::event(Level::info, moved ? "ws_moved" : "ws_revived",
             {{"id", s.record_.id()},
              {"route", s.route_->compiled->settings->name},
              {"from", leg.server().settings().url},
              {"legs", static_cast<std::uint64_t>(std::ranges::count_if(
                           s.legs_, [&](const auto& one) { return one.get() != &leg && lives(*one); }))}});
}

// ---- at each edge ------------------------------------------------------------------------------------------------------

void Revival::tend_messages() {
  Session& s = session_;
  if (hold_.joined() && hold_.broken()) {
    for (const auto& leg : s.legs_) {
      if (!feeds(*leg)) continue;
      // What it said before it left may be here still: its last messages, and its Close.
      relay::Budget last;
      s.pump_down(*leg, last);
      if (feeds(*leg)) s.on_leg_end(*leg, false);
      break;
    }
  }
  hold_.flush();
  tend_front();
  if (state_ != State::over) home();
  count(Dropped::in_flight);
  tend_client();
  if (state_ == State::steady || state_ == State::over) {
    if (dealt_->homeless && ends()) abandon();
    return;
  }
  if (!lasts()) return abandon();
  if (state_ == State::seeking && served(dealt_->group)) {  // somebody has come in another way
    next_.reset();
    count(Revived::revived);
    state_ = State::steady;
    s.spent_ = true;
    return;
  }
  seek();
}

// Whether the message at hand has left.
void Revival::tend_front() {
  Dealt& d = *dealt_;
  if (hold_.kept_back()) {
    d.had = true;
    settle();
  }
  if (hold_.take_left() == 0) return;
  d.lines.pop_front();
  d.had = d.again = false;
  d.missed.clear();
  d.homeless = !d.lines.empty();
}

// Messages in the hold leave for the legs that are chosen for them.
void Revival::home() {
  Session& s = session_;
  Dealt& d = *dealt_;
  for (int i = 0; i < kMostHomed && d.homeless && !ends(); ++i) {
    Choice& line = d.lines.front();
    Choice& in_line = *s.spread_;
    std::swap(in_line, line);
    if (!in_line.race_id.empty() && !s.spread_->races->room(s.now())) {
      in_line.aim = Aim::one;
      in_line.race_id.clear();
    }
    net::Stream* to = nullptr;
    const bool somebody = d.missed.empty() || deal_again();
    if (somebody && s.legs_ready()) {
      const Choice choice = in_line;  // it may be asked for once more
      if (d.again) in_line.aim = Aim::one;  // who has it has been counted
      to = s.aim();
      in_line = choice;
    }
    std::swap(in_line, line);
    if (!somebody) {
      s.route_->tally->fan_skipped.add(d.missed.size());
      d.missed.clear();
      hold_.settle_front();
      tend_front();
      continue;
    }
    if (!to) return;
    d.homeless = d.wanted = false;
    d.missed.clear();
    hold_.join(*to);
    tend_front();
    s.spent_ = true;
  }
  if (d.homeless) s.spent_ = true;
}

// The legs of those whose copy of the message in line was cut: asked once, and at once. False: none of them can be had.
bool Revival::deal_again() {
  Session& s = session_;
  Dealt& d = *dealt_;
  std::vector<Leg*>& chosen = s.spread_->chosen;
  if (std::exchange(d.again, true)) return !chosen.empty();
  const upstream::Cluster& cluster = *s.spread_->groups[s.spread_->group].cluster;
  s.spread_->deadline = s.now() + cluster.settings().open_timeout;
  s.spread_->connecting = ConnectBudget(cluster.settings().connect_timeout);
  for (const auto& server : cluster.everyone(s.now())) {
    if (std::ranges::find(d.missed, server.get()) == d.missed.end()) continue;
    Leg* leg = s.leg_of(*server);
    if (!leg) leg = s.open_leg(server);
    if (leg) chosen.push_back(leg);
  }
  return !chosen.empty();
}

// The leg that was sought is open.
void Revival::join_one() {
  Session& s = session_;
  Leg& leg = *next_;
  announce(leg);
  if (state_ == State::moving) {
    for (const auto& one : s.legs_) {
      if (one->relaying() && lives(*one) && &one->server() == without_) leave(*one);
    }
  }
  s.legs_.push_back(std::move(next_));
  s.join_leg(leg);
  state_ = State::steady;
  s.spent_ = true;
}

}  // namespace sluice::session
