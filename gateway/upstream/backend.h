// Backend and Server: what the configuration says of an upstream, and the live state of each of its servers.
//
// Settings are plain and immutable. State (Server) is shared by all workers and all snapshots by identity (backend name +
// URL), so that a reload forgets neither connection counts nor health.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/address.h"
#include "net/socket.h"
#include "upstream/load.h"
#include "ws/tcp_framing.h"

namespace sluice::net {
enum class Lookup : std::uint8_t;  // net/resolver.h
}

namespace sluice::upstream {

enum class Scheme : std::uint8_t { ws, wss, tcp, tls, http, https };
constexpr bool serves_http(Scheme scheme) { return scheme == Scheme::http || scheme == Scheme::https; }
// TLS towards the server.
constexpr bool encrypted(Scheme scheme) {
  return scheme == Scheme::wss || scheme == Scheme::tls || scheme == Scheme::https;
}
// The server speaks no WebSocket: its octets become messages (ws/tunnel.h).
constexpr bool bridged(Scheme scheme) { return scheme == Scheme::tcp || scheme == Scheme::tls; }

// A server that answers for a service behind it which failed does not serve; any other answer says that it does.
constexpr bool serves(int status) { return status < 502 || status > 504; }

// What a server is there for, by configuration or by an operator. drain: no new sessions, those that it has live on; down:
// none at all, where the route says so.
enum class Duty : std::uint8_t { ready, drain, down };
inline constexpr std::array<std::string_view, 3> kDutyNames{"ready", "drain", "down"};

// How the servers of one entry are found: it is one server itself, or each address of its name is one, or each SRV record.
enum class Discovery : std::uint8_t { none, addresses, services };

// Host of a server that clients name (upstream/target_rules.h): it stands for all of them, in counts, limits and labels.
inline constexpr std::string_view kNamedByClient = "*";

struct ServerSettings {
  std::string url;   // as configured: its identity
  Scheme scheme = Scheme::ws;
  std::string host;  // name or literal without brackets; empty with `unix_path`
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  Duty duty = Duty::ready;  // the key `state`
  Discovery discovery = Discovery::none;
  bool backup = false;                // serves only while none of the others can
  std::uint32_t max_connections = 0;  // 0 = any number
  std::string unix_path;  // of a unix socket; empty: host and port
};
// HOST:PORT, an IPv6 address in brackets (RFC 3986 §3.2).
std::string authority(const std::string& host, std::uint16_t port);
// The server's address where it needs no resolving; nullopt for a name.
std::optional<net::Address> literal_address(const ServerSettings& server);

enum class Policy : std::uint8_t { round_robin, least_connections, random_two, consistent_hash };
enum class Unit : std::uint8_t { connection, message };

// What consistent_hash hashes: `kind:name`.
struct HashKey {
  enum class Kind : std::uint8_t { ip, header, cookie, query, path, claim, json };
  Kind kind = Kind::ip;
  std::string name;       // header, cookie, parameter or claim
  std::uint32_t segment = 0;  // for path: 0 = the whole path, N = its Nth segment from 1
  std::optional<JsonPointer> pointer;  // for json: into each message
};

struct UpstreamTls {
  std::string ca;           // PEM text; empty: the system's store
  std::string certificate;  // PEM text of a client certificate, and its key
  Secret key;
  std::string server_name;  // SNI and verified name; empty: the URL's host
  const std::string& name_for(const std::string& host) const { return server_name.empty() ? host : server_name; }
};

struct StatusRange {
  int from = 200;
  int to = 299;
};

// The active check of each server (upstream/health_check.h).
struct HealthSettings {
  enum class Type : std::uint8_t { tcp, http, websocket };
  bool active = false;
  Type type = Type::tcp;
  std::string path = "/";
  std::string host;  // Host; empty: the server's
  std::vector<StatusRange> status{{200, 299}};
  std::vector<std::pair<std::string, std::string>> headers;
  std::uint32_t jitter = 20;  // percent of the interval, to both sides
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);
  std::uint32_t rise = 2;
  std::uint32_t fall = 3;
};

// The PROXY header that its servers are sent ahead of everything else.
struct ProxySettings {
  enum class Version : std::uint8_t { off, v1, v2 };
  Version version = Version::off;
  // What version 2 says beside the addresses.
  bool alpn = false;
  bool authority = false;
  bool unique_id = false;
  bool tls = false;
  bool identity = false;
};

struct EjectionSettings {
  std::uint32_t failures = 3;  // in a row; 0 = never eject
  Duration base = std::chrono::seconds(10);  // doubles with each ejection
  Duration most = std::chrono::seconds(300);
  std::uint32_t max_percent = 50;
  std::uint32_t panic = 50;  // percent ejected above which the ejected are used all the same; 0 = never
};

// Clients that wait while no server can take them.
struct PendingSettings {
  std::uint32_t max = 0;  // 0 = none waits
  Duration timeout = std::chrono::seconds(10);
};

// A cookie of the gateway's own by which a client comes back to its server (upstream/sticky.h).
struct StickySettings {
  enum class SameSite : std::uint8_t { lax, strict, none };
  enum class Secure : std::uint8_t { automatic, on, off };  // automatic: when the client came by TLS

  std::string cookie;        // its name; empty: not sticky
  Duration ttl{};            // 0: for as long as the browser runs
  Secret secret;             // what it is signed with; empty: the registry fills in one of its own
  std::string path = "/";
  std::string domain;        // empty: the host that set it, and no other
  SameSite same_site = SameSite::lax;
  Secure secure = Secure::automatic;
};

// Idle connections that one worker keeps for further requests.
struct PoolSettings {
  std::uint32_t max_idle = 64;  // to one server; 0 = each request has its own
  Duration idle_timeout = std::chrono::seconds(30);
  Duration max_age = std::chrono::minutes(10);  // 0 = any
};

// Sessions of the fullest servers are closed until the others have their share (upstream/rebalance.h).
struct RebalanceSettings {
  double rate = 0;       // sessions a second; 0: off
  double threshold = 0;  // 0.1: when the fullest exceeds its share by more than a tenth
  bool on() const { return rate > 0; }
};

// Most legs of one client.
inline constexpr std::size_t kMostLegs = 64;

struct BackendSettings {
  std::string name;
  std::vector<ServerSettings> servers;
  Policy policy = Policy::round_robin;
  Unit unit = Unit::connection;
  HashKey key;
  std::uint32_t max_load = 0;  // of consistent_hash, in percent of a server's share; 0: unbounded
  std::uint32_t max_legs = 0;  // per-message mode; 0: most_legs() decides
  Duration connect_timeout = std::chrono::seconds(3);
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration open_timeout = std::chrono::seconds(20);  // of both together, over all candidates
  std::uint32_t retries = 2;   // further candidates after the first
  UpstreamTls tls;
  net::SocketOptions socket;
  ws::TcpFraming framing;  // of bridged servers
  HealthSettings health;
  EjectionSettings ejection;
  RebalanceSettings rebalance;
  StickySettings sticky;
  PoolSettings pool;
  Duration slow_start{};              // 0 = off
  std::uint32_t max_connections = 0;  // 0 = any number
  PendingSettings pending;
  BreakerSettings breaker;
  ProxySettings proxy;

  // Whether any server is spoken TLS to.
  bool encrypted() const;
  // Legs of a session in per-message mode.
  std::size_t most_legs() const;
  // What stands in a message decides which server it goes to.
  bool keyed_by_content() const;
};

// How lookups of a name went; for labels, in the order of net::Lookup.
struct Lookups {
  static constexpr std::array<std::string_view, 5> kResultNames{"ok", "nxdomain", "empty", "timeout", "failed"};
  std::array<std::atomic<std::uint64_t>, kResultNames.size()> results{};
  // Monotonic ns until which the last good answer may be used, or since which the name is asked for in vain; 0: never asked.
  std::atomic<std::int64_t> good_until{0};

  void count(net::Lookup result) { results[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed); }
  bool any() const { return good_until.load(std::memory_order_relaxed) != 0; }
  // How far the answer in use has outlived its time.
  Duration stale(Instant now) const {
    if (!any()) return {};
    return std::max(now.time_since_epoch() - Duration(good_until.load(std::memory_order_relaxed)), Duration::zero());
  }
};

// Live state of one server. All members may be read and written from any thread.
class Server : public std::enable_shared_from_this<Server> {
 public:
  // `load` is that of its backend.
  explicit Server(ServerSettings settings, std::shared_ptr<Load> load = std::make_shared<Load>());
  const ServerSettings& settings() const { return settings_; }
  Load& load() const { return *load_; }
  // Addresses to connect to, in order; empty while the name has not been resolved.
  std::vector<net::Address> addresses() const;
  void set_addresses(std::vector<net::Address> addresses);

  // Main thread only: what the newest configuration that names the server says, and what an operator said beside it. An
  // operator's word counts, over reloads too, until it is taken back (nullopt).
  void configure(const ServerSettings& settings);
  void command_weight(std::optional<std::uint32_t> weight);
  void command_duty(std::optional<Duty> duty);
  std::optional<std::uint32_t> commanded_weight() const { return commanded_weight_; }
  std::optional<Duty> commanded_duty() const { return commanded_duty_; }

  // What counts now. Balancers read these, because settings() stay what they were when the server was first named.
  // Weight 0 = no new connections.
  std::atomic<std::uint32_t> weight;
  std::atomic<Duty> duty;
  std::atomic<bool> backup;
  std::atomic<std::uint32_t> max_connections;
  bool full() const {
    const std::uint32_t most = max_connections.load(std::memory_order_relaxed);
    return most != 0 && active.load(std::memory_order_relaxed) >= most;
  }

  // Slow start. A server that could not serve is cold; from the first look at it once it can, its share of its weight rises
  // from kLeastShare to kFullShare over `rise`.
  static constexpr std::uint32_t kFullShare = 20;
  static constexpr std::uint32_t kLeastShare = 2;
  std::atomic<bool> cold{false};
  std::atomic<std::uint32_t> share{kFullShare};
  // What its weight counts now, in parts of kFullShare. Not 0, so that it may be divided by: that a server of weight 0 is given
  // nothing is the Cluster's business.
  std::uint64_t weighs() const {
    return std::max<std::uint64_t>(1, weight.load(std::memory_order_relaxed)) * share.load(std::memory_order_relaxed);
  }
  void warm(Instant now, Duration rise);

  std::atomic<std::uint32_t> active{0};     // connections (legs) now, counted by ServerUse
  std::atomic<std::uint32_t> held{0};       // of these, and of those that rest in pools
  std::atomic<std::uint32_t> leaving{0};    // of the active ones, those of sessions that were told to leave
  // Written by the Rebalancer: sessions that are to leave, and how many the server may have meanwhile (0: any number).
  std::atomic<std::uint32_t> to_shed{0};
  std::atomic<std::uint32_t> share_limit{0};
  std::atomic<std::uint64_t> shed{0};       // sessions that left for it
  std::atomic<std::uint64_t> connects{0};   // successes and failures that Cluster::report was told
  std::atomic<std::uint64_t> failures{0};
  std::atomic<bool> healthy{true};          // by active check
  void set_healthy(bool fit);
  std::atomic<std::uint64_t> checks_passed{0};
  std::atomic<std::uint64_t> checks_failed{0};
  Lookups lookups;  // of its name
  // The configuration in force does not name it any more, or the DNS does not.
  std::atomic<bool> vanished{false};
  // Monotonic ns until which it is ejected; 0 = not.
  std::atomic<std::int64_t> ejected_until{0};
  std::atomic<std::uint32_t> failures_in_row{0};
  std::atomic<std::uint32_t> ejections_in_row{0};

  // Whether and why not it may be given connections; all of them, for labels, in the order of State.
  enum class State : std::uint8_t { up, ejected, down, unresolved, disabled, drain, vanished };
  static constexpr std::array<std::string_view, 7> kStateNames{"up",       "ejected", "down",    "unresolved",
                                                               "disabled", "drain",   "vanished"};
  State state(Instant now) const;

  // Nothing but an ejection keeps new connections from it.
  bool eligible() const;
  bool usable(Instant now) const { return eligible() && !ejected(now); }
  bool ejected(Instant now) const;
  // Whether a client that was with it may come back: when it is drained, or its weight is 0, as well.
  bool takes_back(Instant now) const { return !down() && resolved() && !ejected(now); }
  // By an operator, the configuration, the active check, or because nothing leads to it any more: it may have to give up the
  // sessions that it has.
  bool down() const {
    return duty.load(std::memory_order_relaxed) == Duty::down || !healthy.load(std::memory_order_relaxed) ||
           vanished.load(std::memory_order_relaxed);
  }
  std::uint32_t staying() const {
    const std::uint32_t all = active.load(std::memory_order_relaxed);
    return all - std::min(all, leaving.load(std::memory_order_relaxed));
  }
  // Has its share of sessions, while the backend is rebalanced.
  bool has_its_share() const {
    const std::uint32_t most = share_limit.load(std::memory_order_relaxed);
    return most != 0 && staying() >= most;
  }
  // True: the session that asks is one to be shed.
  bool claim_shed();
  // Whether there is an address to connect to.
  bool resolved() const { return resolved_.load(std::memory_order_acquire); }

 private:
  ServerSettings settings_;
  std::shared_ptr<Load> load_;
  std::atomic<std::int64_t> warm_since_{0};  // monotonic ns; 0: its share is full
  std::uint32_t configured_weight_;
  Duty configured_duty_;
  std::optional<std::uint32_t> commanded_weight_;
  std::optional<Duty> commanded_duty_;
  std::atomic<bool> resolved_{false};
  mutable std::mutex mutex_;
  std::vector<net::Address> addresses_;
};

// Counts one leg on its server and its backend while it lives. Movable.
class ServerUse {
 public:
  ServerUse() = default;
  explicit ServerUse(std::shared_ptr<Server> server);  // whatever the limits are
  // Of a connection that rests (upstream/pool.h): it is held, and not active.
  static ServerUse resting(std::shared_ptr<Server> server);
  // Nobody's where the server is full, or the backend with `most` of all its servers (0: any number).
  static ServerUse within(std::shared_ptr<Server> server, std::uint32_t most);
  ServerUse(ServerUse&& other) noexcept
      : server_(std::move(other.server_)),
        counted_(std::exchange(other.counted_, Counted::active)) {}
  ServerUse& operator=(ServerUse&& other) noexcept;
  ~ServerUse();
  Server* get() const { return server_.get(); }
  explicit operator bool() const { return server_ != nullptr; }
  // It ends soon: the server is to be counted without it.
  void leave();
  // It has ended, and takes nobody's place any more; which server it was is still known.
  void end();

 private:
  enum class Counted : std::uint8_t { active, leaving, resting, ended };

  std::shared_ptr<Server> server_;
  Counted counted_ = Counted::active;
};

}  // namespace sluice::upstream
