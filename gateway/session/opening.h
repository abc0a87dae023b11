// Opening: what a session needs until the client has its answer. Record: what it remembers for the close line.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/recycled.h"
#include "http/forwarded.h"
#include "http/head.h"
#include "http/request.h"
#include "policy/authenticator.h"
#include "policy/header_rules.h"
#include "session/connect_budget.h"
#include "session/leg.h"
#include "session/pending.h"
#include "upstream/sticky.h"
#include "session/target_search.h"
#include "ws/handshake.h"

namespace sluice::session {

// What names a connection in logs.
struct Words {
  std::string id;
  std::string client;  // its IP address
  std::string path;
  std::string subject;
  std::string subprotocol;
};

class Authentication;
class Endpoint;
class FirstMessage;

struct Opening : Recycled<Opening> {
  Words words;
  std::string out;               // an answer that waits to leave
  http::Head head;               // views into the client's received bytes, which do not move until the answer
  std::optional<Error> bad_head;  // it could not be parsed or did not come: only to be refused
  std::size_t head_size = 0;     // octets to consume then
  std::string head_text;         // of a plain request: where the views lead from then on
  bool last_request = true;      // of its connection: there will be no other after it
  http::Request request;
  http::BodyLength body;         // how the request's is delimited
  bool trusted = false;          // the peer is a trusted proxy
  http::ForwardedStyle forwarded = http::ForwardedStyle::x_forwarded;  // the listener's
  ws::Offer offer;
  bool websocket = false;        // the handshake itself is valid
  policy::Authenticated authenticated;
  bool has_identity = false;
  policy::Scrubbed scrubbed;
  std::vector<std::string_view> subprotocols;  // what may be offered upstream
  std::string chosen_subprotocol;              // answered when no upstream chooses (TCP, early acceptance)
  std::vector<std::string_view> extensions;    // what is offered upstream
  std::vector<std::pair<std::string, std::string>> identity_fields;
  policy::FieldList request_fields;   // what the route's rules set on the way up
  policy::FieldList response_fields;  // and on the way back
  std::string stripped_path;          // the path that goes up on a route with strip_prefix
  std::unique_ptr<TargetSearch> target;        // on routes where the client names its server
  std::vector<std::shared_ptr<upstream::Server>> candidates;
  std::size_t next_candidate = 0;
  bool fresh_only = false;       // a plain request whose idle connection had ended
  Instant deadline = kNever;     // of the upstream's opening, over all candidates
  ConnectBudget connecting;      // and what connecting may take of it
  Pending pending;               // while no server can take it
  std::uint64_t key_hash = 0;
  upstream::StickyServer sticky;  // what the client's own cookie says
  Error last_error{};
  std::optional<Refusal> refusal;  // what another said to the client in place of our own words
  Duration retry_after{};
  std::string_view allow = "GET";  // methods, of an answer 405; a literal
  Instant started{};
  std::unique_ptr<Endpoint> endpoint;  // of a request that the gateway answers itself
  std::vector<std::pair<std::string, std::string>> own_fields;  // that its answer has, whatever that is
  std::unique_ptr<Authentication> authentication;  // while the credential is checked
  Instant authentication_began{};
  std::optional<Duration> authentication_took;
  std::unique_ptr<FirstMessage> first_message;     // from then on the client has its 101, and waits to be let in
  ws::Agreement agreement;
  std::vector<std::pair<std::string, std::string>> answer_fields;

  bool accepted() const { return first_message != nullptr; }

  Opening();
  ~Opening();
  // Copies the head, so that its octets may be consumed.
  void keep_head(Bytes received);
  // A further request may follow on the client's connection, as far as its side goes.
  bool persistent() const;
};

// Kept for as long as the connection, so small: its words lie in one block of exactly their size.
class Record {
 public:
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t key_hash = 0;  // for legs that open later
  Error error{};
  std::uint16_t close_code = 0;
  Side initiator = Side::gateway;
  bool rate_limited = false;
  std::unique_ptr<std::string> close_reason;  // of whoever closed first, when there was one

  void keep(const Words& words);
  std::string_view id() const { return word(0); }
  std::string_view client() const { return word(1); }
  std::string_view path() const { return word(2); }
  std::string_view subject() const { return word(3); }
  std::string_view subprotocol() const { return word(4); }

 private:
  static constexpr std::size_t kWords = 5;
  std::string_view word(std::size_t index) const;
  std::unique_ptr<char[]> text_;
  std::array<std::uint16_t, kWords> ends_{};
};

}  // namespace sluice::session
