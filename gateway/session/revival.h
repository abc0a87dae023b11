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
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "session/hold.h"
#include "session/leg.h"
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
  bool full() const { return away() && hold_.jammed(); }
  // It is to be looked at once a second.
  bool restless() const;

  bool feeds(const Leg& leg) const { return &leg == leg_; }
  // Whether all that the client has sent so far has left for `leg`.
  bool through(const Leg& leg) const;
  bool owes() const { return hold_.joined() && !hold_.empty(); }
  std::size_t kept() const { return hold_.owed(); }
  // A control frame of the gateway's own; false: not now.
  bool tell(Leg& leg, Bytes frame);

 private:
  enum class State : std::uint8_t { steady, moving, seeking, over };

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

  Session& session_;
  const config::SurviveSettings& rules_;
  const std::string subprotocol_;
  Hold hold_;
  Leg* leg_ = nullptr;          // the one at hand
  Leg* half_given_ = nullptr;   // has said goodbye inside a message: to be closed once it is not being read
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
