#include "http/url.h"

#include "http/octets.h"

namespace sluice::http {

std::optional<Url> Url::parse(std::string_view text, std::string& why) {
  const auto refuse = [&](const char* reason) {
    why = reason;
    return std::nullopt;
  };
  if (text.size() > kMost) return refuse("is longer than 2048 octets");
  if (!all_octets(text, kTarget)) return refuse("holds an octet that no URL may hold");
  Url url;
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos || !(same_name(scheme, "https") || same_name(scheme, "http"))) {
    return refuse("does not begin with https://");
  }
  url.secure = scheme.size() == 5;
  text.remove_prefix(scheme_end + 3);
  // Parsers disagree about a backslash: to some it ends the authority.
  if (text.find_first_of("#\\") != std::string_view::npos) return refuse("has a fragment or a backslash");
  const std::string_view authority = text.substr(0, text.find_first_of("/?"));
  if (authority.find('@') != std::string_view::npos) return refuse("holds a user name");
  auto parsed = parse_authority(authority);
  if (!parsed) return refuse("has no valid host and port");
  url.authority = std::move(*parsed);
  const std::string_view target = text.substr(authority.size());
  url.target = target.starts_with('/') ? "" : "/";
  url.target += target;
  return url;
}

std::string Url::host() const {
  const std::string& host = authority.host;
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

std::uint16_t Url::port() const {
  if (authority.port != 0) return authority.port;
  return secure ? 443 : 80;
}

std::string Url::text() const { return (secure ? "https://" : "http://") + authority.text() + target; }

}  // namespace sluice::http
