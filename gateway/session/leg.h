// Leg: the chosen upstream side of a session, from connect to its verified 101, and then the direction upstream → client.
//
//     connecting → greeting (head out, head in) → open → closed
//                        └─ refused: a final answer other than 101, kept to be relayed
//
// It never retries: the Session owns the list of candidates and makes another Leg.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/recycled.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "net/stream.h"
#include "relay/relay.h"
#include "session/lane.h"
#include "session/front.h"
#include "upstream/backend.h"
#include "ws/handshake.h"

namespace sluice::session {

// What a leg needs to open. Owned by the Session until the leg is open.
struct LegPlan {
  const upstream::BackendSettings* backend = nullptr;
  const net::TlsClient* tls = nullptr;
  ServerBook* servers = nullptr;
  std::string head_before_key;  // the upgrade head up to and including "Sec-WebSocket-Key: "
  std::string head_after_key;
  std::string preamble;                // PROXY header, ahead of everything
  std::vector<net::Address> addresses;  // that the client named, in place of the server's own
  std::string name;                    // what its certificate must be for then
  std::vector<std::string_view> subprotocols;  // what the head offers
  std::vector<std::string_view> extensions;
  bool plain = false;  // no upgrade: the leg is open once it is connected, and head_before_key is the whole head
};

// A final answer of an upstream that was not 101 (RFC 6455 §4.1): relayed to the client, then everything closes.
struct Refusal {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
};

class Leg : public Recycled<Leg> {
 public:
  enum class State : std::uint8_t { connecting, greeting, refusing, open, closed };

  Leg(House& house, upstream::ServerUse use, net::Ready& owner);
  // On a connection that stands already.
  Leg(House& house, upstream::ServerUse use, net::Ready& owner, std::unique_ptr<net::Stream> stream);
  ~Leg();

  // Starts the first address; false when none could be tried. TCP and TLS must stand `within` that time.
  bool start(const LegPlan& plan, Duration within);
  // Moves on as far as it can. After an Error the leg is dead. State::open or refusing with complete() ends the opening.
  Result<State> advance(const LegPlan& plan);
  // The opening's deadline passed: which error that is depends on how far it got.
  Error timed_out() const;
  // When the phase at hand must be over (kNever once open, unless it is to be left).
  Instant deadline() const { return deadline_; }
  // Per message: no message goes there any more, and Close is exchanged by then.
  void leave_by(Instant when) { deadline_ = when; }
  bool leaving() const { return state_ == State::open && deadline_ != kNever; }

  State state() const { return state_; }
  // Whether its server could be reached, whatever came then.
  bool reached() const { return stream_ != nullptr; }
  bool refused() const { return opening_ && opening_->answered; }
  Refusal take_refusal() { return std::move(opening_->refusal); }
  ws::Agreement take_agreement() { return std::move(opening_->agreement); }
  std::vector<std::pair<std::string, std::string>> take_answer_fields() { return std::move(opening_->refusal.fields); }
  // How long it has tried to reach its server in vain.
  Duration wasted() const;
  Duration connect_time() const { return opening_ ? opening_->connected - opening_->started : Duration{}; }

  // From open on.
  net::Stream& stream() { return *stream_; }
  const net::Stream& stream() const { return *stream_; }
  upstream::Server& server() const { return *use_.get(); }
  // Gives its stream away; the leg is closed then.
  std::unique_ptr<net::Stream> release();
  // Ends the opening for an owner that relays by itself: frees what only the opening needed.
  void settle() { opening_.reset(); }
  // The session leaves it: its server is counted without it from now on.
  void count_off() { use_.leave(); }
  // Ends the opening: frees what only it needed and joins the relay.
  void relay_through(std::unique_ptr<relay::Framer> framer, Session& session);
  relay::Relay& relay() { return *relay_; }
  // Towards the client, whether or not the upstream still lives.
  bool at_frame_boundary() const { return !relay_ || relay_->at_frame_boundary(); }
  bool at_message_boundary() const { return !relay_ || relay_->at_message_boundary(); }
  // It has joined the relay: what the gateway itself says to the client can go through it, even when it is lost.
  bool writes() const { return relay_.has_value(); }
  bool flush_owed() { return !relay_ || relay_->flush_owed(); }
  bool inject(net::Stream& client, Bytes frame) { return relay_ && relay_->inject(client, frame); }
  std::string_view agreed_subprotocol() const { return opening_->agreement.subprotocol; }
  bool relaying() const { return relay_.has_value() && state_ == State::open; }
  // A control frame of the gateway's own to an upstream that no message runs to; false when it takes nothing now. What is
  // taken in part is kept, and goes before anything else.
  bool tell(Bytes frame);
  // Sends what is kept of it; true when all has left.
  bool flush_told();
  bool owes_told() const { return told_ != nullptr; }

  void close();
  void abort();

  // Closing and liveness, kept by the Session.
  bool deaf : 1 = false;       // it broke the protocol: nothing that it sends is read any more
  bool close_in : 1 = false;   // its Close (or, for TCP, its end) has been received
  bool close_out : 1 = false;  // a Close has been sent or forwarded to it
  bool close_due : 1 = false;  // a Close of the gateway's own waits for a frame boundary
  bool pong_due : 1 = false;
  bool ping_due : 1 = false;
  std::uint8_t group = 0;      // Spread::groups
  std::uint16_t close_code = 1001;

 private:
  State state_ = State::closed;  // here, where it costs no word of its own

 public:
  Instant last_in{};
  Instant jammed_since{};   // of the direction client → this leg; zero: not jammed
  std::size_t undelivered = 0;
  Instant ping_sent{};      // zero: none is outstanding
  std::uint64_t ping_mark = 0;
  std::unique_ptr<std::string> pong;  // newest unanswered ping's payload

 private:
  struct Opening {
    Instant started{};
    Instant connected{};
    std::unique_ptr<net::Connector> connector;
    std::size_t next_address = 0;
    std::vector<net::Address> addresses;
    std::string key;
    std::string out;             // head that waits to leave
    http::HeadParser parser{http::HeadParser::Kind::response};
    http::Head head;
    unsigned interim = 0;        // 1xx answers seen
    bool head_done = false;
    http::BodyLength body;
    http::ChunkedDecoder chunks{Side::upstream};
    ws::Agreement agreement;
    Refusal refusal;
    bool answered = false;       // refusal is complete
  };

  Result<void> next_address(const LegPlan& plan, Error last);
  Result<State> connect(const LegPlan& plan);
  Result<State> connected(const LegPlan& plan);
  Result<State> greet();
  Result<State> on_head(const LegPlan& plan);
  Result<State> read_refusal();
  Result<bool> read_chunks();
  Error stream_error(Errc code, const char* detail) const;

  House& house_;
  upstream::ServerUse use_;
  net::Ready& owner_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<relay::Framer> framer_;
  std::optional<DownLane> lane_;  // who may pass from here to the client
  std::optional<relay::Relay> relay_;
  std::unique_ptr<std::string> told_;  // rest of a control frame
  Instant deadline_ = kNever;
};

}  // namespace sluice::session
