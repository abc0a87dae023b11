// Sessions whose messages are spread over several legs: which leg a message goes to, opening the legs that it takes, and
// the gate through which their answers come back.
#include "session/spread.h"

#include <algorithm>

#include "session/session.h"

namespace sluice::session {

namespace {

constexpr auto kLegRest = std::chrono::seconds(1);

}  // namespace

// One budget for all, so each time another leg is the first to spend of it.
void Session::pump_legs(relay::Budget& budget) {
  do {
    gate_freed_ = false;
    const std::size_t first = ++spread_->first_pumped;
    for (std::size_t i = 0; i < legs_.size(); ++i) pump_down(*legs_[(first + i) % legs_.size()], budget);
  } while (gate_freed_ && !spent_);
}

net::Stream* Session::leg_for(const relay::Run& run) {
  if (!run.begins) return target_ && target_->relaying() ? &target_->stream() : nullptr;
  Spread& s = *spread_;
  Leg* const leg = s.pending ? s.pending : choose_leg();
  if (!leg) return nullptr;
  if (!leg->relaying()) {
    s.pending = leg;
    return nullptr;
  }
  if (leg->owes_told()) {
    // A message may not stand inside a control frame: whoever takes none of that is jammed.
    s.pending = leg;
    if (leg->jammed_since == Instant{}) leg->jammed_since = now();
    return nullptr;
  }
  s.pending = nullptr;
  s.candidates.clear();
  target_ = leg;
  return &target_->stream();
}

// The leg of the message that begins: of the first candidate that has one or can be given one. Where all have failed, or
// the legs are used up, whoever is open serves.
Leg* Session::choose_leg() {
  Spread& s = *spread_;
  if (s.candidates.empty()) {
    const upstream::Cluster& cluster = *route_->compiled->cluster;
    s.candidates = cluster.order(record_.key_hash, now(), {}, nullptr, upstream::Room::any);
    s.next_candidate = 0;
    s.deadline = now() + cluster.settings().open_timeout;
  }
  while (s.next_candidate < s.candidates.size() && now() < s.deadline) {
    const std::shared_ptr<upstream::Server>& server = s.candidates[s.next_candidate++];
    if (Leg* const leg = leg_of(*server)) return leg;
    if (Leg* const leg = open_leg(server)) return leg;
  }
  ++s.last_resort;
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    Leg* const leg = legs_[(s.last_resort + i) % legs_.size()].get();
    if (leg->relaying() && !leg->leaving()) return leg;
  }
  return nullptr;
}

Leg* Session::leg_of(const upstream::Server& server) const {
  const auto found = std::ranges::find_if(
      legs_, [&](const auto& leg) { return leg->relaying() && !leg->leaving() && &leg->server() == &server; });
  return found == legs_.end() ? nullptr : found->get();
}

// Null: there may be no further leg, or not this one now.
Leg* Session::open_leg(const std::shared_ptr<upstream::Server>& server) {
  if (legs_.size() >= route_->compiled->plan.max_legs) return nullptr;
  const bool rests = std::ranges::any_of(
      spread_->resting, [&](const auto& one) { return one.first == server.get() && now() < one.second; });
  if (rests) return nullptr;
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  upstream::ServerUse use = cluster.take(server);
  if (!use || !cluster.allow(now())) {
    rest(*server);
    return nullptr;
  }
  auto leg = std::make_unique<Leg>(house_, std::move(use), ready_);
  if (!leg->start(*leg_plan_)) {
    opening_failed(*leg);
    rest(*server);
    return nullptr;
  }
  legs_.push_back(std::move(leg));
  arm(std::min(legs_.back()->deadline(), spread_->deadline));
  return legs_.back().get();
}

// A client must not make a handshake of each of its messages where a server refuses them.
void Session::rest(const upstream::Server& server) {
  auto& resting = spread_->resting;
  std::erase_if(resting, [&](const auto& one) { return one.first == &server || one.second <= now(); });
  resting.emplace_back(&server, now() + kLegRest);
}

void Session::tend_legs() {
  for (const auto& leg : legs_) {
    if (!leg->relaying()) continue;
    leg->flush_owed();  // a control frame goes through the first leg, and before what others owe
    if (leg->flush_told() && leg.get() == spread_->pending) end_pause(Direction::up, leg->jammed_since);
    if (leg->leaving() && leg->close_in && leg->close_out && !ending_) leg_left(*leg);
  }
  if (!ending_ && legs_.size() > 1) {  // those that were left, once all that they said has left, too
    std::erase_if(legs_, [this](const auto& leg) {
      const bool over = leg->state() == Leg::State::closed && leg->flush_owed();
      if (over && target_ == leg.get()) target_ = nullptr;
      return over;
    });
  }
  if (spread_->pending && !spread_->pending->relaying()) advance_pending_leg();
}

void Session::advance_pending_leg() {
  Leg& leg = *spread_->pending;
  const upstream::Cluster& cluster = *route_->compiled->cluster;
  const Result<Leg::State> state = leg.advance(*leg_plan_);
  if (!state) return drop_pending_leg(state.error().code != Errc::fd_limit);
  if (leg.refused()) {
    // As at the handshake: who answers serves, and one client's refusals take a server from nobody else.
    const int status = leg.take_refusal().status;
    return drop_pending_leg(status >= 502 && status <= 504);
  }
  if (*state == Leg::State::open) {
    if (leg.agreed_subprotocol() != spread_->subprotocol) return drop_pending_leg(true);
    cluster.attempted(leg.server(), true, now());
    leg.relay_through(down_framer(false), *this);
    return;
  }
  const Instant deadline = std::min(leg.deadline(), spread_->deadline);
  if (now() >= deadline) return drop_pending_leg(true);
  arm(deadline);
}

// It cannot be had: it leaves room for another, and the message goes to the next candidate.
void Session::drop_pending_leg(bool failed) {
  Leg* const leg = std::exchange(spread_->pending, nullptr);
  if (failed) opening_failed(*leg);
  rest(leg->server());
  if (spread_->next_candidate < spread_->candidates.size()) {
    route_->servers->of(leg->server()).retries.add();
  }
  std::erase_if(legs_, [leg](const auto& one) { return one.get() == leg; });
}

// One leg writes to the client at a time, from the first octet of a message to its last, and those who wait have their
// turn between two messages. False: not now.
bool Session::enter_gate(Leg& leg, bool begins) {
  std::vector<Leg*>& queue = spread_->queue;
  if (gate_ == &leg && (!begins || queue.empty())) return true;
  if (!gate_ && (queue.empty() || queue.front() == &leg)) {
    if (!queue.empty()) queue.erase(queue.begin());
    gate_ = &leg;
    return true;
  }
  if (std::ranges::find(queue, &leg) == queue.end()) queue.push_back(&leg);
  return false;
}

void Session::leave_gate(Leg& leg) {
  if (gate_ != &leg) return;
  gate_ = nullptr;
  gate_freed_ = true;
}

}  // namespace sluice::session
