#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace sluice {

namespace {

constexpr ErrorRow kRows[] = {
#define X(name, stage, status, close, level, retry) {#name, Stage::stage, status, close, Level::level, retry},
    SLUICE_ERRORS(X)
#undef X
};
static_assert(std::size(kRows) == kErrcCount);

}  // namespace

const ErrorRow& row(Errc code) { return kRows[static_cast<std::size_t>(code)]; }

std::string_view name(Stage stage) {
  constexpr std::string_view kNames[] = {"accept", "proxy_hdr", "tls",     "head", "route",    "origin", "auth",
                                         "ratelimit", "backend", "ws", "overload", "drain", "admin"};
  return kNames[static_cast<std::size_t>(stage)];
}

std::string_view name(Side side) {
  constexpr std::string_view kNames[] = {"client", "backend", "gateway"};
  return kNames[static_cast<std::size_t>(side)];
}

std::string_view name(Level level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};
  return kNames[static_cast<std::size_t>(level)];
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 204: return "No Content";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 421: return "Misdirected Request";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

void check_failed(const char* why) {
  std::fprintf(stderr, "sluice: impossible state: %s\n", why);
  std::abort();
}

}  // namespace sluice
