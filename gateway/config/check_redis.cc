// Checker: [redis].
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "config/check.h"
#include "http/url.h"

namespace sluice::config {

namespace {

constexpr std::size_t kMostPrefix = 64;
constexpr std::uint16_t kPort = 6379;

bool is_prefix(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':';
  };
  return !text.empty() && text.size() <= kMostPrefix && std::ranges::all_of(text, good);
}

}  // namespace

void Checker::redis(const Section& section) {
  store::RedisSettings& out = settings_.redis;
  out.timeout = section.duration("timeout");
  out.stale_after = section.duration("stale_after");
  out.closed = section.text("on_store_failure") == "closed";
  out.password = Secret(read(section, "password_file", FileKind::password));
  out.prefix = section.text("prefix");
  if (section.good("prefix") && !is_prefix(out.prefix)) {
    error(section.place("prefix"), fmt::format("'prefix' = \"{}\" cannot begin a key", shown(out.prefix)),
          "1 to 64 letters, digits, '-', '_', '.' and ':'");
  }
  if (section.has("stale_after") && !out.closed) {
    error(section.place("stale_after"), "'stale_after' is for on_store_failure = \"closed\"");
  }
  if (!section.good("url") || !redis_url({section.text("url"), section.place("url")}, out)) return;
  if (!out.username.empty() && !section.has("password_file")) {
    error(section.place("url"), fmt::format("the user '{}' needs 'password_file'", shown(out.username)));
  }
  if (const Section table = section.table("tls")) {
    upstream::UpstreamTls tls;
    client_tls(table, out.tls, tls, "rediss:// servers");
    out.ca = tls.ca;
    out.certificate = tls.certificate;
    out.key = tls.key;
    out.server_name = tls.server_name;
  }
}

// Of the text nothing is repeated: a password may stand in it.
bool Checker::redis_url(const Text& url, store::RedisSettings& out) {
  const auto refuse = [&](std::string_view what, std::string help = {}) {
    error(url.place, fmt::format("the 'url' of [redis] {}", what), std::move(help));
    return false;
  };
  std::string_view rest = url.text;
  if (rest.starts_with("unix:")) {
    const auto socket = net::Address::parse_bind(rest);
    if (!socket) return refuse("names no socket", "write \"unix:/run/redis/redis.sock\"");
    out.socket = *socket;
    out.url = url.text;
    return true;
  }
  const std::size_t scheme = rest.find("://");
  out.tls = rest.starts_with("rediss://");
  if (!out.tls && !rest.starts_with("redis://")) return refuse("has no known scheme", "write redis://HOST:PORT, rediss:// for TLS, or unix:/PATH");
  rest.remove_prefix(scheme + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view database = rest.substr(slash);
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.find(':') != std::string_view::npos) {
      return refuse("holds a password", "passwords come from files: password_file, and the user alone in the URL");
    }
    const bool plain = !user.empty() && user.find_first_of("/%?#\"") == std::string_view::npos &&
                       std::ranges::all_of(user, [](char c) { return c > 0x20 && c < 0x7f; });
    if (at > slash || !plain) return refuse("has a user name that cannot be", "write redis://USER@HOST, with a name that needs no %");
    out.username = user;
    authority.remove_prefix(at + 1);
  }
  // The rules for a host and a port are those of any other URL.
  std::string why;
  const auto parsed = http::Url::parse("http://" + std::string(authority), why);
  if (!parsed || parsed->target != "/") return refuse(parsed ? "has something behind its host" : why, "write redis://HOST:PORT/DATABASE");
  out.host = parsed->host();
  out.port = parsed->authority.port != 0 ? parsed->authority.port : kPort;
  if (database.starts_with('/')) database.remove_prefix(1);
  if (!database.empty()) {
    const auto read = std::from_chars(database.data(), database.data() + database.size(), out.database);
    if (read.ec != std::errc() || read.ptr != database.data() + database.size() || out.database > 65535) {
      return refuse("has a database that is no number", "redis://HOST:PORT/0");
    }
  }
  out.url = url.text;
  return true;
}

}  // namespace sluice::config
