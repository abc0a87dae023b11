#include "policy/authenticator.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace sluice::policy {
namespace {

using Kind = Carrier::Kind;

// What one carrier holds: nothing, one credential, or more than one.
struct Found {
  std::size_t count = 0;
  std::string text;
};

// RFC 6750 §2.1, RFC 9110 §11.1: the scheme ignores case; another scheme is no credential of ours. One
// without a token is a credential, and a bad one.
Found in_authorization(std::string_view value) {
  const std::size_t end = std::min(value.find(' '), value.size());
  if (!http::same_name(value.substr(0, end), "Bearer")) return {};
  value.remove_prefix(std::min(value.find_first_not_of(' ', end), value.size()));
  return {1, std::string(value)};
}

Found in_header(const http::Head& head, std::string_view name) {
  const std::size_t count = head.count(name);
  if (count != 1) return {count, {}};
  const std::string_view value = *head.find(name);
  if (http::same_name(name, "Authorization")) return in_authorization(value);
  return {value.empty() ? 0U : 1U, std::string(value)};
}

// HTTP/2 clients may send one Cookie field for each cookie (RFC 9113 §8.2.3).
Found in_cookies(const http::Head& head, std::string_view name) {
  Found found;
  for (const http::Field& field : head.fields) {
    if (!http::same_name(field.name, "Cookie")) continue;
    const http::CookieValue cookie = http::cookie_value(field.value, name);
    if (found.count == 0 && cookie.count > 0) found.text = cookie.value;
    found.count += cookie.count;
  }
  // RFC 6265 §4.1.1: a value may stand in quotes, which are not part of it.
  if (found.text.size() >= 2 && found.text.front() == '"' && found.text.back() == '"') {
    found.text = found.text.substr(1, found.text.size() - 2);
  }
  if (found.count == 1 && found.text.empty()) found.count = 0;
  return found;
}

Found in_query(std::string_view query, std::string_view name) {
  http::QueryValue value = http::query_value(query, name);
  if (value.count == 1 && value.value.empty()) value.count = 0;
  return {value.count, std::move(value.value)};
}

// The entry behind the marker is the token; subprotocols compare exactly (RFC 6455 §4.1).
Found in_subprotocols(const std::vector<std::string_view>& offer, std::string_view marker) {
  Found found;
  for (std::size_t i = 0; i < offer.size(); ++i) {
    if (offer[i] != marker) continue;
    if (++found.count == 1 && i + 1 < offer.size()) found.text = offer[i + 1];
  }
  return found;
}

// The token itself is one of the offered names; what it decodes to is judged by find().
Found in_kubernetes(const std::vector<std::string_view>& offer) {
  Found found;
  for (const std::string_view name : offer) {
    if (!name.starts_with(kKubernetesToken)) continue;
    if (++found.count == 1) found.text = name.substr(kKubernetesToken.size());
  }
  return found;
}

// A plain request that only reads, whose answer no other origin's page gets to see (RFC 9110 §9.2.1).
bool is_safe(const http::Request& request) {
  return request.kind == http::Request::Kind::http && (request.head->method == "GET" || request.head->method == "HEAD");
}

Found in_carrier(const Carrier& carrier, const http::Request& request, const std::vector<std::string_view>& offer) {
  switch (carrier.kind) {
    case Kind::header: return in_header(*request.head, carrier.name);
    case Kind::cookie:
      // Every browser names its Origin when it opens a WebSocket or sends anything that may change something. Without
      // one there is nothing to check a cookie's use against, so the cookie is no credential.
      return request.head->find("Origin") || is_safe(request) ? in_cookies(*request.head, carrier.name) : Found{};
    case Kind::query:
    case Kind::ticket: return in_query(request.target.query, carrier.name);
    case Kind::subprotocol: return in_subprotocols(offer, carrier.name);
    case Kind::kubernetes: return in_kubernetes(offer);
    case Kind::first_message: return {};  // nobody has said anything yet
  }
  return {};
}

// The offer without every listed marker and the entry behind it, and without Kubernetes' tokens.
std::vector<std::string_view> without_tokens(const std::vector<Carrier>& carriers,
                                             const std::vector<std::string_view>& offer) {
  std::vector<std::string_view> left;
  for (std::size_t i = 0; i < offer.size(); ++i) {
    const bool is_marker = std::any_of(carriers.begin(), carriers.end(), [&](const Carrier& carrier) {
      return carrier.kind == Kind::subprotocol && carrier.name == offer[i];
    });
    const bool is_token = offer[i].starts_with(kKubernetesToken) &&
                          std::ranges::find(carriers, Kind::kubernetes, &Carrier::kind) != carriers.end();
    if (is_marker) {
      ++i;
    } else if (!is_token) {
      left.push_back(offer[i]);
    }
  }
  return left;
}

// Its own text, out of a subprotocol's name. Kubernetes wants another subprotocol beside it, which can be answered: this one
// would be shown to everybody who sees the answer.
Result<std::string> decoded_kubernetes(std::string_view text, bool alone) {
  if (alone) return fail(Errc::bad_token, Side::client, "no subprotocol is offered beside the token");
  const auto octets = net::from_base64url(text);
  if (!octets || octets->empty()) return fail(Errc::bad_token, Side::client, "the token in the subprotocol is no base64url");
  return std::string(octets->begin(), octets->end());
}

Result<Identity> verify_token(const Method& method, std::string_view token, WallTime now, bool& remembered) {
  if (!method.cache || token.size() > TokenCache::kMaxToken) return method.jwt->verify(token, now);
  const net::Sha256 digest = net::sha256(as_bytes(token));
  if (const Identity* known = method.cache->find(digest, method.jwt->generation(), now)) {
    remembered = true;
    return *known;
  }
  Identity identity = TRY(method.jwt->verify(token, now));
  const auto leeway = std::chrono::seconds(method.settings->leeway_seconds());
  method.cache->keep(digest, token.size(), identity, now, identity.expiry + leeway);
  return identity;
}

}  // namespace

Authenticator::Authenticator(std::vector<Method> methods, bool tickets) : methods_(std::move(methods)), tickets_(tickets) {
  for (const Method& method : methods_) std::ranges::copy(method.settings->from, std::back_inserter(carriers_));
}

Result<Credential> Authenticator::find(const http::Request& request,
                                       const std::vector<std::string_view>& subprotocols) const {
  for (const Method& method : methods_) {
    if (method.external) return Credential{{}, &method, nullptr, nullptr, false};
    if (method.settings->type == AuthSettings::Type::client_cert && request.tls.certificate) {
      return Credential{{}, &method, nullptr, request.tls.certificate.get(), false};
    }
    for (const Carrier& carrier : method.settings->from) {
      if (carrier.kind == Kind::ticket && !tickets_) continue;
      Found found = in_carrier(carrier, request, subprotocols);
      if (found.count == 0) continue;
      if (found.count > 1)
        return fail(Errc::dup_token, Side::client, "the credential stands there more than once");
      const bool marker_only = !subprotocols.empty() && without_tokens(carriers_, subprotocols).empty();
      if (carrier.kind == Kind::kubernetes) found.text = TRY(decoded_kubernetes(found.text, marker_only));
      Credential credential;
      credential.method = TRY(method_for(carrier, found.text));
      credential.text = Secret(std::move(found.text));
      credential.carrier = &carrier;
      credential.marker_only = marker_only;
      return credential;
    }
  }
  return fail(Errc::no_token, Side::client, "no credential");
}

const AuthSettings* Authenticator::first_message() const {
  for (const Method& method : methods_) {
    for (const Carrier& carrier : method.settings->from) {
      if (carrier.kind == Kind::first_message) return method.settings;
    }
  }
  return nullptr;
}

Result<Credential> Authenticator::find_in_message(Secret token) const {
  const auto carrier = std::ranges::find(carriers_, Kind::first_message, &Carrier::kind);
  sluice::check(carrier != carriers_.end(), "a first message that nobody asked for");
  const Method* const method = TRY(method_for(*carrier, token.reveal()));
  return Credential{std::move(token), method, &*carrier, false};
}

Credential Authenticator::fresh(const AuthSettings& auth, Secret token) const {
  const auto method = std::ranges::find(methods_, &auth, &Method::settings);
  sluice::check(method != methods_.end(), "a fresh token for an auth of another route");
  return Credential{std::move(token), &*method, nullptr, false};
}

// Several issuers may share a carrier: `iss` says which one to ask, and that one says whether it is true.
Result<const Method*> Authenticator::method_for(const Carrier& carrier, std::string_view text) const {
  const auto has = [&](const Method& method) {
    return std::ranges::find(method.settings->from, carrier) != method.settings->from.end();
  };
  const auto first = std::ranges::find_if(methods_, has);
  if (carrier.kind == Kind::ticket) return &*first;  // until its record says whose it is
  if (std::find_if(first + 1, methods_.end(), has) == methods_.end()) return &*first;
  const std::string issuer = TRY(Jwt::claimed_issuer(text));
  const auto found = std::ranges::find_if(methods_, [&](const Method& method) {
    return has(method) && method.settings->jwt.issuer == issuer;
  });
  if (found == methods_.end()) return fail(Errc::bad_token, Side::client, "iss of no auth of the route");
  return &*found;
}

Result<Authenticated> Authenticator::verify(const Credential& credential, WallTime now) const {
  const Method& method = *credential.method;
  bool remembered = false;
  using Type = AuthSettings::Type;
  const Type type = method.settings->type;
  Identity identity = type == Type::client_cert ? TRY(identify(*credential.certificate, method.settings->client_cert, now))
                      : type == Type::api_key   ? TRY(method.settings->keys->verify(credential.text.reveal(), now))
                                                : TRY(verify_token(method, credential.text.reveal(), now, remembered));
  return Authenticated{std::move(identity), method.settings, credential.carrier, credential.marker_only, remembered};
}

const Method* Authenticator::named(std::string_view auth) const {
  const auto found = std::ranges::find_if(methods_, [&](const Method& method) { return method.settings->name == auth; });
  return found == methods_.end() ? nullptr : &*found;
}

std::unique_ptr<KeySource::Wait> Authenticator::wait(const Credential& credential, Instant now,
                                                     KeySource::Waker waker) const {
  return credential.method->jwt->wait(credential.text.reveal(), now, std::move(waker));
}

void Authenticator::give_up(const Credential& credential, Instant now) const {
  credential.method->jwt->give_up(credential.text.reveal(), now);
}

Result<Authenticated> Authenticator::check(const http::Request& request,
                                           const std::vector<std::string_view>& subprotocols, WallTime now) const {
  return verify(TRY(find(request, subprotocols)), now);
}

Scrubbed scrub(const std::vector<Carrier>& carriers, const http::Request& request,
               const std::vector<std::string_view>& subprotocols) {
  Scrubbed scrubbed;
  if (carriers.empty()) {  // nothing changes: plain requests of open routes copy no query and no cookies
    scrubbed.subprotocols = subprotocols;
    return scrubbed;
  }
  scrubbed.query = request.target.query;
  for (const http::Field& field : request.head->fields) {
    if (!http::same_name(field.name, "Cookie")) continue;
    if (!scrubbed.cookie.empty()) scrubbed.cookie += "; ";
    scrubbed.cookie += field.value;
  }
  for (const Carrier& carrier : carriers) {
    switch (carrier.kind) {
      case Kind::header: scrubbed.dropped_fields.push_back(carrier.name); break;
      case Kind::cookie:
        if (http::cookie_value(scrubbed.cookie, carrier.name).count == 0) break;
        scrubbed.cookie = http::without_cookie(scrubbed.cookie, carrier.name);
        scrubbed.cookie_changed = true;
        break;
      case Kind::query:
      case Kind::ticket:
        if (http::query_value(scrubbed.query, carrier.name).count == 0) break;
        scrubbed.query = http::without_query(scrubbed.query, carrier.name);
        scrubbed.query_changed = true;
        break;
      case Kind::subprotocol:
      case Kind::kubernetes:
      case Kind::first_message: break;
    }
  }
  scrubbed.subprotocols = without_tokens(carriers, subprotocols);
  return scrubbed;
}

namespace {

constexpr std::array<std::string_view, 9> kSecretNames{"access_token", "token",    "ticket", "api_key", "key",
                                                       "secret",       "password", "code",   "sig"};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string decoded(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const int high = name[i] == '%' && i + 2 < name.size() ? hex_digit(name[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
    if (low >= 0) {
      out.push_back(static_cast<char>(high << 4 | low));
      i += 2;
    } else {
      out.push_back(name[i]);
    }
  }
  return out;
}

bool is_secret(std::string_view raw_name, const std::vector<Carrier>& carriers) {
  const std::string name = decoded(raw_name);
  const auto is_name = [&](std::string_view secret) { return http::same_name(secret, name); };
  return std::any_of(kSecretNames.begin(), kSecretNames.end(), is_name) ||
         std::any_of(carriers.begin(), carriers.end(), [&](const Carrier& carrier) {
           return (carrier.kind == Kind::query || carrier.kind == Kind::ticket) && is_name(carrier.name);
         });
}

// A compact JWS or JWE: in base64url, the object that is its header begins so. Wherever a client puts one, it is a credential.
bool is_token(std::string_view value) { return value.starts_with("eyJ") && std::ranges::count(decoded(value), '.') >= 2; }

}  // namespace

std::string redact_query(std::string_view query, const std::vector<Carrier>& carriers) {
  std::string out;
  out.reserve(query.size());
  while (!query.empty()) {
    // Some backends take ';' for a separator too: what follows it must not hide in the value before it.
    const std::size_t end = std::min(query.find_first_of("&;"), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && (is_secret(pair.substr(0, equals), carriers) || is_token(pair.substr(equals + 1)))) {
      out.append(pair.substr(0, equals)).append("=[redacted]");
    } else {
      out.append(pair);
    }
    if (end < query.size()) out.push_back(query[end]);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

}  // namespace sluice::policy
