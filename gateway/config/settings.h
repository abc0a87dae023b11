// Settings: what one configuration file says, as plain structs with every default filled in, every name checked and every
// file that it names read. Structs of a folder to the left live in that folder; those of session/ and server/ are here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/time.h"
#include "http/forwarded.h"
#include "http/head.h"
#include "net/address.h"
#include "net/tls_profile.h"
#include "policy/access.h"
#include "policy/access_rules.h"
#include "policy/header_rules.h"
#include "policy/auth.h"
#include "policy/limiter.h"
#include "policy/message_access.h"
#include "store/redis_settings.h"
#include "upstream/backend.h"
#include "upstream/message_rules.h"
#include "upstream/target_rules.h"

namespace sluice::config {

struct ServerSettings {
  unsigned workers = 0;  // 0 = cores ("auto")
  Duration drain_timeout = std::chrono::seconds(30);
  std::uint64_t max_connections = 0;  // of the process; 0 = derived from the fd limit
  std::uint32_t max_handshakes = 2000;  // unfinished ones, per worker
  std::vector<net::Address> resolvers;  // DNS servers; empty: the system's
};

struct AdminSettings {
  bool enabled = true;
  net::Address bind;       // 127.0.0.1:9901
  Secret token;            // from token_file; empty: none
};

struct RevocationSettings {
  std::string file;        // where they outlive the process; empty: they do not
  std::uint32_t max = 100'000;
};

struct ListenerSettings {
  std::string name;
  net::Address bind;
  std::optional<net::TlsSettings> tls;
  std::string backend;           // protocol = "tcp": its name; empty: HTTP and WebSocket, by routes
  Duration idle_timeout{};       // of protocol = "tcp"; 0 = off
  bool close_on_server_down = false;  // of protocol = "tcp": on_server_down = "keep" | "close"
  std::vector<net::Cidr> trusted_proxies;
  bool proxy_protocol = false;                   // "required": a PROXY header comes ahead of everything
  std::vector<net::Cidr> proxy_protocol_from;    // who may connect then
  http::ForwardedStyle forwarded = http::ForwardedStyle::x_forwarded;
  std::uint64_t max_connections = 0;  // 0 = only the process's
  http::HeadLimits head;
  Duration tls_timeout = std::chrono::seconds(5);
  Duration head_timeout = std::chrono::seconds(10);
  Duration keepalive_timeout = std::chrono::seconds(60);  // from an answer to the next request; 0: no next one
  std::uint64_t max_requests = 1000;  // of one connection; 0 = unlimited
  std::vector<std::string> rate_limit;  // names of limits with key ip or listener
  std::uint16_t redirect_port = 0;  // plain requests are sent to https on this port; 0: they are served
  std::string acme_folder;          // webroot that /.well-known/acme-challenge/ is served from; empty: it is not
  std::uint32_t notsent_lowat = 128 * 1024;  // TCP_NOTSENT_LOWAT of client sockets; 0 = off
  std::uint32_t send_buffer = 0;             // SO_SNDBUF; 0 = the kernel's
};

struct WebSocketSettings {
  std::uint64_t max_message = 1024 * 1024;      // client → upstream; 0 = unlimited
  std::uint64_t max_message_to_client = 0;      // 0 = unlimited
  std::uint32_t max_fragments = 1024;
  bool validate_utf8 = false;
  Duration ping_interval = std::chrono::seconds(25);  // 0 = never
  Duration pong_timeout = std::chrono::seconds(20);
  Duration idle_timeout{};                      // 0 = off; counts data frames only
  Duration max_lifetime{};                      // 0 = off
  Duration fragment_timeout = std::chrono::seconds(60);  // without an octet inside a fragmented message
  Duration write_stall = std::chrono::seconds(30);
  Duration close_timeout = std::chrono::seconds(5);
  bool forward_pings = true;                    // ping = "forward" | "answer"
  bool pass_compression = true;                 // compression = "pass" | "off"
  std::uint32_t control_rate = 20;              // control frames a second, per connection and direction client → gateway
  std::uint32_t control_burst = 50;
  std::vector<std::string> subprotocols;        // empty: any
  std::vector<policy::OriginPattern> origins;   // empty: any
  bool text_frames = false;                     // frame = "binary" | "text": before TCP backends
  bool reject_with_close = false;               // reject = "status" | "close"
};

// Of requests without an upgrade, before http:// and https:// backends.
struct HttpSettings {
  std::uint64_t max_body = 1024 * 1024;         // client → upstream; 0 = unlimited
  Duration body_timeout = std::chrono::seconds(30);      // without an octet of the client's inside its body
  Duration response_timeout = std::chrono::seconds(60);  // from the request's last octet to the head; 0 = off
  Duration idle_timeout = std::chrono::seconds(120);     // without an octet of the upstream's inside its body; 0 = off
};

// What becomes of a message that its server has had in part when the server is lost.
enum class InFlight : std::uint8_t { hold, fail, drop };

// A client outlives the loss of its server.
struct SurviveSettings {
  InFlight in_flight = InFlight::hold;
  std::vector<std::uint16_t> codes{1001, 1006, 1011, 1012, 1013};  // Closes that are a loss; 1006: none at all
  Duration timeout = std::chrono::seconds(30);       // until another server has taken over
  Duration retry = std::chrono::milliseconds(100);   // longest first pause before servers are tried; it doubles
  std::size_t buffer = 64 * 1024;
  std::uint16_t close_code = 1011;                   // where the client cannot be kept
};

// A fixed answer to plain GET and HEAD requests: the demo's page. Not a configuration key.
struct FixedAnswer {
  std::string type;  // Content-Type
  std::string body;
};

struct RouteSettings {
  std::string name;       // default host + path
  std::string host;       // lower case; empty: any; "*.example.com" wildcard
  std::string path;       // "/chat" exact, "/chat/*" prefix, "/*" all, "/rooms/{claim:room}" bound
  std::vector<policy::PathBinding> bindings;  // of the path's segments
  std::vector<std::string> listeners;  // empty: all
  std::string backend;    // name
  std::vector<std::string> auth;  // names, in the order in which they are asked
  std::vector<policy::AccessRule> access;  // all of which must hold
  std::vector<std::string> rate_limit;  // names
  bool close_on_server_down = false;    // on_server_down = "keep" | "close"
  std::string strip_prefix;             // taken off the path on the way up; empty: none
  policy::HeaderRules request_headers;  // on the way up
  policy::HeaderRules response_headers;  // of answers that come from the backend, and of the 101
  WebSocketSettings websocket;
  HttpSettings http;
  std::optional<upstream::TargetSettings> target;  // servers that clients name; else the backend's own
  std::vector<upstream::MessageRule> messages;  // in order: the first that matches decides
  std::uint32_t inspect = 32 * 1024;    // most octets of a message that rules and keys may read
  std::vector<policy::MessageAccess> message_rules;  // all of which must hold of each message
  bool close_oversized = false;         // oversize = "fallback" | "close"
  std::optional<FixedAnswer> answer;
  std::optional<SurviveSettings> survive;
};

struct Settings {
  std::string file;       // the path that was loaded
  std::vector<std::string> files;  // every file that was read (configuration, certificates, keys): to be watched
  std::vector<std::string> watched;  // of these, certificates and keys: a change reloads
  ServerSettings server;
  log::Settings log;
  std::vector<std::string> access_fields;  // empty: all
  AdminSettings admin;
  RevocationSettings revocation;
  store::RedisSettings redis;
  std::vector<ListenerSettings> listeners;
  std::vector<RouteSettings> routes;
  std::vector<upstream::BackendSettings> backends;
  std::vector<policy::AuthSettings> auths;
  std::vector<policy::LimitSettings> limits;
};

}  // namespace sluice::config
