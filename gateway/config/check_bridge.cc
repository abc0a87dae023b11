// Checker: what concerns servers that are reached by a socket of a certain kind, or that speak no WebSocket: paths of unix
// sockets, [backend.NAME.socket].
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"

namespace sluice::config {

// The path is taken as it stands: nothing is decoded, and what could mean another file than it says is refused.
std::string bad_socket_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return "has no absolute path";
  const auto odd = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '%' || c == '?' || c == '#'; };
  if (std::ranges::any_of(path, odd)) return "has a path with a blank, a control, % ? or #";
  for (std::string_view rest = path.substr(1);;) {
    const std::size_t end = rest.find('/');
    const std::string_view segment = rest.substr(0, end);
    if (segment.empty() || segment == "." || segment == "..") return "has a path that is not in its plain form";
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (!net::Address::parse_bind("unix:" + std::string(path))) return "has a path longer than 107 octets";
  return {};
}

void Checker::upstream_socket(const Section& section, upstream::BackendSettings& out) {
  out.socket.nodelay = section.boolean("nodelay");
  out.socket.keepalive_idle = section.duration("keepalive");
  out.socket.keepalive_interval = section.duration("keepalive_interval");
  out.socket.keepalive_count = static_cast<std::uint32_t>(section.number("keepalive_count"));
  out.socket.user_timeout = section.duration("user_timeout");
  const bool none = !out.servers.empty() && std::ranges::all_of(out.servers, [](const auto& server) {
    return !server.unix_path.empty();
  });
  if (section && none) reporter_.warning(section.place(), "'socket' has no effect for unix sockets");
  if (out.socket.keepalive_idle > Duration::zero()) return;
  for (const std::string_view key : {"keepalive_interval", "keepalive_count"}) {
    if (section.has(key)) error(section.place(key), fmt::format("'{}' needs 'keepalive'", key));
  }
}

}  // namespace sluice::config
