// Revival: how a client outlives the loss of its server. Kept by a Session on routes with [route.survive]; the others have
// none.
//
//     with a leg ──▶ lost, or to be left ──▶ seeking: candidates in turn, a pause, candidates ... ──▶ with a leg
//                                                 └──▶ no server in time, or the client ends: over
//
// It owns the Hold through which the client's messages go up, and the leg that is being opened; open legs are the Session's,
// the one at hand in front. Others behind it are those that were lost or left: they are read until they have said what they
// had to say, and until then the one in front is not.
// Called by the Session where a leg is lost, where its Close comes in, and at each edge. It never touches the client's
// stream, other than to send what is owed to it.
//
// Per message (session/rehoming.cc) the legs are the Session's, opened when they are first chosen, and the loss of one of several
// is survived at once: the message at hand finds another home, like any message. Only without any is one sought here. Messages
// pass the Hold one at a time; while nobody serves they queue in it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "session/hold.h"
#include "session/leg.h"
#include "session/spread.h"
#include "session/tally.h"

namespace sluice::session {

class Session;

class Revival {
 public:
  // `subprotocol`: what the first leg agreed to, and every further one must.
  Revival(Session& session, const config::SurviveSettings& rules, std::string subprotocol);
  ~Revival();
  Revival(const Revival&) = delete;
  Revival& operator=(const Revival&) = delete;

  const std::string& subprotocol() const { return subprotocol_; }
  // The first leg.
  void join(Leg& leg);
  // Where a run of the client's goes.
  net::Stream* route(const relay::Run& run);

  // `leg` is lost without a Close. `fault`: its server is to blame; `ended`: nothing comes from it any more. True: the client
  // stays.
  bool lost(Leg& leg, bool fault, bool ended = true);
  // It has sent a Close. True: the client stays, and is not told.
  bool on_close(Leg& leg, std::uint16_t code);
  // Its server is to be left. True: it will be, when another has taken over.
  bool move(Leg& leg, Errc why);
  // The session gives it up.
  void forget(const Leg& leg);

  // Moves on as far as it can.
  void tend();
  // There is no leg, and another is sought.
  bool away() const { return state_ == State::seeking; }
  // What the client sends is not read for lack of a leg.
  bool full() const { return !hold_.joined() && hold_.jammed(); }
  // No message goes up any more.
  bool over() const { return state_ == State::over; }
  // It is to be looked at once a second.
  bool restless() const;

  // Messages go to it, and to nobody else ...
  bool feeds(const Leg& leg) const;
  // ... or the one at hand goes to it among others.
  bool runs_to(const Leg& leg) const;
  // It has had octets of the message at hand, or of its last one, and has not had all of it.
  bool half_given(const Leg& leg) const;
  // Likewise of its last one: what its stream keeps of that must not leave any more.
  bool mute(const Leg& leg) const;
  // Whether all that the client has sent so far has left for `leg`.
  bool through(const Leg& leg) const;
  bool owes() const { return hold_.joined() && !hold_.empty(); }
  bool jammed() const { return hold_.joined() && hold_.jammed(); }
  std::size_t kept() const { return hold_.owed(); }
  // A control frame of the gateway's own; false: not now.
  bool tell(Leg& leg, Bytes frame);
  // Ends those that have said goodbye inside a message of the client's, before any more of it leaves for them.
  void cut_half_given();

  // ---- per message ----
  // Whether the message that stands in line may begin: it has legs, or nobody serves and it may wait in the hold.
  bool begin();
  // Something waited for the message before it to leave, and that has left.
  bool goes_on();
  // A message waits in the hold for a server.
  bool homeless() const { return dealt_ && dealt_->homeless; }
  // Nobody can be had for a message.
  void want(std::uint8_t group);
  bool seeks(std::uint8_t group) const { return state_ == State::seeking && dealt_->group == group; }
  // A leg of a fan has died of being written to, and is not in it any more.
  void branch_lost(const Fan& fan, Leg& leg, bool cut);

 private:
  enum class State : std::uint8_t { steady, moving, seeking, over };

  // What is known of the messages in the hold, where they are dealt to several legs.
  struct Dealt {
    std::deque<Choice> lines;  // one for each that has not left as a whole; the first is the one at hand
    bool homeless = false;     // the one at hand has no leg
    bool behind = false;       // another one waits behind it, in line
    bool wanted = false;       // a server is sought for a message
    bool had = false;          // of several that it went to one has had all of it
    bool again = false;        // it has been sent once more to those that had missed it
    std::vector<const upstream::Server*> missed;  // whose copy of it was cut; compared only
    std::uint8_t group = 0;    // of the server that is sought
  };

  bool lasts() const;  // nobody has begun to end the session
  bool counts(std::uint16_t code) const;
  void count(Revived result);
  void count(Dropped why);
  void count_lost_inside();
  void seek_after(Leg& leg, Hold::Loss loss);
  void hold_broke();
  void tend_client();
  void tend_left();
  void seek();
  void pause();
  bool next_candidate();
  bool advance();
  bool failed(bool fault);
  void take_over();
  void announce(const Leg& leg);
  void give_up();
  void abandon();
  void hopeless(Dropped why);
  const upstream::Cluster& cluster() const;
  const LegPlan& plan() const;
  std::uint64_t key() const;
  void begin_seeking(State state, const Leg& leg);

  // ---- per message ----
  bool lost_one(Leg& leg, bool fault, bool ended);
  bool closed_one(Leg& leg, std::uint16_t code);
  bool move_one(Leg& leg, Errc why);
  void leave(Leg& leg);
  bool has_all(const Leg& leg) const;
  bool has_leg() const;
  bool others(const Leg& leg) const;
  bool served(std::uint8_t group) const;
  void left_behind(Leg& leg);
  void part(Leg& leg);
  void miss(Leg& leg);
  void lose();
  void fail();
  void settle();
  void settle_had();
  void tend_messages();
  void tend_front();
  void home();
  bool deal_again();
  void join_one();
  void forget_one(const Leg& leg);
  void announce_kept(const Leg& leg, bool moved);
  bool ends() const;

  Session& session_;
  const config::SurviveSettings& rules_;
  const std::string subprotocol_;
  Hold hold_;
  Leg* leg_ = nullptr;          // the one at hand
  std::vector<const Leg*> half_given_;  // were left inside a message of the client's, and end in no good order
  std::unique_ptr<Dealt> dealt_;  // per message
  std::unique_ptr<Leg> next_;   // being opened, or open and waiting for the end of the message at hand
  State state_ = State::steady;
  Errc why_ = Errc::none;       // it moves
  std::uint32_t attempts_ = 0;
  std::uint32_t rounds_ = 0;    // times that the cluster was asked for candidates
  std::string from_;            // URL of the server that was lost or is to be left
  const upstream::Server* without_ = nullptr;  // likewise; compared only
  std::vector<std::shared_ptr<upstream::Server>> candidates_;
  std::size_t next_candidate_ = 0;
  Instant began_{};
  Instant deadline_{};          // for another server
  Instant retry_at_{};
  Instant leave_until_{};       // for those that were left
};

}  // namespace sluice::session
