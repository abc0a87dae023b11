// Sessions whose messages are spread over several legs: which legs a message goes to, opening those that it takes, and the
// gate through which their answers come back.
#include "session/spread.h"

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "session/session.h"
#include "upstream/hash_key.h"
#include "ws/frame.h"

namespace sluice::session {

namespace {

using upstream::Aim;
constexpr auto kLegRest = std::chrono::seconds(1);

}  // namespace

bool Spread::is_chosen(const Leg& leg) const { return std::ranges::find(chosen, &leg) != chosen.end(); }

void Spread::forget(const Leg& leg) {
  std::erase(chosen, &leg);
  std::erase(queue, &leg);
  for (const auto& one : fans) {
    if (one) one->forget(leg);
  }
  if (races) races->forget(leg);
}

Fan& Spread::spread_out(BufferPool& pool) {
  if (fan && fan->aims_at(chosen)) return *fan;
  std::unique_ptr<Fan>& other = fans[fan != nullptr && fan == fans[0].get() ? 1 : 0];
  if (!other) other = std::make_unique<Fan>(pool);
  fan = other.get();
  fan->aim(chosen);
  return *fan;
}

void Spread::flush_fans() {
  for (const auto& one : fans) {
    if (one) one->flush();
  }
}

std::size_t Spread::owed() const {
  std::size_t sum = 0;
  for (const auto& one : fans) sum += one ? one->owed() : 0;
  return sum;
}

std::size_t Spread::owed(const Leg& leg) const {
  std::size_t sum = 0;
  for (const auto& one : fans) sum += one ? one->owed(leg) : 0;
  return sum;
}

bool Spread::serves(const net::Stream* to, const Leg& leg) const {
  return std::ranges::any_of(fans, [&](const auto& one) { return one && one.get() == to && one->serves(leg); });
}

// The first leg is open and the request still at hand: what further legs will need of it.
void Session::start_spreading() {
  const Opening& o = *opening_;
  Spread& s = *spread_;
  const config::MessageRouting* const routing = route_->compiled->messages.get();
  const std::size_t groups = routing ? routing->clusters.size() : 1;
  for (std::size_t i = 0; i < groups; ++i) {
    Spread::Group& group = s.groups.emplace_back();
    group.cluster = routing ? routing->clusters[i].get() : route_->compiled->cluster.get();
    group.plan = *leg_plan_;
    group.plan.backend = &group.cluster->settings();
    if (routing) {
      group.plan.tls = route_->message_tls[i];
      group.plan.servers = route_->message_servers[i];
    }
    if (group.cluster->settings().policy == upstream::Policy::consistent_hash) {
      group.key_hash = upstream::hash_of(group.cluster->settings().key, o.request, o.authenticated.identity);
    }
  }
  leg_plan_.reset();
  s.key = s.groups.front().key_hash;
}

void Session::start_reading(Leg& first) {
  Spread& s = *spread_;
  const config::MessageRouting* const routing = route_->compiled->messages.get();
  if (!routing) return;
  s.appetite.text = routing->rules.wanted_of_text();
  s.appetite.binary = routing->rules.wanted_of_binary();
  up_->inspect_messages();
  const bool races =
      std::ranges::any_of(routing->rules.rules(), [](const auto& rule) { return rule.aim == Aim::race; });
  if (!races) return;
  s.races = std::make_unique<Races>();
  first.relay().inspect_messages();
}

const upstream::Cluster& Session::cluster_of(const Leg& leg) const {
  return spread_ && !spread_->groups.empty() ? *spread_->groups[leg.group].cluster : *route_->compiled->cluster;
}

ServerBook& Session::book_of(const Leg& leg) const {
  return spread_ && !spread_->groups.empty() ? *spread_->groups[leg.group].plan.servers : *route_->servers;
}

// ---- what stands in a message --------------------------------------------------------------------------------------------

void Session::read_message(const relay::Preview& preview) {
  Spread& s = *spread_;
  const config::MessageRouting& routing = *route_->compiled->messages;
  upstream::MessageReading message(preview);
  const std::size_t rule = routing.rules.match(message);
  const bool matched = rule < routing.rules.rules().size();
  route_->rules[rule]->messages.add();
  s.group = matched ? routing.cluster_of[rule] : 0;
  s.aim = matched ? routing.rules.rules()[rule].aim : Aim::one;
  if (!revival_ || !revival_->homeless()) s.candidates.clear();

  // Of a message that is whole everything is known, and of one that nobody wants to read all of nothing is missing.
  const bool unread = preview.opcode == ws::kText && !preview.whole && s.appetite.text == routing.rules.inspect();
  if (unread) route_->tally->unread.add();
  s.refused = unread && route_->compiled->settings->close_oversized;

  const Spread::Group& group = s.groups[s.group];
  const upstream::BackendSettings& backend = group.cluster->settings();
  s.key = group.key_hash;
  if (backend.policy == upstream::Policy::consistent_hash && backend.key.pointer) {
    const JsonText::Value value = message.find(*backend.key.pointer);
    if (!value.text.empty()) s.key = hash64(value.text);
  }
  s.race_id.clear();
  if (s.aim != Aim::race) return;
  Races::Message request = Races::read_request(message);
  // Whose answers could not be told apart must not be asked twice.
  if (request.part == Races::Part::unread || !s.races->room(now())) s.aim = Aim::one;
  if (s.aim == Aim::race) s.race_id = std::move(request.id);
}

void Session::read_answer(const Leg& leg, const relay::Preview& preview) {
  Races& races = *spread_->races;
  upstream::MessageReading message(preview);
  const std::string id = Races::read_answer(message);
  races.swallow = !id.empty() && races.late(id, leg);
}

// ---- client → legs -------------------------------------------------------------------------------------------------------

// One budget for all, so each time another leg is the first to spend of it.
void Session::pump_legs(relay::Budget& budget) {
  tend_fan();
  do {
    gate_freed_ = false;
    const std::size_t first = ++spread_->first_pumped;
    for (std::size_t i = 0; i < legs_.size(); ++i) pump_down(*legs_[(first + i) % legs_.size()], budget);
  } while (gate_freed_ && !spent_);
}

net::Stream* Session::leg_for(const relay::Run& run) {
  Spread& s = *spread_;
  if (!run.begins) {
    if (!target_) return s.fan;
    return target_->relaying() ? &target_->stream() : nullptr;
  }
  return legs_ready() ? aim() : nullptr;
}

// Whether the message in line may go: its legs are chosen, open, and free for it.
bool Session::legs_ready() {
  Spread& s = *spread_;
  if (s.chosen.empty()) choose_legs();
  if (s.chosen.empty()) {
    if (revival_) {
      revival_->want(s.group);
    } else {
      end({Errc::no_backend, Side::upstream, false, "no server can be had for a message"}, Side::gateway);
    }
    return false;
  }
  for (Leg* const leg : s.chosen) {
    if (!leg->relaying()) return false;
    if (!leg->owes_told()) continue;
    // A message may not stand inside a control frame: whoever takes none of that is jammed.
    begin_pause(*leg);
    return false;
  }
  return true;
}

// All legs of the message in line are open.
net::Stream* Session::aim() {
  Spread& s = *spread_;
  if (!s.race_id.empty()) s.races->sent(std::exchange(s.race_id, {}), s.chosen, now());
  if (s.aim != Aim::one) {
    const std::size_t servers = s.groups[s.group].cluster->servers().size();
    route_->tally->fan_skipped.add(servers - std::min(servers, s.chosen.size()));
  }
  net::Stream* to = nullptr;
  if (s.chosen.size() == 1) {
    target_ = s.chosen.front();
    to = &target_->stream();
  } else {
    target_ = nullptr;
    to = &s.spread_out(house_.place.pool);
  }
  s.candidates.clear();
  s.chosen.clear();
  return to;
}

// Where messages that stand together go at once; null: one by one. `with`: where octets go that have not been written yet.
net::Stream* Session::way_of(relay::Batch& batch, Bytes octets, const net::Stream* with) {
  if (per_message()) return with || batch.messages() == 1 ? nullptr : deal(batch, octets);
  Leg& leg = *legs_.front();
  return leg.relaying() && !leg.close_out ? &leg.stream() : nullptr;
}

// Each message to the leg that it would have gone to alone, but with one write for all of a leg's: so far as they are open.
net::Stream* Session::deal(relay::Batch& batch, Bytes octets) {
  Spread& s = *spread_;
  if (!s.chosen.empty()) return nullptr;
  if (!s.fans[0]) s.fans[0] = std::make_unique<Fan>(house_.place.pool);
  Fan& fan = *s.fans[0];
  std::uint32_t dealt = 0;
  for (Bytes rest = octets; dealt < batch.messages(); ++dealt) {
    choose_legs();
    if (s.chosen.empty()) break;
    Leg& leg = *s.chosen.front();
    if (!leg.relaying() || leg.owes_told()) break;  // it stays chosen for the message at hand
    s.candidates.clear();
    s.chosen.clear();
    const std::size_t size = up_framer_->peek(rest, 1).size;
    fan.deal(leg, size);
    rest = rest.subspan(size);
  }
  if (dealt == 0) return nullptr;
  if (dealt < batch.messages()) batch = up_framer_->peek(octets, dealt);
  target_ = nullptr;
  s.fan = &fan;
  return &fan;
}

bool Session::is_target(const Leg& leg) const {
  if (revival_) return revival_->runs_to(leg);
  return target_ ? target_ == &leg : spread_ && spread_->fan && spread_->fan->serves(leg);
}

bool Session::target_gone() const {
  if (target_) return target_->close_out || target_->state() == Leg::State::closed;
  return !spread_ || !spread_->fan || spread_->fan->empty();
}

// Who waits for the rest of a frame that will never come.
void Session::retire_targets() {
  if (target_) {
    if (target_->relaying()) retire_leg(*target_);
    return;
  }
  if (!spread_ || !spread_->fan || spread_->fan->empty()) return;
  if (revival_ ? !revival_->runs_to(spread_->fan->leg(0)) : up_->to() != spread_->fan) return;
  while (!spread_->fan->empty()) retire_leg(spread_->fan->leg(0));
  up_->forget(*spread_->fan);
}

void Session::choose_legs() {
  Spread& s = *spread_;
  if (revival_ && revival_->seeks(s.group)) {  // at its own pace; whoever is open serves meanwhile
    if (Leg* const leg = open_leg_of_group()) s.chosen.push_back(leg);
    return;
  }
  if (s.aim == Aim::one) {
    if (Leg* const leg = choose_leg()) s.chosen.push_back(leg);
    return;
  }
  const upstream::Cluster& cluster = *s.groups[s.group].cluster;
  s.deadline = now() + cluster.settings().open_timeout;
  s.connecting = ConnectBudget(cluster.settings().connect_timeout);
  for (const auto& server : cluster.everyone(now())) {
    Leg* leg = leg_of(*server);
    if (!leg) leg = open_leg(server);
    if (leg) s.chosen.push_back(leg);
  }
  if (!s.chosen.empty()) return;
  if (Leg* const leg = open_leg_of_group()) s.chosen.push_back(leg);
}

// The leg of the message that begins: of the first candidate that has one or can be given one. Where all have failed, or
// the legs are used up, whoever is open serves.
Leg* Session::choose_leg() {
  Spread& s = *spread_;
  const upstream::Cluster& cluster = *s.groups[s.group].cluster;
  if (s.candidates.empty()) {
    s.candidates = cluster.order(s.key, now(), {}, nullptr, upstream::Room::any);
    s.next_candidate = 0;
    s.deadline = now() + cluster.settings().open_timeout;
    s.connecting = ConnectBudget(cluster.settings().connect_timeout);
  }
  while (s.next_candidate < s.candidates.size() && now() < s.deadline && !s.connecting.spent()) {
    const std::shared_ptr<upstream::Server>& server = s.candidates[s.next_candidate++];
    if (Leg* const leg = leg_of(*server)) return leg;
    if (Leg* const leg = open_leg(server)) return leg;
  }
  return open_leg_of_group();
}

// Whoever of the message's backend is open: in turn, or, where a key decides, the same for the same key.
Leg* Session::open_leg_of_group() {
  Spread& s = *spread_;
  const bool keyed = s.groups[s.group].cluster->settings().policy == upstream::Policy::consistent_hash;
  Leg* best = nullptr;
  std::uint64_t most = 0;
  ++s.last_resort;
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    Leg* const leg = legs_[(s.last_resort + i) % legs_.size()].get();
    if (!leg->relaying() || leg->leaving() || leg->group != s.group) continue;
    if (!keyed) return leg;
    const std::uint64_t score = hash64(leg->server().settings().url, s.key);
    if (best && score <= most) continue;
    best = leg;
    most = score;
  }
  return best;
}

Leg* Session::leg_of(const upstream::Server& server) const {
  const auto found = std::ranges::find_if(
      legs_, [&](const auto& leg) { return leg->relaying() && !leg->leaving() && &leg->server() == &server; });
  return found == legs_.end() ? nullptr : found->get();
}

// A backend that has no leg yet has a claim to one: the others leave room for it.
bool Session::room_for_leg() const {
  const Spread& s = *spread_;
  std::size_t taken = legs_.size();
  for (std::size_t group = 0; group < s.groups.size(); ++group) {
    const bool served = std::ranges::any_of(legs_, [group](const auto& leg) { return leg->group == group; });
    if (group != s.group && !served) ++taken;
  }
  return taken < route_->compiled->plan.max_legs;
}

// Null: there may be no further leg, or not this one now.
Leg* Session::open_leg(const std::shared_ptr<upstream::Server>& server) {
  Spread& s = *spread_;
  if (!room_for_leg()) return nullptr;
  const bool rests = std::ranges::any_of(
      s.resting, [&](const auto& one) { return one.first == server.get() && now() < one.second; });
  if (rests) return nullptr;
  const Spread::Group& group = s.groups[s.group];
  upstream::ServerUse use = group.cluster->take(server);
  if (!use || !group.cluster->allow(now())) {
    rest(*server);
    return nullptr;
  }
  auto leg = std::make_unique<Leg>(house_, std::move(use), ready_);
  leg->group = s.group;
  if (!leg->start(group.plan, s.connecting.next())) {
    opening_failed(*leg);
    rest(*server);
    return nullptr;
  }
  legs_.push_back(std::move(leg));
  arm(std::min(legs_.back()->deadline(), s.deadline));
  return legs_.back().get();
}

// A client must not make a handshake of each of its messages where a server refuses them.
void Session::rest(const upstream::Server& server) {
  auto& resting = spread_->resting;
  std::erase_if(resting, [&](const auto& one) { return one.first == &server || one.second <= now(); });
  resting.emplace_back(&server, now() + kLegRest);
}

void Session::tend_legs() {
  Spread& s = *spread_;
  s.flush_fans();
  if (revival_) revival_->cut_half_given();
  for (const auto& leg : legs_) {
    leg->flush_owed();  // a control frame goes through the first leg, and before what others owe
    if (!leg->relaying() || (revival_ && (revival_->feeds(*leg) || revival_->mute(*leg)))) continue;
    const bool told = leg->flush_told();
    // The direction up has gone on to somebody else meanwhile, or the message that waits for it may pass.
    const bool free = &leg->stream() != up_->to() ? s.owed(*leg) == 0 : s.is_chosen(*leg);
    if (told && free) end_pause(Direction::up, leg->jammed_since);
    if (leg->leaving() && leg->close_in && leg->close_out && !ending_) leg_left(*leg);
  }
  // Those that were left, once all that they said has left, too. Somebody must be there to write to the client.
  const bool served = std::ranges::any_of(legs_, [](const auto& leg) { return leg->relaying(); });
  if (gate_ && gate_->state() == Leg::State::closed && gate_->at_message_boundary()) gate_ = nullptr;
  if (!ending_ && served) {
    std::erase_if(legs_, [this](const auto& leg) {
      const bool over = leg->state() == Leg::State::closed && leg->flush_owed();
      if (over && target_ == leg.get()) {
        target_ = nullptr;
        spread_->fan = nullptr;
      }
      return over;
    });
  }
  for (std::size_t i = s.chosen.size(); i-- > 0;) {
    if (!s.chosen[i]->relaying()) advance_chosen_leg(*s.chosen[i]);
  }
}

// Who of those that a message goes to is full, and who has died of it.
void Session::tend_fan() {
  for (const auto& fan : spread_->fans) {
    for (std::size_t i = 0; fan && i < fan->size(); ++i) {
      Leg& leg = fan->leg(i);
      const bool full = fan->owed(leg) > 0 || (leg.owes_told() && (revival_ ? revival_->runs_to(leg) : up_->to() == fan.get()));
      if (full) begin_pause(leg);
    }
    bool cut = false;
    while (Leg* const lost = fan ? fan->take_lost(cut) : nullptr) {
      if (revival_) revival_->branch_lost(*fan, *lost, cut);
      // What it said before it left may be here still: its last messages, and its Close.
      relay::Budget last;
      pump_down(*lost, last);
      on_leg_end(*lost, false);
    }
  }
}

void Session::advance_chosen_leg(Leg& leg) {
  const Spread& s = *spread_;
  const Result<Leg::State> state = leg.advance(s.groups[leg.group].plan);
  if (!state) return drop_chosen_leg(leg, state.error().code != Errc::fd_limit);
  if (leg.refused()) {
    // As at the handshake: who answers serves, and one client's refusals take a server from nobody else.
    return drop_chosen_leg(leg, !upstream::serves(leg.take_refusal().status));
  }
  if (*state == Leg::State::open) {
    if (leg.agreed_subprotocol() != s.subprotocol) return drop_chosen_leg(leg, true);
    cluster_of(leg).attempted(leg.server(), true, now());
    return join_leg(leg);
  }
  const Instant deadline = std::min(leg.deadline(), s.deadline);
  if (now() >= deadline) return drop_chosen_leg(leg, true);
  arm(deadline);
}

void Session::join_leg(Leg& leg) {
  leg.relay_through(down_framer(false), *this);
  if (spread_->races) leg.relay().inspect_messages();
}

// It cannot be had: it leaves room for another, and the message goes to the next candidate, or without this one.
void Session::drop_chosen_leg(Leg& leg, bool failed) {
  Spread& s = *spread_;
  if (failed) opening_failed(leg);
  rest(leg.server());
  if (s.aim == Aim::one) s.connecting.spend(leg.wasted());  // all at once waste the same time
  if (s.aim == Aim::one && s.next_candidate < s.candidates.size()) {
    book_of(leg).of(leg.server()).retries.add();
  }
  s.forget(leg);
  std::erase_if(legs_, [&leg](const auto& one) { return one.get() == &leg; });
}

// ---- legs → client -------------------------------------------------------------------------------------------------------

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
