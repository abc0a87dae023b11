// Tallies: what is counted, one copy per worker (base/counters.h), summed by a scrape. The labels of each are the names
// of configured things and compiled-in enums, never anything that a client sent.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/counters.h"
#include "base/error.h"
#include "base/time.h"
#include "policy/auth.h"
#include "policy/revocations.h"

namespace sluice::session {

enum class Direction : std::uint8_t { up, down };  // up: client → upstream. Label values "in" and "out"

// Result label of sluice_handshakes_total.
enum class Outcome : std::uint8_t {
  accepted, bad_request, unauthorized, forbidden, origin, rate_limited, no_backend, backend_refused, timeout, other,
};
inline constexpr std::array<std::string_view, 10> kOutcomeNames{
    "accepted",     "bad_request", "unauthorized",    "forbidden", "origin",
    "rate_limited", "no_backend",  "backend_refused", "timeout",   "other"};

// Close codes as a bounded label: 1000-1015 by number, then the two private ranges.
inline constexpr std::size_t kCloseLabels = 19;
std::size_t close_label(std::uint16_t code);
std::string_view close_label_name(std::size_t index);

// Requests that were answered without an upgrade, by the methods and statuses that are known (RFC 9110 and the registry);
// any others, which clients and backends may make up, share one label.
class RequestTally {
 public:
  static constexpr std::array<std::string_view, 8> kMethods{"GET",    "HEAD",    "POST",  "PUT",
                                                            "DELETE", "OPTIONS", "PATCH", "other"};
  static constexpr std::array<std::uint16_t, 57> kStatuses{
      200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401,
      402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424,
      425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511};
  void count(std::string_view method, int status, std::size_t octets, Duration took);
  // `status` == kStatuses.size(): all others.
  const Counter& answered(std::size_t method, std::size_t status) const { return answered_[method][status]; }
  const Counter& octets() const { return octets_; }
  const Histogram<14>& seconds() const { return seconds_; }

 private:
  std::array<std::array<Counter, kStatuses.size() + 1>, kMethods.size()> answered_;
  Counter octets_;  // of heads and bodies
  Histogram<14> seconds_{kSecondsBounds};
};

// How a client's leg was replaced, or why it was not: label `result` of sluice_revivals_total.
enum class Revived : std::uint8_t {
  revived,    // another server took over from one that was lost
  moved,      // likewise from one that was to be left
  timeout,    // none did in time
  in_flight,  // a message of the client was on its way and could not be sent again
  half_sent,  // the server was lost inside a message to the client
  abandoned,  // the client left or was closed meanwhile
};
inline constexpr std::array<std::string_view, 6> kRevivedNames{"revived",   "moved",     "timeout",
                                                               "in_flight", "half_sent", "abandoned"};

// Why a message that was taken from a client reached no server: label `reason` of sluice_messages_dropped_total.
enum class Dropped : std::uint8_t { in_flight, no_server, closing };
inline constexpr std::array<std::string_view, 3> kDroppedNames{"in_flight", "no_server", "closing"};

struct RouteTally {
  std::array<Counter, kOutcomeNames.size()> handshakes;
  Histogram<14> handshake_seconds{kSecondsBounds};
  Gauge connections;
  Histogram<8> lifetime_seconds{kLifetimeBounds};
  std::array<std::array<Counter, kCloseLabels>, 3> closes;  // [initiator][code]
  struct Flow {
    std::array<Counter, 2> messages;  // text, binary
    Counter bytes;                    // payload
    SizeHistogram sizes;
    Counter pauses;                   // times the source was left unread because the sink was full
    Counter paused;                   // nanoseconds of them that are over
    Gauge buffered;                   // octets that wait in this direction
  };
  std::array<Flow, 2> flow;  // [Direction]
  std::array<Counter, kErrcCount> invalid;  // frames refused, by reason
  RequestTally requests;
  Counter discarded_closing;  // messages_discarded_total{reason="closing"}
  Counter discarded_limit;    // messages_discarded_total{reason="rate_limit"}
  Counter discarded_race;     // messages_discarded_total{reason="race"}: another server had answered
  Counter unread;             // messages too large for what reads them
  Counter fan_skipped;        // servers that a message for all did not go to
  Counter slow_consumers;
  std::array<Counter, kRevivedNames.size()> revivals;  // [Revived]
  std::array<Counter, kDroppedNames.size()> dropped;   // [Dropped]
};

// One rule of a route for messages; a further one stands for those that none matched.
struct RuleTally {
  Counter messages;
};

// What a client connection speaks now: label `protocol` of sluice_connections. tls: its TLS handshake.
enum class Protocol : std::uint8_t { tls, http1, websocket, tcp };
inline constexpr std::array<std::string_view, 4> kProtocolNames{"tls", "http1", "websocket", "tcp"};

struct ListenerTally {
  std::array<Gauge, kProtocolNames.size()> connections;  // [Protocol]
  std::int64_t all_connections() const;
  Counter accepted;
  std::array<Counter, kErrcCount> rejected;  // before there was a request: limit, emfile, draining
  // tls_handshakes_total: [TLS 1.2, 1.3][full, resumed] done, and failures
  std::array<std::array<Counter, 2>, 2> tls;
  Counter tls_failed;
  std::array<Counter, 2> raw_octets;  // [Direction]; of protocol = "tcp"
  Histogram<14> tls_seconds{kSecondsBounds};
};

struct WorkerTally {
  std::array<Counter, kErrcCount> rejects;  // sluice_rejects_total{stage,reason}
  // By AuthSettings::Type: auth_total by reason, [none] = ok, and how long it took.
  struct Auth {
    std::array<Counter, kErrcCount> results;
    Histogram<14> seconds{kSecondsBounds};
  };
  std::array<Auth, policy::AuthSettings::kTypeNames.size()> auth;
  Counter token_cache_hits;
  // One-time tickets, and words of an issuer that somebody has logged out.
  enum class Ticket : std::uint8_t { issued, used, refused, unavailable };
  static constexpr std::array<std::string_view, 4> kTicketNames{"issued", "used", "refused", "unavailable"};
  std::array<Counter, kTicketNames.size()> tickets;  // [Ticket]
  enum class Logout : std::uint8_t { done, refused, failed };
  static constexpr std::array<std::string_view, 3> kLogoutNames{"done", "refused", "failed"};
  std::array<Counter, kLogoutNames.size()> logouts;  // [Logout]
  std::array<Counter, kErrcCount> refreshes;  // of live connections, by reason, [none] = ok
  Histogram<14> lag_seconds{kSecondsBounds};
  std::array<Counter, policy::Revocation::kKindNames.size()> revoked;  // sessions that were kicked, by kind
  Gauge handshaking;  // connections that are not relaying yet
  // Round trip of the gateway's own pings, to clients and to upstreams.
  std::array<Histogram<14>, 2> ping_seconds{Histogram<14>{kSecondsBounds}, Histogram<14>{kSecondsBounds}};
};

// One server of a backend.
struct ServerTally {
  Counter connected;
  Counter connect_failures;                       // no connection came about, on any of its addresses
  Histogram<14> connect_seconds{kSecondsBounds};  // of those that did, without TLS
  Counter retries;                                // its failure led to a further candidate
  Counter reused;                                 // plain requests on a connection that had served before
};

}  // namespace sluice::session
