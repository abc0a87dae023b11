#include "session/stickiness.h"

namespace sluice::session {

namespace {

std::string all_cookies(const http::Head& head) {
  std::string all;
  for (const http::Field& field : head.fields) {
    if (!http::same_name(field.name, "Cookie")) continue;
    if (!all.empty()) all += "; ";
    all += field.value;
  }
  return all;
}

}  // namespace

void read_sticky_cookie(const upstream::Cluster& cluster, Opening& opening, WallTime now) {
  const upstream::BackendSettings& backend = cluster.settings();
  const upstream::StickySettings& sticky = backend.sticky;
  if (sticky.cookie.empty()) return;
  policy::Scrubbed& scrubbed = opening.scrubbed;
  std::string cookies = scrubbed.cookie_changed ? scrubbed.cookie : all_cookies(*opening.request.head);
  const http::CookieValue found = http::cookie_value(cookies, sticky.cookie);
  if (found.count == 0) return;
  // A browser that holds two of that name, of two paths, sends the one of the longer path first (RFC 6265 §5.4).
  opening.sticky = upstream::read_sticky(sticky, backend.name, cluster.servers(), found.value, now);
  scrubbed.cookie = http::without_cookie(cookies, sticky.cookie);
  scrubbed.cookie_changed = true;
}

std::optional<std::string> sticky_cookie(const upstream::Cluster& cluster, const Opening& opening,
                                         const upstream::Server& server, WallTime now) {
  const upstream::BackendSettings& backend = cluster.settings();
  if (backend.sticky.cookie.empty()) return std::nullopt;
  if (opening.sticky.server.get() == &server && !opening.sticky.renew) return std::nullopt;
  return upstream::sticky_field(backend.sticky, upstream::sticky_value(backend.sticky, backend.name, server, now),
                                opening.request.tls.active);
}

}  // namespace sluice::session
