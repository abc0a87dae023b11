// Session: the life of one client connection from its complete head to its log line.
//
//     admit → authenticate → choose → open ⇄ (next candidate) → answer → relay ⇄ → linger → done
//        │        │  │  ▲               └▶ exchange (no upgrade) → done, and the Front waits for the next request
//        │        ▼  │  │
//        │     first_message (no credential came with the request: the client has its 101, and says it now)
//        ├───────────┴▶ serve (an endpoint of the gateway's own) → done, likewise
//        └──────────── refusal ───────────────────▶ linger → done
//
// Owned by a Front, which owns the client's stream; owns its legs. advance() runs phases until there is nothing to do.
// The closing rules are drawn in session/closing.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/recycled.h"
#include "http/request.h"
#include "relay/relay.h"
#include "session/exchange.h"
#include "session/front.h"
#include "session/lane.h"
#include "session/leg.h"
#include "session/opening.h"
#include "session/recheck.h"
#include "session/renewal.h"
#include "session/revival.h"
#include "session/spread.h"
#include "session/standing.h"
#include "ws/control.h"

namespace sluice::session {

class Kick;
class MessageGuard;
struct ConnectionFilter;
struct EndpointRuntime;
struct ListenerAnswer;

class Session : public Recycled<Session> {
 public:
  enum class Phase : std::uint8_t { admit, authenticate, first_message, serve, choose, open, exchange, answer, relay, linger, done };

  // `client` outlives the session. `ready` is told of edges of the legs (the Front).
  Session(House& house, net::Ready& ready, net::Stream& client, std::shared_ptr<const Runtime> runtime,
          std::size_t listener, std::unique_ptr<Opening> opening);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Step advance();
  Step tick();
  void drain();
  void cut();
  bool kick(const Kick& kick);  // as StreamOwner's; to be advanced when true
  // It relays messages and has that id in the logs.
  bool is(std::string_view id) const { return phase_ == Phase::relay && record_.id() == id; }
  // From now on it stands on `fresh`, a credential that was checked just now: it expires with it, and is found by its claims.
  // What was decided by the one before stays: fields that went up, limits, the record's subject. `by`: who asks, for the log.
  // Errors: refresh_denied (not of the same [auth], issuer and subject, or nothing is to be renewed), revoked, token_expired
  // (it came too late).
  Result<void> renew(const policy::Authenticated& fresh, std::string_view by);
  void describe(JsonWriter& out, const ConnectionFilter& filter) const;
  Phase phase() const { return phase_; }
  // More is to be moved than one edge may: call again in the next pass.
  bool spent() const { return spent_; }
  // It is done, and its client's connection may serve another request.
  bool again() const { return phase_ == Phase::done && (served_ || (exchange_ && exchange_->keeps_client())); }

 private:
  friend class UpLane;
  friend class DownLane;
  friend class Revival;

  // ---- opening (session/session.cc) ----
  Step admit();
  Result<void> read_request();       // what it says
  Step answer_here(ListenerAnswer own);
  Result<void> judge();              // route and handshake
  Result<void> judge_policies();
  Step authenticate();
  Result<void> judge_identified();
  Result<void> judge_identity();
  Result<void> stand_on(const policy::Identity& identity, const policy::AuthSettings& auth);
  Result<void> judge_subprotocols();
  Result<void> judge_limits(bool before_auth);
  std::vector<policy::Limiter*> limits_of_key() const;
  void guard_messages(const policy::Identity& identity);  // by the route's rules, what the client is now known to be
  Result<void> judge_limit(policy::Limiter& limiter);
  Step choose();
  Step hold(Error error);            // no server can take the client now
  bool client_left() const;
  Step open();
  Step candidate_failed(Error error);
  void opening_failed(const Leg& leg);
  Step answer();
  Step refuse(Error error);          // an HTTP answer, or 101 + Close when the route says so
  Step relay_refusal(Refusal refusal);
  Step flush_then(Phase next);
  void count_answer(int status);     // opening_->out is one without an upgrade
  Step unanswered(Error error);
  Step say_end();
  Step linger();
  void start_relaying();
  std::unique_ptr<relay::Framer> up_framer(bool deflate) const;
  std::unique_ptr<relay::Framer> down_framer(bool deflate) const;

  // ---- a request to the gateway itself (session/serving.cc) ----
  Step begin_serving(const EndpointRuntime& rules);
  Step serve();
  Step finish_serving();

  // ---- accepted before it is known who it is (session/accepting.cc) ----
  bool may_say_later(const Error& error) const;  // who it is: the route takes it from a first message
  Step accept_early();
  Step await_first_message();
  std::uint16_t refusal_code(const Error& error) const;

  // ---- a plain request (session/exchanging.cc) ----
  Result<void> judge_plain();
  bool plain() const { return opening_->request.kind == http::Request::Kind::http; }
  void plan_exchange();
  bool take_idle(upstream::ServerUse& use);                  // a leg on a connection that has served before
  Step start_exchange(Instant born, bool reused);
  Step exchange();
  Step finish_exchange();
  Step exchange_failed(Error error);
  Step tick_exchange();
  void log_exchange(const Error* error);

  // ---- relaying (session/relaying.cc) ----
  Step relay();
  void pump_up(relay::Budget& budget);
  void pump_down(Leg& leg, relay::Budget& budget);
  void count_kept();
  void note_kept(const std::array<std::size_t, 2>& kept);
  void begin_pause(Leg& leg);
  void count_pause(Direction way, Instant since);
  void end_pause(Direction way, Instant& since);
  void count_pauses();               // of both sides, at their end
  bool tick_client(Instant time);
  bool tick_leg(Leg& leg, Instant time);
  bool client_unread() const;
  void arm(Instant when);

  // ---- a fresh credential (session/renewing.cc) ----
  const policy::AuthSettings* auth_of_standing() const;  // null: it has no identity
  Result<void> judge_renewal(const policy::Authenticated& fresh) const;
  void start_renewing();
  Renewal* renewal() const { return rare_ ? rare_->renewal.get() : nullptr; }
  void plan_warning();
  bool warn(Instant time);
  void inspect_up(const relay::Preview& message);
  void tend_renewal();
  void check_fresh(Secret token);
  void answer_refresh(const Result<void>& renewed, const policy::Identity* identity = nullptr);
  void say_notices(Leg& writer);

  // ---- per message: legs are opened when they are first chosen (session/spread.cc) ----
  void pump_legs(relay::Budget& budget);
  void start_spreading();
  void start_reading(Leg& first);
  void read_message(const relay::Preview& preview);
  void read_answer(const Leg& leg, const relay::Preview& preview);
  net::Stream* leg_for(const relay::Run& run);
  bool legs_ready();
  net::Stream* aim();
  net::Stream* way_of(relay::Batch& batch, Bytes octets, const net::Stream* with);
  net::Stream* deal(relay::Batch& batch, Bytes octets);
  bool is_target(const Leg& leg) const;  // the message at hand runs to it
  bool target_gone() const;
  void retire_targets();
  void choose_legs();
  Leg* choose_leg();
  Leg* open_leg_of_group();
  bool room_for_leg() const;
  const upstream::Cluster& cluster_of(const Leg& leg) const;
  ServerBook& book_of(const Leg& leg) const;
  Leg* leg_of(const upstream::Server& server) const;
  Leg* open_leg(const std::shared_ptr<upstream::Server>& server);
  void tend_legs();
  void tend_fan();
  void advance_chosen_leg(Leg& leg);
  void join_leg(Leg& leg);
  void drop_chosen_leg(Leg& leg, bool failed);
  void rest(const upstream::Server& server);
  bool enter_gate(Leg& leg, bool begins);
  void leave_gate(Leg& leg);

  // ---- closing (session/closing.cc) ----
  // The gateway ends both sides. `words`: the reason of the Close, where it is not the error's name.
  void end(Error error, Side initiator, std::string_view words = {});
  void end_kicked(const Kick& kick, Error error);
  bool on_client_close(const ws::CloseContent& close);         // true: the frame itself is forwarded
  bool on_leg_close(Leg& leg, const ws::CloseContent& close);  // likewise
  void on_client_end();
  void on_leg_end(Leg& leg, bool in_order);
  void leg_died(Leg& leg, Error error);
  void leave_server(Leg& leg, Errc why);         // it does not want the session any more
  void leg_left(Leg& leg);
  Errc unwanted(const Leg& leg) const;           // why its server does not; none: it does
  void take_leave(Error error);                  // Close at a message boundary; the client's messages still pass
  void retire_leg(Leg& leg);
  void cut_client();
  void close_legs(std::uint16_t code);
  void closing_until(Duration wait);
  void emit();                                   // due control frames, where boundaries allow
  void emit_to_client();
  void emit_to_leg(Leg& leg);
  bool tell_leg(Leg& leg, Bytes frame);
  bool client_done() const;
  bool leg_done(const Leg& leg) const;
  Step settle_closing();
  void note_close(std::uint16_t code, Side initiator, std::string_view reason);

  Instant now() const { return house_.loop.now(); }
  // What few connections need, most of them never.
  struct Rare {
    std::string close_reason;        // of the Close that is due to the client
    std::string pong;                // newest unanswered ping's payload
    std::unique_ptr<Renewal> renewal;     // where its [auth] asks for one
    std::unique_ptr<MessageGuard> guard;  // where `guarded_`: on routes with rules for messages
    Rare();
    ~Rare();
  };
  Rare& rare() {
    if (!rare_) rare_ = std::make_unique<Rare>();
    return *rare_;
  }
  const config::WebSocketSettings& rules() const { return route_->compiled->settings->websocket; }
  bool per_message() const { return route_->compiled->plan.when == config::RouteWhen::each_message; }
  bool away() const { return revival_ && revival_->away(); }
  const ws::TcpFraming& framing() const { return route_->compiled->cluster->settings().framing; }
  MessageGuard* guard(Direction way) const;               // null: no message of that direction is guarded
  relay::Appetite appetite(Direction way) const;          // of who reads messages of that direction
  std::optional<Verdict> denied_message(Direction way);   // of the one that was read last; none: it may pass
  bool tcp() const { return route_->compiled->plan.up == config::FramerKind::ws_to_tcp; }
  void log_open(int status, const Error* error);
  void log_close();

  House& house_;
  net::Ready& ready_;
  net::Stream& client_;
  std::shared_ptr<const Runtime> runtime_;
  const RouteRuntime* route_ = nullptr;
  const ListenerRuntime* listener_;
  std::unique_ptr<Opening> opening_;   // until the first leg is open and the client is answered
  std::unique_ptr<LegPlan> leg_plan_;  // kept where further legs may be opened
  std::unique_ptr<Exchange> exchange_;   // of a plain request
  std::unique_ptr<event::Timer> timer_;  // only while something short is awaited
  std::vector<std::unique_ptr<Leg>> legs_;
  std::vector<policy::Permit> permits_;

  // The direction client → upstream, and who may pass in it.
  UpLane up_lane_{*this};
  std::unique_ptr<relay::Framer> up_framer_;
  std::optional<relay::Relay> up_;
  Leg* gate_ = nullptr;                // per message: the leg that writes to the client now
  Leg* target_ = nullptr;              // the leg of the message at hand; null: several (Spread::fan)
  std::unique_ptr<Spread> spread_;     // per message
  std::unique_ptr<Recheck> recheck_;   // where an external check is asked again
  std::unique_ptr<Revival> revival_;   // where the client survives the loss of its leg

  Standing::Owner standing_;           // null: it has no identity
  Record record_;                      // what the close line says
  Phase phase_ = Phase::admit;
  Phase after_flush_ = Phase::done;
  bool spent_ : 1 = false;
  bool guarded_ : 1 = false;
  bool relaying_counted_ : 1 = false;
  bool gate_freed_ : 1 = false;
  bool served_ : 1 = false;            // an endpoint's answer has left, and its client's connection stays

  // Closing and liveness of the client's side.
  bool client_close_in_ : 1 = false;
  bool client_close_out_ : 1 = false;
  bool client_close_due_ : 1 = false;
  bool client_end_due_ : 1 = false;     // no Close can be sent: its stream ends once what was sent has left
  bool client_gone_ : 1 = false;        // its stream is dead or closed
  bool client_cut_ : 1 = false;         // nothing it sends is read any more
  bool draining_ : 1 = false;           // it takes its leave: its messages still pass until its own Close
  bool ending_ : 1 = false;
  bool pong_due_ : 1 = false;
  bool ping_due_ : 1 = false;
  std::uint16_t client_close_code_ = 1000;
  std::uint16_t expiry_close_code_ = 0;
  std::uint16_t close_override_ = 0;  // a configured code in place of the table's
  std::array<std::uint32_t, 2> kept_{};  // [Direction]: octets that waited at the last look
  std::uint32_t lingered_ = 0;        // octets read and dropped after the end
  std::unique_ptr<Rare> rare_;
  std::uint64_t ping_mark_ = 0;
  Instant ping_sent_{};
  Instant last_client_in_{};
  Instant last_data_{};
  Instant client_jammed_since_{};
  std::size_t client_undelivered_ = 0;
  Instant expires_ = kNever;        // token
  Instant retires_ = kNever;        // max_lifetime
  Instant born_{};
  Instant deadline_ = kNever;       // of the phase at hand or of the closing
  Instant boundary_deadline_ = kNever;
};

}  // namespace sluice::session
