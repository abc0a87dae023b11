// Error and THE TABLE. An Error is born once, with the side that caused it, and is translated only by this table:
// its name (metric label and log field `reason`), the stage that it belongs to, the HTTP status before the 101, the
// WebSocket close code after it, and the log level.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

enum class Side : std::uint8_t { client, upstream, gateway };

enum class Level : std::uint8_t { debug, info, warn, error, off };

// Stage of a connection, as in the label `stage` of sluice_rejects_total.
enum class Stage : std::uint8_t {
  accept, proxy_hdr, tls, head, route, origin, auth, ratelimit, backend, ws, overload, drain, admin,
};

// name | stage | HTTP status | WebSocket close code | level | retry on another candidate
// Close code 0: no Close frame can be sent or none is meant (the connection is cut, logged as 1006).
#define SLUICE_ERRORS(X)                                     \
  X(none, accept, 500, 1011, error, false)                   \
  X(bad_request_line, head, 400, 0, info, false)             \
  X(bad_version, head, 505, 0, info, false)                  \
  X(uri_too_long, head, 414, 0, info, false)                 \
  X(bad_header, head, 400, 0, info, false)                   \
  X(dup_header, head, 400, 0, info, false)                   \
  X(framing, head, 400, 0, info, false)                      \
  X(bad_transfer_encoding, head, 501, 0, info, false)        \
  X(head_too_large, head, 431, 0, info, false)               \
  X(body_on_upgrade, head, 400, 0, info, false)              \
  X(head_timeout, head, 408, 0, info, false)                 \
  X(body_too_large, head, 413, 0, info, false)               \
  X(body_timeout, head, 408, 0, info, false)                 \
  X(bad_body, head, 400, 0, info, false)                     \
  X(proxy_hdr, proxy_hdr, 0, 0, info, false)                 \
  X(proxy_untrusted, proxy_hdr, 0, 0, info, false)           \
  X(proxy_timeout, proxy_hdr, 0, 0, info, false)             \
  X(tls_timeout, tls, 0, 0, info, false)                     \
  X(tls_failed, tls, 0, 0, info, false)                      \
  X(host, head, 400, 0, info, false)                        \
  X(path, route, 400, 0, info, false)                        \
  X(misdirected, route, 421, 0, info, false)                 \
  X(no_route, route, 404, 0, info, false)                    \
  X(method, route, 405, 0, info, false)                      \
  X(upgrade_required, route, 426, 0, info, false)            \
  X(ws_version, head, 426, 0, info, false)                   \
  X(ws_key, head, 400, 0, info, false)                       \
  X(ws_handshake, head, 400, 0, info, false)                 \
  X(ws_subprotocol, head, 400, 0, info, false)               \
  X(origin, origin, 403, 4403, info, false)                  \
  X(no_token, auth, 401, 4401, info, false)                  \
  X(bad_token, auth, 401, 4401, info, false)                 \
  X(token_expired, auth, 401, 4401, info, false)             \
  X(unknown_key, auth, 401, 4401, info, false)               \
  X(keys_unavailable, auth, 503, 1013, warn, false)          \
  X(dup_token, auth, 400, 4401, info, false)                 \
  X(scope, auth, 403, 4403, info, false)                     \
  X(bad_claim, auth, 403, 4403, info, false)                 \
  X(bad_certificate, auth, 401, 4401, info, false)           \
  X(access_denied, auth, 403, 4403, info, false)             \
  X(target_denied, auth, 403, 4403, info, false)             \
  X(auth_denied, auth, 401, 4401, info, false)               \
  X(auth_forbidden, auth, 403, 4403, info, false)            \
  X(auth_unavailable, auth, 503, 1013, warn, false)          \
  X(revoked, auth, 403, 4403, info, false)                   \
  X(refresh_denied, auth, 403, 4403, info, false)            \
  X(store_unavailable, auth, 503, 1013, warn, false)         \
  X(bad_ticket, auth, 401, 4401, info, false)                \
  X(bad_logout, auth, 400, 0, info, false)                   \
  X(no_connection, auth, 404, 0, info, false)                \
  X(refresh_busy, auth, 429, 4429, info, false)              \
  X(bad_first_message, auth, 401, 4401, info, false)         \
  X(first_message_timeout, auth, 401, 4401, info, false)     \
  X(rl_ip, ratelimit, 429, 4429, info, false)                \
  X(rl_auth, ratelimit, 429, 4429, info, false)              \
  X(rl_user, ratelimit, 429, 4429, info, false)              \
  X(rl_route, ratelimit, 429, 4429, info, false)             \
  X(rl_listener, ratelimit, 429, 4429, info, false)          \
  X(rl_connection, ratelimit, 429, 1008, info, false)        \
  X(no_backend, backend, 503, 1013, warn, false)             \
  X(be_unresolved, backend, 503, 1013, warn, false)          \
  X(be_connect, backend, 503, 1013, warn, true)              \
  X(be_tls, backend, 502, 1011, warn, true)                  \
  X(be_timeout, backend, 504, 1013, warn, false)              \
  X(be_bad_101, backend, 502, 1011, warn, false)             \
  X(be_bad_head, backend, 502, 1011, warn, false)            \
  X(be_preface_data, backend, 502, 1011, warn, false)        \
  X(be_refused, backend, 502, 1011, info, false)             \
  X(be_lost, backend, 502, 1011, warn, false)                 \
  X(server_down, backend, 503, 1012, info, false)            \
  X(server_limit, backend, 503, 1013, warn, false)           \
  X(backend_limit, backend, 503, 1013, warn, false)          \
  X(pending_full, backend, 503, 1013, warn, false)           \
  X(pending_timeout, backend, 503, 1013, warn, false)        \
  X(circuit_open, backend, 503, 1013, warn, false)           \
  X(tcp_frame_too_big, backend, 502, 1011, warn, false)      \
  X(tcp_frame_bad, backend, 502, 1011, warn, false)          \
  X(tcp_frame_cut, backend, 502, 1011, warn, false)          \
  X(tcp_utf8, backend, 502, 1007, warn, false)               \
  X(rebalance, backend, 503, 1012, info, false)              \
  X(ws_rsv, ws, 400, 1002, info, false)                      \
  X(ws_mask, ws, 400, 1002, info, false)                     \
  X(ws_opcode, ws, 400, 1002, info, false)                   \
  X(ws_frag, ws, 400, 1002, info, false)                     \
  X(ws_ctl, ws, 400, 1002, info, false)                      \
  X(ws_len, ws, 400, 1002, info, false)                      \
  X(ws_close, ws, 400, 1002, info, false)                    \
  X(ws_utf8, ws, 400, 1007, info, false)                     \
  X(ws_delimiter, ws, 400, 1008, info, false)                \
  X(ws_base64, ws, 400, 1007, info, false)                   \
  X(message_denied, auth, 403, 1008, info, false)            \
  X(too_big, ws, 413, 1009, info, false)                     \
  X(flood_ctl, ws, 429, 1008, info, false)                   \
  X(flood_frag, ws, 429, 1008, info, false)                  \
  X(frag_timeout, ws, 408, 1008, info, false)                \
  X(slow_reader, ws, 408, 0, info, false)                    \
  X(ping_timeout, ws, 408, 0, info, false)                   \
  X(idle, ws, 408, 1001, info, false)                        \
  X(lifetime, ws, 408, 1001, info, false)                    \
  X(close_timeout, ws, 408, 0, info, false)                  \
  X(client_lost, ws, 400, 1001, info, false)                 \
  X(fd_limit, overload, 503, 1013, warn, false)              \
  X(max_connections, overload, 503, 1013, warn, false)       \
  X(handshakes_full, overload, 503, 1013, warn, false)       \
  X(draining, drain, 503, 1001, info, false)                 \
  X(internal, accept, 500, 1011, error, false)

enum class Errc : std::uint8_t {
#define X(name, stage, status, close, level, retry) name,
  SLUICE_ERRORS(X)
#undef X
};

struct ErrorRow {
  std::string_view name;
  Stage stage;
  std::uint16_t status;
  std::uint16_t close_code;
  Level level;
  bool retry;
};

const ErrorRow& row(Errc code);
std::string_view name(Stage stage);
std::string_view name(Side side);
std::string_view name(Level level);
inline constexpr std::size_t kErrcCount = 0
#define X(name, stage, status, close, level, retry) +1
    SLUICE_ERRORS(X)
#undef X
    ;

// Trivially copyable, never allocates. `detail` points at a string literal: for the log, never for the wire.
struct Error {
  Errc code = Errc::none;
  Side side = Side::gateway;
  bool retry = false;  // set by who knows that nothing was forwarded; otherwise the table's column rules
  const char* detail = "";

  bool retryable() const { return retry || row(code).retry; }
};

// The standard reason phrase of an HTTP status that the table can yield; "" for others.
std::string_view reason_phrase(int status);

[[noreturn]] void check_failed(const char* why);

}  // namespace sluice
