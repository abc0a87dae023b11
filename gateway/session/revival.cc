#include "session/revival.h"

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "session/session.h"

namespace sluice::session {

namespace {

constexpr Duration kLongestPause = std::chrono::seconds(5);
constexpr auto kLeftStall = std::chrono::seconds(30);  // inside a message, of a leg that was left

}  // namespace

Revival::Revival(Session& session, const config::SurviveSettings& rules, std::string subprotocol)
    : session_(session), rules_(rules), subprotocol_(std::move(subprotocol)), hold_(rules, session.per_message()) {
  if (session.per_message()) dealt_ = std::make_unique<Dealt>();
}

Revival::~Revival() {
  if (dealt_) settle_had();
  hold_.drop_all();
  count(Dropped::closing);
}

void Revival::count(Revived result) { session_.route_->tally->revivals[static_cast<std::size_t>(result)].add(); }

void Revival::count(Dropped why) {
  if (const std::uint32_t messages = hold_.take_dropped(); messages > 0) {
    session_.route_->tally->dropped[static_cast<std::size_t>(why)].add(messages);
  }
}

void Revival::join(Leg& leg) {
  if (dealt_) return;  // who gets a message is said at its beginning
  leg_ = &leg;
  hold_.join(leg.stream());
}

net::Stream* Revival::route(const relay::Run& run) {
  hold_.expect(run);
  return &hold_;
}

bool Revival::feeds(const Leg& leg) const {
  return dealt_ ? leg.relaying() && hold_.feeds(leg.stream()) : &leg == leg_;
}

bool Revival::mute(const Leg& leg) const {
  return std::ranges::find(half_given_, &leg) != half_given_.end();
}

bool Revival::half_given(const Leg& leg) const {
  if (mute(leg)) return true;
  return runs_to(leg) && hold_.begun() && !(hold_.given() && has_all(leg));
}

bool Revival::through(const Leg& leg) const {
  if (!runs_to(leg)) return true;
  return hold_.empty() && (!dealt_ || session_.spread_->owed(leg) == 0) && (session_.up_->at_frame_boundary() || hold_.swallowing());
}

bool Revival::tell(Leg& leg, Bytes frame) {
  if (!feeds(leg)) return through(leg) && leg.tell(frame);
  return through(leg) && hold_.tell(frame);
}

bool Revival::restless() const {
  if (dealt_) return state_ == State::seeking || state_ == State::moving || dealt_->homeless;
  return state_ == State::seeking || state_ == State::moving || session_.legs_.size() > 1;
}

bool Revival::lasts() const {
  const Session& s = session_;
  return !s.ending_ && !s.draining_ && !s.client_gone_ && !s.client_close_in_ && !s.client_close_out_ && !s.client_close_due_;
}

bool Revival::counts(std::uint16_t code) const { return std::ranges::find(rules_.codes, code) != rules_.codes.end(); }

// ---- a leg is lost -----------------------------------------------------------------------------------------------------

void Revival::count_lost_inside() {
  if (lasts()) count(Revived::half_sent);
}

bool Revival::lost(Leg& leg, bool fault, bool ended) {
  if (dealt_) return lost_one(leg, fault, ended);
  Session& s = session_;
  if (leg.relay().inside_message() && (ended || &leg != leg_)) {
    count_lost_inside();
    return false;  // the client waits for the rest, and nothing else may stand in its place
  }
  if (&leg != leg_) {
    s.retire_leg(leg);
    return true;
  }
  if (!lasts() || !counts(1006)) return false;
  if (fault) s.route_->compiled->cluster->report(leg.server(), false, s.now());
  if (half_given(leg)) half_given_.push_back(&leg);
  leg_ = nullptr;
  if (ended && leg.stream().received().empty()) {
    s.retire_leg(leg);
  } else {
    leg.close_out = true;  // the client has not had all of its words yet
  }
  seek_after(leg, hold_.lose());
  return true;
}

bool Revival::on_close(Leg& leg, std::uint16_t code) {
  if (dealt_) return closed_one(leg, code);
  if (leg.relay().inside_message()) {
    count_lost_inside();
    return false;
  }
  if (&leg == leg_) {
    if (!lasts() || !counts(code)) return false;
    leg_ = nullptr;
    const Hold::Loss loss = hold_.lose();
    if (loss != Hold::Loss::none) {
      // Inside a message no Close of ours may follow, and what its stream keeps of that message must not leave any more.
      leg.close_out = true;
      half_given_.push_back(&leg);
    }
    seek_after(leg, loss);
  }
  session_.spent_ = true;
  leg.close_in = true;
  leg.close_due = !leg.close_out;
  leg.close_code = code == 1005 ? std::uint16_t{1000} : code;
  return true;
}

void Revival::seek_after(Leg& leg, Hold::Loss loss) {
  Session& s = session_;
  count(Dropped::in_flight);
  const bool under_way = state_ == State::moving;
  state_ = State::seeking;
  leave_until_ = s.now() + s.rules().close_timeout;
  s.end_pause(Direction::up, leg.jammed_since);
  s.spent_ = true;
  if (loss == Hold::Loss::failed) {
    count(Revived::in_flight);
    state_ = State::over;
    s.close_override_ = rules_.close_code;
    return s.end({Errc::be_lost, Side::upstream, false, "lost with a message of the client on its way"}, Side::upstream);
  }
  if (under_way) {  // a server is being asked already
    began_ = s.now();
    deadline_ = began_ + rules_.timeout;
  } else {
    begin_seeking(State::seeking, leg);
  }
}

void Revival::begin_seeking(State state, const Leg& leg) {
  state_ = state;
  began_ = session_.now();
  deadline_ = began_ + rules_.timeout;
  from_ = leg.server().settings().url;
  without_ = &leg.server();
  candidates_.clear();
  next_candidate_ = rounds_ = attempts_ = 0;
  pause();
  session_.arm(retry_at_);
}

bool Revival::move(Leg& leg, Errc why) {
  if (dealt_) return move_one(leg, why);
  if (&leg != leg_ || state_ != State::steady) return true;
  if (!lasts()) return false;
  why_ = why;
  begin_seeking(State::moving, leg);
  return true;
}

void Revival::forget(const Leg& leg) {
  session_.spent_ = true;  // it makes way for others
  std::erase(half_given_, &leg);
  if (dealt_) return forget_one(leg);
  if (&leg != leg_) return;
  leg_ = nullptr;
  next_.reset();
  hopeless(Dropped::closing);
}

// Nothing that the client sends can go anywhere any more.
void Revival::hopeless(Dropped why) {
  state_ = State::over;
  session_.up_->forget(hold_);
  if (dealt_) settle_had();
  hold_.drop_all();
  hold_.lose();
  count(why);
  if (!dealt_) return;
  dealt_->lines.clear();
  dealt_->homeless = false;
}

// Nothing goes to it any more; what it has said before may be here still, and is read to its end.
void Revival::hold_broke() {
  Session& s = session_;
  Leg& leg = *leg_;
  if (!lasts() || !counts(1006)) {
    relay::Budget last;
    s.pump_down(leg, last);
    if (leg_) s.on_leg_end(leg, false);
    return;
  }
  s.route_->compiled->cluster->report(leg.server(), false, s.now());
  if (half_given(leg)) half_given_.push_back(&leg);
  leg_ = nullptr;
  leg.close_out = true;
  seek_after(leg, hold_.lose());
}

// ---- at each edge ------------------------------------------------------------------------------------------------------

void Revival::cut_half_given() {
  if (half_given_.empty()) return;
  for (const auto& leg : session_.legs_) {
    if (leg->close_in && leg->relaying() && mute(*leg)) {
      session_.retire_leg(*leg);
    }
  }
}

void Revival::tend() {
  if (dealt_) return tend_messages();
  if (leg_ && hold_.broken()) hold_broke();
  cut_half_given();
  hold_.flush();
  count(Dropped::in_flight);
  tend_client();
  tend_left();
  if (state_ == State::steady || state_ == State::over) return;
  if (next_ && next_->state() == Leg::State::open && hold_.feeds(next_->stream())) return take_over();
  if (!lasts()) return abandon();
  seek();
}

// What a leg that is gone has left for the client: nobody else sends it.
void Revival::tend_client() {
  Session& s = session_;
  if (leg_ || s.client_gone_) return;
  bool owed = false;
  bool read = false;
  for (const auto& leg : s.legs_) {
    owed = !leg->flush_owed() || owed;
    read = read || leg->relaying();
  }
  if (std::size_t taken = 0; s.client_.unsent() && s.client_.write({}, taken) == Io::error) return s.on_client_end();
  if (!owed && !read && !s.client_.unsent() && !s.client_.jammed() && s.client_jammed_since_ != Instant{}) {
    s.end_pause(Direction::down, s.client_jammed_since_);
  }
}

void Revival::tend_left() {
  Session& s = session_;
  const Instant now = s.now();
  for (std::size_t i = 0; i < s.legs_.size(); ++i) {
    Leg& leg = *s.legs_[i];
    if (&leg == leg_ || !leg.relaying()) continue;
    if (!mute(leg) && leg.flush_told() && leg.close_in && leg.close_out) leg.stream().finish();
    if (now < leave_until_) continue;
    const bool stalled = now - leg.last_in >= kLeftStall && s.client_jammed_since_ == Instant{};
    if (!leg.relay().inside_message() && (stalled || leg.stream().received().empty())) {
      s.retire_leg(leg);
    } else if (stalled) {
      return s.leg_died(leg, {Errc::be_lost, Side::upstream, false, "stalled inside a message"});
    }
  }
  if (s.legs_.size() == 1) return;
  std::erase_if(s.legs_, [&](const auto& leg) {
    return leg != s.legs_.front() && leg->state() == Leg::State::closed && leg->flush_owed() && !s.client_.unsent();
  });
  if (s.legs_.size() > 1 && leave_until_ > now) s.arm(leave_until_);
  // Whoever has said its last word keeps nobody waiting any more.
  const bool over = std::all_of(s.legs_.begin() + 1, s.legs_.end(), [](const auto& leg) {
    return (leg->close_in || leg->state() == Leg::State::closed) && leg->flush_owed();
  });
  if (over && leg_ && leg_->deaf) {
    leg_->deaf = false;
    s.spent_ = true;
  }
}

// ---- another server ----------------------------------------------------------------------------------------------------

// Who lost a server together does not come to the next one together.
void Revival::pause() {
  const Duration longest = std::min(kLongestPause, rules_.retry * (std::int64_t{1} << std::min(rounds_, 20u)));
  retry_at_ = session_.now() + Duration(random_below(static_cast<std::uint64_t>(longest.count()) + 1));
}

// Where another server is sought, how its leg opens, and for whom.
const upstream::Cluster& Revival::cluster() const {
  return dealt_ ? *session_.spread_->groups[dealt_->group].cluster : *session_.route_->compiled->cluster;
}

const LegPlan& Revival::plan() const {
  return dealt_ ? session_.spread_->groups[next_ ? next_->group : dealt_->group].plan : *session_.leg_plan_;
}

std::uint64_t Revival::key() const {
  if (!dealt_) return session_.record_.key_hash;
  const bool known = !dealt_->lines.empty() && dealt_->lines.front().group == dealt_->group;
  return known ? dealt_->lines.front().key : session_.spread_->groups[dealt_->group].key_hash;
}

void Revival::seek() {
  Session& s = session_;
  while (state_ == State::seeking || state_ == State::moving) {
    if (s.now() >= deadline_) return give_up();
    if (next_) {
      if (!advance()) return;
    } else if (s.now() < retry_at_) {
      return s.arm(std::min(retry_at_, deadline_));
    } else if (!next_candidate()) {
      pause();
    }
  }
}

// False: nobody is left to be asked before the next pause.
bool Revival::next_candidate() {
  Session& s = session_;
  const upstream::Cluster& cluster = this->cluster();
  if (next_candidate_ == candidates_.size()) {
    if (next_candidate_ > 0) {
      candidates_.clear();
      next_candidate_ = 0;
      return false;
    }
    // Whoever was lost a moment ago is asked last; whoever is to be left, not at all.
    const bool last = rounds_++ == 0 || state_ == State::moving;
    if (!cluster.allow(s.now())) return false;
    candidates_ = cluster.order(key(), s.now(), {&without_, last ? 1u : 0u});
    if (candidates_.empty() && state_ == State::seeking) candidates_ = cluster.order(key(), s.now());
    if (candidates_.empty()) return false;
  }
  upstream::ServerUse use = cluster.take(candidates_[next_candidate_++]);
  if (!use) return true;  // others were faster
  ++attempts_;
  auto leg = std::make_unique<Leg>(s.house_, std::move(use), s.ready_);
  if (dealt_) leg->group = dealt_->group;
  if (leg->start(plan(), cluster.settings().connect_timeout)) {
    next_ = std::move(leg);
  } else {
    s.opening_failed(*leg);
  }
  return true;
}

// False: it waits.
bool Revival::advance() {
  Session& s = session_;
  Leg& leg = *next_;
  if (leg.state() != Leg::State::open) {
    const Result<Leg::State> state = leg.advance(plan());
    if (!state) return failed(state.error().code != Errc::fd_limit);
    if (leg.refused()) {
      // As at the handshake: who answers serves, and one client's refusals take a server from nobody else.
      return failed(!upstream::serves(leg.take_refusal().status));
    }
    if (*state != Leg::State::open) {
      const Instant deadline = std::min(leg.deadline(), deadline_);
      if (s.now() >= deadline) return failed(true);
      s.arm(deadline);
      return false;
    }
    if (leg.agreed_subprotocol() != subprotocol_) return failed(true);
    s.cluster_of(leg).attempted(leg.server(), true, s.now());
  }
  if (dealt_) return join_one(), true;
  if (leg_) {
    hold_.join_after(leg.stream());
  } else {
    hold_.join(leg.stream());
  }
  if (!hold_.feeds(leg.stream())) {
    s.arm(deadline_);
    return false;
  }
  take_over();
  return true;
}

bool Revival::failed(bool fault) {
  if (fault) session_.opening_failed(*next_);
  if (next_candidate_ < candidates_.size()) session_.book_of(*next_).of(next_->server()).retries.add();
  next_.reset();
  return true;
}

void Revival::take_over() {
  Session& s = session_;
  if (leg_) {
    s.end_pause(Direction::up, leg_->jammed_since);
    leg_->close_due = !leg_->close_out;
    leg_->close_code = 1001;
    leave_until_ = s.now() + s.rules().close_timeout;
  }
  leg_ = s.target_ = next_.get();
  s.legs_.insert(s.legs_.begin(), std::move(next_));
  leg_->relay_through(s.down_framer(false), s);
  leg_->deaf = true;  // until those behind it are done: see tend_left
  announce(*leg_);
  state_ = State::steady;
  s.spent_ = true;  // what did not find room goes on
  tend_left();
}

void Revival::announce(const Leg& leg) {
  Session& s = session_;
  const bool moved = state_ == State::moving;
  count(moved ? Revived::moved : Revived::revived);
  log::event(Level::info, moved ? "ws_moved" : "ws_revived",
             {{"id", s.record_.id()},
              {"route", s.route_->compiled->settings->name},
              {"from", from_},
              {"server", leg.server().settings().url},
              {"ms", static_cast<std::int64_t>(
                         std::chrono::duration_cast<std::chrono::milliseconds>(s.now() - began_).count())},
              {"attempts", attempts_}});
}

// Nobody could be had in time.
void Revival::give_up() {
  Session& s = session_;
  next_.reset();
  if (dealt_ && state_ == State::seeking && !dealt_->wanted && has_leg()) {
    state_ = State::steady;  // somebody has come in another way
    return;
  }
  count(Revived::timeout);
  if (leg_ || state_ == State::moving) {
    hold_.stay();
    state_ = State::steady;
    // Otherwise it may stay where it is, and is asked to leave again.
    if (why_ == Errc::server_down) s.take_leave({why_, Side::gateway, false, "no other server took over in time"});
    return;
  }
  hopeless(Dropped::no_server);
  s.close_override_ = rules_.close_code;
  // Where nobody could be asked, what was in the way is the reason.
  const Errc why = attempts_ == 0 ? s.route_->compiled->cluster->refusal(s.now()).code : Errc::no_backend;
  s.end({why, Side::upstream, false, "no server took over in time"}, Side::upstream);
}

// The session ends meanwhile.
void Revival::abandon() {
  next_.reset();
  if (leg_ || state_ == State::moving) {
    hold_.stay();
    state_ = State::steady;
    return;
  }
  if (state_ == State::seeking) count(Revived::abandoned);
  if (dealt_ && !dealt_->homeless) {
    state_ = State::steady;  // what is on its way to a leg gets there
  } else {
    hopeless(Dropped::closing);
  }
}

}  // namespace sluice::session
