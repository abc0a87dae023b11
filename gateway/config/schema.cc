#include "config/schema.h"

namespace sluice::config {
namespace {

using enum Type;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1000 * kMs;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr std::int64_t kU32 = std::numeric_limits<std::uint32_t>::max();

constexpr Key kServer[] = {
    {.name = "workers", .type = integer, .fallback = "\"auto\"",
     .meaning = "Worker threads, each with its own event loop; \"auto\" is one per core.", .word = "auto", .least = 1,
     .most = 1024},
    {.name = "drain_timeout", .type = duration, .fallback = "\"30s\"",
     .meaning = "How long a drain (TERM) may take; closes are spread over its first 80 %.", .most = kDay},
    {.name = "max_connections", .type = integer, .fallback = "\"auto\"",
     .meaning = "Client connections of the process; \"auto\" derives it from the limit of open files.", .word = "auto",
     .least = 1, .most = 1'000'000'000},
    {.name = "max_handshakes", .type = integer, .fallback = "2000",
     .meaning = "Unfinished handshakes (TLS and head) per worker.", .least = 1, .most = 10'000'000},
};
constexpr Table kServerTable{"server", "The process.", kServer};

constexpr Key kLog[] = {
    {.name = "level", .type = choice, .fallback = "\"info\"", .meaning = "Least level of events that are logged.",
     .values = "debug|info|warn|error|off"},
    {.name = "file", .type = text, .fallback = "\"stderr\"",
     .meaning = "Where events go: \"stderr\", \"stdout\" or a file. USR1 opens it again."},
    {.name = "access", .type = text, .fallback = "\"stdout\"",
     .meaning = "Where access lines go: \"stdout\", \"off\" or a file. One line at open and one at close."},
    {.name = "access_fields", .type = texts, .meaning = "Fields of an access line; all when not set.",
     .values = "ts|event|id|trace_id|listener|client_ip|client_port|peer_ip|tls_version|tls_sni|alpn|method|host|path|"
               "status|route|backend|server|user_agent|origin|subprotocol|extensions|auth_method|subject|duration_ms|"
               "connect_ms|auth_ms|tls_ms|bytes_in|bytes_out|messages_in|messages_out|close_code|close_initiator|"
               "close_reason|error|reason|rate_limited",
     .example = "[\"ts\", \"event\", \"id\", \"route\", \"status\", \"close_code\"]"},
    {.name = "queue", .type = integer, .fallback = "65536",
     .meaning = "Lines that may wait per log; lines beyond it are dropped and counted.", .least = 64,
     .most = 16 * kMiB},
};
constexpr Table kLogTable{"log", "The two logs: events and access lines, both JSON objects.", kLog};

constexpr Key kAdmin[] = {
    {.name = "enabled", .type = boolean, .fallback = "true", .meaning = "Whether there is an admin listener."},
    {.name = "bind", .type = text, .fallback = "\"127.0.0.1:9901\"",
     .meaning = "Its address. An address that is not loopback needs token_file."},
    {.name = "token_file", .type = file, .meaning = "Bearer token of the admin API; one trailing newline is removed.",
     .example = "\"admin.token\""},
};
constexpr Table kAdminTable{"admin", "Health, metrics and the admin API.", kAdmin};

constexpr Key kCertificate[] = {
    {.name = "cert", .type = file, .meaning = "Certificate chain, PEM, leaf first.", .example = "\"server.crt\"",
     .required = true},
    {.name = "key", .type = file, .meaning = "Its private key, PEM, without a passphrase.",
     .example = "\"server.key\"", .required = true},
};
constexpr Table kCertificateTable{
    "listener.tls.certificate",
    "One certificate; several are chosen by SNI, the first one serves names that none matches.", kCertificate};

constexpr Key kListenerTls[] = {
    {.name = "self_signed", .type = boolean, .fallback = "false",
     .meaning = "Make a certificate at start, in memory. For development only."},
    {.name = "cert", .type = file, .meaning = "Short form for one certificate: its chain, PEM, leaf first.",
     .example = "\"server.crt\""},
    {.name = "key", .type = file, .meaning = "Short form for one certificate: its private key, PEM.",
     .example = "\"server.key\""},
    {.name = "certificate", .type = tables, .table = &kCertificateTable},
    {.name = "min_version", .type = choice, .fallback = "\"1.2\"", .meaning = "Oldest TLS version that is spoken.",
     .values = "1.2|1.3"},
    {.name = "client_auth", .type = choice, .fallback = "\"off\"",
     .meaning = "Whether clients may or must show a certificate of client_ca.", .values = "off|optional|required"},
    {.name = "client_ca", .type = file, .meaning = "Certificates that sign client certificates, PEM.",
     .example = "\"clients-ca.crt\""},
    {.name = "strict_sni", .type = boolean, .fallback = "false",
     .meaning = "Refuse handshakes for names that no certificate covers."},
};
constexpr Table kListenerTlsTable{"listener.tls", "TLS of a listener; without this table it is a plain one.",
                                  kListenerTls};

constexpr Key kLimits[] = {
    {.name = "header_bytes", .type = size, .fallback = "\"32KiB\"", .meaning = "Octets of a request head.",
     .least = kKiB, .most = kMiB},
    {.name = "header_fields", .type = integer, .fallback = "100", .meaning = "Fields of a request head.", .least = 8,
     .most = 1000},
    {.name = "line_bytes", .type = size, .fallback = "\"8KiB\"", .meaning = "Octets of the request line.",
     .least = 256, .most = kMiB},
    {.name = "field_bytes", .type = size, .fallback = "\"8KiB\"", .meaning = "Octets of one header field.",
     .least = 256, .most = kMiB},
    {.name = "tls_timeout", .type = duration, .fallback = "\"5s\"", .meaning = "Until the TLS handshake is done.",
     .least = 10 * kMs, .most = kHour},
    {.name = "head_timeout", .type = duration, .fallback = "\"10s\"", .meaning = "Until the request head is complete.",
     .least = 10 * kMs, .most = kHour},
    {.name = "handshake_timeout", .type = duration,
     .meaning = "Both in one: a third of it for TLS and the rest for the head; all of it for the head without TLS.",
     .least = 30 * kMs, .most = kHour, .example = "\"15s\""},
};
constexpr Table kLimitsTable{"listener.limits", "Bounds of a request before it is a connection.", kLimits};

constexpr Key kListener[] = {
    {.name = "name", .type = text, .meaning = "Name in logs, metrics and routes; default: its bind.",
     .example = "\"public\""},
    {.name = "bind", .type = text, .meaning = "Address and port: \"0.0.0.0:8443\", \"[::]:443\", \":8080\".",
     .example = "\"127.0.0.1:8080\"", .required = true},
    {.name = "alpn", .type = texts, .fallback = "[\"http/1.1\"]", .meaning = "Protocols offered by ALPN.",
     .values = "http/1.1", .later = "h2"},
    {.name = "trusted_proxies", .type = texts, .fallback = "[]",
     .meaning = "Blocks of addresses whose X-Forwarded-For is believed.", .example = "[\"10.0.0.0/8\"]"},
    {.name = "max_connections", .type = integer, .fallback = "\"unlimited\"",
     .meaning = "Connections of this listener; the process's limit holds beside it.", .word = "unlimited", .least = 1,
     .most = 1'000'000'000},
    {.name = "rate_limit", .type = texts, .fallback = "[]",
     .meaning = "Names of limits with key ip or listener and unit handshakes or connections."},
    {.name = "notsent_lowat", .type = size, .fallback = "\"128KiB\"",
     .meaning = "TCP_NOTSENT_LOWAT of client sockets: bounds what a slow reader holds in the kernel.", .word = "off",
     .least = 4 * kKiB, .most = 1024 * kMiB},
    {.name = "send_buffer", .type = size, .fallback = "\"system\"", .meaning = "SO_SNDBUF of client sockets.",
     .word = "system", .least = 4 * kKiB, .most = 1024 * kMiB},
    {.name = "limits", .type = table, .table = &kLimitsTable},
    {.name = "tls", .type = table, .table = &kListenerTlsTable},
};
constexpr Table kListenerTable{"listener", "An address on which clients connect. At least one.", kListener};

constexpr Table kRequireTable{"auth.NAME.require",
                              "Claims that a token must hold: a value, a list of which one must match, or true for any. "
                              "In `scope` each word counts.",
                              {}};
constexpr Table kForwardTable{"auth.NAME.forward", "Claims that go upstream, each as the header named here.", {}};

constexpr Key kAuth[] = {
    {.name = "type", .type = choice, .meaning = "What is checked.", .values = "jwt", .later = "api_key|external",
     .example = "\"jwt\"", .required = true},
    {.name = "algorithms", .type = texts,
     .meaning = "The only signature algorithms that are accepted; HS* and the others never mix.",
     .values = "HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA",
     .example = "[\"ES256\"]"},
    {.name = "secret_file", .type = file,
     .meaning = "Secret for HS*: raw octets, at least 32; one trailing newline is removed.",
     .example = "\"hs256.secret\""},
    {.name = "public_key_file", .type = file, .meaning = "Public key for the other algorithms, PEM.",
     .example = "\"issuer.pem\""},
    {.name = "jwks_file", .type = file, .meaning = "Set of keys, JSON (RFC 7517).", .example = "\"jwks.json\""},
    {.name = "jwks_url", .type = text, .later = "*"},
    {.name = "keys_file", .type = file, .later = "*"},
    {.name = "endpoints", .type = table, .later = "*"},
    {.name = "issuer", .type = text, .meaning = "Value that `iss` must have; not checked when not set.",
     .example = "\"https://id.example.com/\""},
    {.name = "audience", .type = texts, .meaning = "Values of which `aud` must hold one; not checked when not set.",
     .example = "\"chat\""},
    {.name = "leeway", .type = duration, .fallback = "\"30s\"", .meaning = "Tolerance of `exp` and `nbf`.",
     .most = kHour},
    {.name = "max_lifetime", .type = duration, .fallback = "\"off\"",
     .meaning = "Longest time from `iat` to `exp` that is accepted.", .word = "off", .least = kSecond,
     .most = 3650 * kDay},
    {.name = "from", .type = texts, .fallback = "[\"header:Authorization\"]",
     .meaning = "Where the token may stand, in this order: header:NAME, cookie:NAME, query:NAME, subprotocol:MARKER. "
                "The first that holds one decides; all are removed before the backend."},
    {.name = "on_expiry", .type = choice, .fallback = "\"close\"",
     .meaning = "What happens to a live connection when its token expires.", .values = "close|keep"},
    {.name = "expiry_close_code", .type = integer, .fallback = "4401", .meaning = "Close code at expiry.",
     .least = 1000, .most = 4999},
    {.name = "require", .type = pairs, .table = &kRequireTable, .example = "{ scope = \"chat\" }"},
    {.name = "forward", .type = pairs, .table = &kForwardTable, .example = "{ sub = \"X-User-Id\" }"},
};
constexpr Table kAuthTable{"auth.NAME", "A check of credentials that routes refer to by NAME.", kAuth};

constexpr Key kRateLimit[] = {
    {.name = "key", .type = text,
     .meaning = "What is counted apart: connection, ip (IPv6: /64), claim:NAME, route or listener.",
     .example = "\"ip\"", .required = true},
    {.name = "unit", .type = choice, .fallback = "\"messages\"", .meaning = "What is counted.",
     .values = "handshakes|connections|messages|bytes"},
    {.name = "rate", .type = rate,
     .meaning = "Units per s, m, h or d: \"50/s\"; for bytes with a unit: \"1MiB/s\". Not for connections.", .least = 1,
     .example = "\"50/s\""},
    {.name = "limit", .type = integer, .meaning = "For connections: how many at the same time.", .least = 1,
     .most = 1'000'000'000, .example = "100"},
    {.name = "burst", .type = amount, .meaning = "Units at once; default: one second of rate, at least one.",
     .least = 1, .example = "100"},
    {.name = "on_limit", .type = choice,
     .meaning = "What happens beyond it. messages: delay (default), drop or close; bytes: delay (default) or close; "
                "handshakes and connections: reject.",
     .values = "delay|drop|close|reject", .example = "\"delay\""},
    {.name = "close_code", .type = integer, .fallback = "1008", .meaning = "Close code of on_limit = \"close\".",
     .least = 1000, .most = 4999},
    {.name = "max_keys", .type = integer, .fallback = "100000",
     .meaning = "Keys that are remembered; idle ones make room first.", .least = 16, .most = 100'000'000},
    {.name = "scope", .type = choice, .fallback = "\"local\"", .meaning = "Who shares the counts.", .values = "local",
     .later = "cluster"},
    {.name = "fallback", .type = text, .later = "*"},
};
constexpr Table kRateLimitTable{"rate_limit.NAME", "A limit that routes and listeners refer to by NAME.", kRateLimit};

constexpr Key kWebSocket[] = {
    {.name = "max_message", .type = size, .fallback = "\"1MiB\"",
     .meaning = "Largest message from the client; beyond it: close 1009.", .word = "unlimited", .least = 1},
    {.name = "max_message_to_client", .type = size, .fallback = "\"unlimited\"",
     .meaning = "Largest message from the backend.", .word = "unlimited", .least = 1},
    {.name = "max_fragments", .type = integer, .fallback = "1024",
     .meaning = "Fragments under 1 KiB in one message.", .word = "unlimited", .most = kU32},
    {.name = "validate_utf8", .type = boolean, .fallback = "false",
     .meaning = "Check that text messages are UTF-8; otherwise close 1007. Turns compression off."},
    {.name = "ping_interval", .type = duration, .fallback = "\"25s\"",
     .meaning = "The gateway pings a side that has been silent for so long.", .word = "off", .least = 10 * kMs,
     .most = kDay},
    {.name = "pong_timeout", .type = duration, .fallback = "\"20s\"",
     .meaning = "Without an answer for so long the side counts as dead.", .least = 10 * kMs, .most = kDay},
    {.name = "idle_timeout", .type = duration, .fallback = "\"off\"",
     .meaning = "Close after so long without a data frame.", .word = "off", .least = 10 * kMs, .most = 3650 * kDay},
    {.name = "max_lifetime", .type = duration, .fallback = "\"off\"",
     .meaning = "Longest life of a connection, with jitter.", .word = "off", .least = 10 * kMs, .most = 3650 * kDay},
    {.name = "fragment_timeout", .type = duration, .fallback = "\"60s\"",
     .meaning = "A fragmented message fails after so long without an octet.", .least = 10 * kMs, .most = kDay},
    {.name = "write_stall", .type = duration, .fallback = "\"30s\"",
     .meaning = "A side that takes nothing for so long is cut.", .least = 10 * kMs, .most = kDay},
    {.name = "close_timeout", .type = duration, .fallback = "\"5s\"",
     .meaning = "How long to wait for the answer to a Close.", .least = 10 * kMs, .most = kHour},
    {.name = "ping", .type = choice, .fallback = "\"forward\"",
     .meaning = "Pings of client and backend: forward them, or answer here (always so with unit = \"message\" and tcp).",
     .values = "forward|answer"},
    {.name = "compression", .type = choice, .fallback = "\"pass\"",
     .meaning = "permessage-deflate: pass it through, or remove the offer.", .values = "pass|off",
     .later = "gateway|true"},
    {.name = "control_rate", .type = rate, .fallback = "\"20/s\"", .meaning = "Control frames of a client per second.",
     .least = 1, .most = kU32},
    {.name = "control_burst", .type = integer, .fallback = "50", .meaning = "Control frames at once.", .least = 1,
     .most = kU32},
    {.name = "subprotocols", .type = texts, .fallback = "[]", .meaning = "Subprotocols that may be offered; [] is any.",
     .example = "[\"chat.v2\"]"},
    {.name = "origins", .type = texts, .fallback = "[]",
     .meaning = "Origins that may connect (\"https://*.example.com\" covers all names below); [] is any, or with a "
                "cookie carrier the request's own host.",
     .example = "[\"https://chat.example.com\"]"},
    {.name = "frame", .type = choice, .fallback = "\"binary\"",
     .meaning = "Before tcp backends: the kind of message that the client receives.", .values = "binary|text"},
};
constexpr Table kWebSocketTable{"route.websocket", "WebSocket rules of a route.", kWebSocket};

constexpr Key kRoute[] = {
    {.name = "name", .type = text, .meaning = "Name in logs and metrics; default: host and path.",
     .example = "\"chat\""},
    {.name = "host", .type = text, .meaning = "Host without port; \"*.example.com\" is any name below; default: any.",
     .example = "\"chat.example.com\""},
    {.name = "path", .type = text, .meaning = "\"/chat\" is exactly that, \"/chat/*\" all below it, \"/*\" everything.",
     .example = "\"/*\"", .required = true},
    {.name = "listener", .type = texts, .meaning = "Only on these listeners; default: all.",
     .example = "[\"public\"]"},
    {.name = "backend", .type = text, .meaning = "Name of the backend.", .example = "\"app\"", .required = true},
    {.name = "auth", .type = texts, .meaning = "Name of the [auth] that clients must pass; default: none.",
     .example = "\"users\""},
    {.name = "rate_limit", .type = texts, .fallback = "[]", .meaning = "Names of limits."},
    {.name = "reject", .type = choice, .fallback = "\"status\"",
     .meaning = "Refusals: an HTTP status, or accept and close with 4401, 4403 or 4429, which a browser can see.",
     .values = "status|close"},
    {.name = "access", .type = table, .later = "*"},
    {.name = "websocket", .type = table, .table = &kWebSocketTable},
};
constexpr Table kRouteTable{"route",
                            "What is served where. Exact host before wildcard before none; then exact path before the "
                            "longest prefix. At least one.",
                            kRoute};

constexpr Key kEntry[] = {
    {.name = "url", .type = text, .meaning = "The server.", .example = "\"ws://127.0.0.1:9000\"", .required = true},
    {.name = "weight", .type = integer, .fallback = "1", .meaning = "Its share beside the others.", .least = 1,
     .most = 1000},
};
constexpr Table kEntryTable{"backend.NAME.servers", "A server with a weight, in place of a URL.", kEntry};

constexpr Key kBalance[] = {
    {.name = "policy", .type = choice, .fallback = "\"round_robin\"", .meaning = "How a server is chosen.",
     .values = "round_robin|least_connections|random_two|consistent_hash", .later = "sticky"},
    {.name = "unit", .type = choice, .fallback = "\"connection\"",
     .meaning = "Whether the choice is made once, or for each message of the client.",
     .values = "connection|message"},
    {.name = "key", .type = text, .fallback = "\"ip\"",
     .meaning = "What consistent_hash hashes: ip, header:NAME, cookie:NAME, query:NAME, claim:NAME, path, path:N."},
    {.name = "max_legs", .type = integer, .meaning = "Servers per client with unit = \"message\"; default: all, at most 8.",
     .least = 1, .most = 64, .example = "4"},
    {.name = "cookie", .type = text, .later = "*"},
    {.name = "ttl", .type = duration, .later = "*"},
};
constexpr Table kBalanceTable{"backend.NAME.balance", "The long form of balance = \"POLICY\".", kBalance};

constexpr Key kFraming[] = {
    {.name = "type", .type = choice, .fallback = "\"raw\"", .meaning = "How octets and messages correspond.",
     .values = "raw", .later = "delimiter|length"},
    {.name = "message", .type = choice, .fallback = "\"binary\"",
     .meaning = "The kind of message that clients receive; a route's `frame` goes before it.",
     .values = "binary|text"},
    {.name = "delimiter", .type = text, .later = "*"},
    {.name = "max_frame", .type = size, .later = "*"},
};
constexpr Table kFramingTable{"backend.NAME.framing", "tcp backends: how messages become octets and back.", kFraming};

constexpr Key kUpstreamTls[] = {
    {.name = "ca", .type = file, .meaning = "Certificates that servers are verified against, PEM; default: the system's.",
     .example = "\"internal-ca.crt\""},
    {.name = "cert", .type = file, .meaning = "The gateway's own certificate, PEM.", .example = "\"gateway.crt\""},
    {.name = "key", .type = file, .meaning = "Its private key, PEM.", .example = "\"gateway.key\""},
    {.name = "server_name", .type = text, .meaning = "SNI and verified name; default: the URL's host.",
     .example = "\"app.internal\""},
};
constexpr Table kUpstreamTlsTable{"backend.NAME.tls", "TLS towards wss servers, which are always verified.",
                                  kUpstreamTls};

constexpr Key kHealth[] = {
    {.name = "type", .type = choice, .fallback = "\"tcp\"", .meaning = "What is tried: a TCP connection.",
     .values = "tcp", .later = "http|websocket"},
    {.name = "interval", .type = duration, .fallback = "\"5s\"", .meaning = "Time between checks.",
     .least = 100 * kMs, .most = kDay},
    {.name = "timeout", .type = duration, .fallback = "\"2s\"", .meaning = "A check that takes longer has failed.",
     .least = 10 * kMs, .most = kHour},
    {.name = "fall", .type = integer, .fallback = "3", .meaning = "Failures in a row that make it down.", .least = 1,
     .most = 1000},
    {.name = "rise", .type = integer, .fallback = "2", .meaning = "Successes in a row that make it up.", .least = 1,
     .most = 1000},
    {.name = "path", .type = text, .later = "*"},
};
constexpr Table kHealthTable{"backend.NAME.health", "Active check of each server; off without this table.", kHealth};

constexpr Key kEjection[] = {
    {.name = "failures", .type = integer, .fallback = "3",
     .meaning = "Failures of real connections in a row that eject a server.", .word = "off", .least = 1, .most = 1000},
    {.name = "base", .type = duration, .fallback = "\"10s\"", .meaning = "Length of the first ejection; it doubles.",
     .least = 10 * kMs, .most = kDay},
    {.name = "max", .type = duration, .fallback = "\"300s\"", .meaning = "Longest ejection.", .least = 10 * kMs,
     .most = kDay},
    {.name = "max_percent", .type = integer, .fallback = "50", .meaning = "Share of servers that may be ejected.",
     .least = 1, .most = 100},
};
constexpr Table kEjectionTable{"backend.NAME.ejection", "Passive health: servers that fail are left out for a while.",
                               kEjection};

constexpr Key kBackend[] = {
    {.name = "servers", .type = entries,
     .meaning = "ws://, wss:// or tcp:// with host and port, each a URL or { url, weight }. No path.",
     .table = &kEntryTable, .example = "[\"ws://127.0.0.1:9000\"]", .required = true},
    {.name = "balance", .type = choice, .fallback = "\"round_robin\"", .meaning = "How a server is chosen.",
     .values = "round_robin|least_connections|random_two|consistent_hash", .later = "sticky",
     .table = &kBalanceTable},
    {.name = "connect_timeout", .type = duration, .fallback = "\"3s\"", .meaning = "Until TCP and TLS stand.",
     .least = 10 * kMs, .most = kHour},
    {.name = "handshake_timeout", .type = duration, .fallback = "\"10s\"", .meaning = "Until its 101.",
     .least = 10 * kMs, .most = kHour},
    {.name = "retries", .type = integer, .fallback = "2",
     .meaning = "Further servers that are tried before anything was forwarded.", .most = 16},
    {.name = "preamble", .type = choice, .fallback = "\"none\"", .meaning = "What is sent ahead to tcp servers.",
     .values = "none", .later = "PROXY1|PROXY2"},
    {.name = "circuit_breaker", .type = table, .later = "*"},
    {.name = "framing", .type = table, .table = &kFramingTable},
    {.name = "tls", .type = table, .table = &kUpstreamTlsTable},
    {.name = "health", .type = table, .table = &kHealthTable},
    {.name = "ejection", .type = table, .table = &kEjectionTable},
};
constexpr Table kBackendTable{"backend.NAME", "Servers that routes refer to by NAME.", kBackend};

constexpr Key kRoot[] = {
    {.name = "version", .type = integer, .fallback = "1", .meaning = "Version of this format."},
    {.name = "include", .type = texts, .fallback = "[]",
     .meaning = "Further files, as patterns relative to this file; their tables are added to these.",
     .example = "[\"routes.d/*.toml\"]"},
    {.name = "server", .type = table, .table = &kServerTable},
    {.name = "log", .type = table, .table = &kLogTable},
    {.name = "admin", .type = table, .table = &kAdminTable},
    {.name = "listener", .type = tables, .table = &kListenerTable},
    {.name = "auth", .type = named, .table = &kAuthTable},
    {.name = "rate_limit", .type = named, .table = &kRateLimitTable},
    {.name = "redis", .type = table, .later = "*"},
    {.name = "route", .type = tables, .table = &kRouteTable},
    {.name = "backend", .type = named, .table = &kBackendTable},
};
constexpr Table kRootTable{"", "The top level.", kRoot};

}  // namespace

const Key* Table::find(std::string_view name) const {
  for (const Key& key : keys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

const Table& root() { return kRootTable; }

std::vector<std::string_view> alternatives(std::string_view list) {
  std::vector<std::string_view> out;
  while (!list.empty()) {
    const std::size_t bar = list.find('|');
    out.push_back(list.substr(0, bar));
    list = bar == std::string_view::npos ? std::string_view() : list.substr(bar + 1);
  }
  return out;
}

}  // namespace sluice::config
