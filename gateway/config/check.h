// Check: the meaning of a decoded configuration. Names are resolved, combinations judged, files read, and the
// Settings filled in.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/decode.h"
#include "config/reporter.h"
#include "config/settings.h"

namespace sluice::config {

// The effective routing order and settings as readable text; secrets, keys and tokens are masked.
std::string dump(const Settings& settings);

// Reads every table of `top` into `settings`. Faults go to `reporter`; what was refused has its default.
void interpret(const Section& top, Reporter& reporter, Settings& settings);

// ---- parts of it, in check_*.cc
// --------------------------------------------------------------------------------------

enum class FileKind : std::uint8_t {
  certificate, private_key, public_key, jwks, secret, token, password, targets, api_keys, crl,
};

class Checker {
 public:
  Checker(Reporter& reporter, Settings& settings) : reporter_(reporter), settings_(settings) {}
  void run(const Section& top);

 private:
  // Names that can be referred to, with the place where each was defined.
  using Names = std::map<std::string, Place, std::less<>>;

  void server(const Section& section);
  void log(const Section& section);
  void admin(const Section& section);
  void revocation(const Section& section);
  void redis(const Section& section);
  bool redis_url(const Text& url, store::RedisSettings& out);
  void listener(const Section& section);
  void listener_limits(const Section& section, ListenerSettings& out);
  void proxy_protocol(const Section& section, ListenerSettings& out);
  void raw_listener(const Section& section, ListenerSettings& out);
  std::vector<net::Cidr> blocks(const Section& section, std::string_view key);
  void listener_tls(const Section& section, ListenerSettings& out);
  void certificate(const Section& section, net::TlsSettings& out);
  void plain_http(const Section& section, ListenerSettings& out);
  void redirects();
  void listeners_together();
  void auth(const std::string& name, const Section& section);
  void auth_type(const Section& section, policy::AuthSettings& out);
  void auth_keys(const Section& section, policy::AuthSettings& auth);
  void api_keys(const Section& section, policy::AuthSettings& out);
  bool key_limit(const Text& name);
  void client_cert(const Section& section, policy::AuthSettings& out);
  void certificates_asked_for(const Section& section, const RouteSettings& route);
  void auth_failures(const Section& section, policy::AuthSettings& out);
  void endpoints(const std::string& name, const Section& section);
  void endpoint(const Section& section, policy::EndpointSettings::Kind kind, policy::AuthSettings& auth);
  void endpoint_of_type(const Section& section, policy::EndpointSettings::Kind kind, const policy::AuthSettings& auth);
  void key_source(const Section& section, bool hmac, policy::KeySourceSettings& out);
  void key_url(const Text& text, const policy::KeySourceSettings& source, std::string_view key);
  void jwks_serves(const Section& section, const policy::JwtSettings& jwt);
  void external_auth(const Section& section, policy::AuthSettings& out);
  bool external_url(const Text& url, policy::ExternalSettings& out);
  std::vector<std::string> field_names(const Section& section, std::string_view key, bool (*reserved)(std::string_view name));
  void only_for(const Section& section, std::string_view type, std::span<const std::string_view> keys);
  void carriers(const Section& section, policy::AuthSettings& out);
  bool nameless_carrier(const Text& text, policy::AuthSettings& out);
  void auth_lifetime(const Section& section, policy::AuthSettings& out);
  void first_message_beside(const Section& section, const RouteSettings& route);
  void claims(const Section& section, policy::AuthSettings& out);
  void limit(const std::string& name, const Section& section);
  void limit_action(const Section& section, policy::LimitSettings& out);
  void limit_amounts(const Section& section, policy::LimitSettings& out);
  void backend(const std::string& name, const Section& section);
  void health(const Section& section, upstream::BackendSettings& out);
  void health_status(const Section& section, upstream::BackendSettings& out);
  void health_headers(const Section& section, upstream::BackendSettings& out);
  void protection(const Section& section, upstream::BackendSettings& out);
  void servers(const Section& section, upstream::BackendSettings& out);
  bool server_url(const Text& url, upstream::ServerSettings& out);
  void balance(const Section& section, upstream::BackendSettings& out);
  void hash_key(const Text& text, upstream::BackendSettings& out);
  void pool(const Section& section, upstream::BackendSettings& out);
  void route_http(const Section& section, RouteSettings& out);
  void upstream_proxy(const Section& section, upstream::BackendSettings& out);
  void any_server(const Section& section, const upstream::BackendSettings& out);
  void rebalance(const Section& section, upstream::BackendSettings& out);
  void sticky(const Section& section, upstream::BackendSettings& out);
  void auths_beside(const Section& section, const RouteSettings& route);
  void sticky_beside(const policy::AuthSettings& auth, const Section& section, const RouteSettings& route);
  void tcp_framing(const Section& section, ws::TcpFraming& out);
  void delimiter(const Section& section, ws::TcpFraming& out);
  void length(const Section& section, ws::LengthPrefix& out);
  void upstream_socket(const Section& section, upstream::BackendSettings& out);
  void upstream_tls(const Section& section, Place servers, upstream::BackendSettings& out);
  // Of a table that is there. `spoken`: there is somebody whom the gateway speaks TLS to.
  void client_tls(const Section& section, bool spoken, upstream::UpstreamTls& out,
                  std::string_view whom = "wss://, https:// and tls:// servers");
  void route(const Section& section);
  void route_host(const Section& section, RouteSettings& out);
  bool ruled_field(const Text& name, bool request, bool set);
  void header_rules(const Section& section, bool request, const RouteSettings& route, policy::HeaderRules& out);
  void strip_prefix(const Section& section, RouteSettings& out);
  void route_path(const Section& section, RouteSettings& out);
  void path_beside(const Section& section, const RouteSettings& route);
  void access(const Section& section, RouteSettings& out);
  void access_rule(const Section& section, const RouteSettings& route, policy::AccessRule& out);
  void message_rules(const Section& section, RouteSettings& out);
  void message_rule(const Section& section, const RouteSettings& route, policy::MessageAccess& out);
  policy::Scalar value_of(const Node& node, std::string_view key);
  bool claim_rule(const Section& section, const RouteSettings& route, policy::AccessRule& out);
  void websocket(const Section& section, WebSocketSettings& out);
  void survive(const Section& section, RouteSettings& out);
  void survive_backend(const Section& table, const RouteSettings& out);
  void target(const Section& section, RouteSettings& out);
  void target_from(const Text& text, upstream::TargetSettings& out);
  void target_map(const Section& section, upstream::TargetSettings& out);
  void target_allow(const Section& section, upstream::TargetSettings& out);
  void messages(const Section& section, RouteSettings& out);
  bool message_rule(const Section& section, const RouteSettings& route, upstream::MessageRule& out);
  void message_match(const Section& section, upstream::MessageMatch& out);
  void message_legs(const Section& section, const RouteSettings& route);
  void route_effects(const Section& section, RouteSettings& out);
  void route_duplicates(const Section& section, const RouteSettings& route);
  void route_limits(const Section& section, const RouteSettings& route);
  void unused();

  // False after reporting when `text` names nothing in `names`.
  bool refers(std::string_view who, std::string_view kind, const Text& text, const Names& names);
  std::vector<std::string> references(std::string_view who, std::string_view kind, const Section& section,
                                      std::string_view key, const Names& names);
  std::string resolve(const Text& path) const;
  // Content of the file that `key` names, or "" after reporting.
  std::string read(const Section& section, std::string_view key, FileKind kind);
  bool looks_right(const Text& path, FileKind kind, const std::string& content);
  std::uint16_t close_code(const Section& section, std::string_view key);
  void error(Place place, std::string message, std::string help = {}) {
    reporter_.error(place, std::move(message), std::move(help));
  }
  const policy::AuthSettings* find_auth(std::string_view name) const;
  const policy::LimitSettings* find_limit(std::string_view name) const;
  const upstream::BackendSettings* find_backend(std::string_view name) const;

  Reporter& reporter_;
  Settings& settings_;
  Names listeners_;
  Names auths_;
  Names limits_;
  Names backends_;
  std::map<std::string, bool, std::less<>> used_;           // "backend chat", "auth users", "rate_limit new"
  std::map<std::string, bool, std::less<>> text_backends_;  // framing.message = "text" of a tcp backend
  std::map<std::string, Place, std::less<>> route_names_;
  std::multimap<std::string, std::size_t, std::less<>> route_paths_;  // host + path → index of the route
  std::vector<Place> listener_places_;
  std::vector<std::pair<std::size_t, Place>> redirects_;  // listeners that redirect to a port which is not said
  std::set<std::string, std::less<>> raw_listeners_;  // with protocol = "tcp"
};

// Why a server's unix socket may not have that path; empty: it may.
std::string bad_socket_path(std::string_view path);

// Whether the text may stand as an HTTP token (RFC 9110 §5.6.2).
bool is_token(std::string_view text);
// Keys of [auth.NAME] that only one type has; those of external are check_auth's own.
inline constexpr std::array<std::string_view, 14> kJwtKeys{
    "algorithms", "secret_file", "public_key_file", "jwks_file", "jwks_url",     "discovery",  "jwks_ca",
    "jwks_allow", "jwks_stale_max", "issuer",       "audience",  "leeway",       "max_lifetime", "require"};
inline constexpr std::array<std::string_view, 1> kApiKeyKeys{"keys_file"};
// Those that a credential has which is presented here.
inline constexpr std::array<std::string_view, 8> kLifetimeKeys{"from",          "on_expiry",    "expiry_close_code", "expiry_close_reason",
                                                               "first_message", "warn_before", "warn_message",      "refresh"};
inline constexpr std::array<std::string_view, 2> kClientCertKeys{"subject", "trust_domains"};
// Fields that belong to the connection, to the handshake or to the gateway (RFC 9110 §7.6.1): no claim may be written there,
// and none of them carries a token.
bool is_reserved(std::string_view name);
// Letters, digits and '-', at most 64.
bool is_field_name(std::string_view text);
// Whether it can name a host: letters, digits, '-', '_' and dots.
bool is_host_name(std::string_view text);

}  // namespace sluice::config
