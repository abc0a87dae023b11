#include "policy/jwt.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "http/head.h"
#include "policy/jwks.h"
#include "policy/unknown_keys.h"

namespace sluice::policy {
namespace {

using net::JwsAlgorithm;

constexpr std::size_t kMaxToken = 8 * 1024;
constexpr std::size_t kMaxHeader = 1024;
constexpr JsonLimits kClaims{.octets = kMaxToken, .depth = 16, .members = 100};
constexpr std::int64_t kMaxDate = std::int64_t{1} << 53;  // JSON numbers are exact below (RFC 8259 §6)
constexpr std::int64_t kMaxLeeway = 300;

std::unexpected<Error> bad(const char* detail) { return fail(Errc::bad_token, Side::client, detail); }

// A compact serialisation (RFC 7515 §7.1) cut at its dots.
struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view signed_text;  // header.payload
};

// What may stand in a token: the digits of base64url, and dots.
constexpr auto kAllowed = [] {
  std::array<bool, 256> allowed{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")) {
    allowed[static_cast<std::uint8_t>(c)] = true;
  }
  return allowed;
}();

// No allocation: a token of a million dots costs no more than its length check.
Result<Parts> split(std::string_view token) {
  if (token.size() > kMaxToken) return bad("token too long");
  bool clean = true;  // one answer for all octets: the loop need not stop
  for (const char c : token) clean &= kAllowed[static_cast<std::uint8_t>(c)];
  if (!clean) return bad("octet outside of base64url");
  const std::size_t first = std::min(token.find('.'), token.size());
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return bad("not three parts");
  const Parts parts{token.substr(0, first), token.substr(first + 1, second - first - 1),
                    token.substr(second + 1), token.substr(0, second)};
  if (parts.header.empty() || parts.payload.empty() || parts.signature.empty()) return bad("an empty part");
  return parts;
}

// What `typ` says that it is (RFC 8725 §3.11).
enum class TokenType : std::uint8_t { any, access, logout };

struct JoseHeader {
  JwsAlgorithm algorithm{};
  TokenType type = TokenType::any;
  std::optional<std::string> key_id;
};

// RFC 7515 §4.1.9: "application/" may be left out, media types ignore case. nullopt: of another kind.
std::optional<TokenType> token_type(std::string_view type) {
  constexpr std::string_view kPrefix = "application/";
  if (type.size() > kPrefix.size() && http::same_name(type.substr(0, kPrefix.size()), kPrefix)) {
    type.remove_prefix(kPrefix.size());
  }
  if (http::same_name(type, "JWT")) return TokenType::any;
  if (http::same_name(type, "at+jwt")) return TokenType::access;
  if (http::same_name(type, "logout+jwt")) return TokenType::logout;
  return std::nullopt;
}

// Reads what decides how to check; `jku`, `x5u`, `jwk`, `x5c` and `x5t` are never looked
// at.
Result<JoseHeader> read_header(std::string_view text) {
  if (text.size() > (kMaxHeader * 4 + 2) / 3) return bad("header too long");
  const auto octets = net::from_base64url(text);
  if (!octets) return bad("header is not base64url");
  const auto json = Json::parse(as_text(*octets), {.octets = kMaxHeader, .depth = 16, .members = 100});
  if (!json || !json->is(Json::Type::object)) return bad("header is not a JSON object");
  const Json* algorithm = json->find("alg");
  if (!algorithm || !algorithm->is(Json::Type::string)) return bad("no alg");
  const auto known = net::jws_algorithm(algorithm->text());
  if (!known) return bad("alg not known");
  // RFC 7515 §4.1.11: no extension is understood here, so any `crit` must be refused, an empty one too.
  if (json->find("crit")) return bad("crit");
  if (json->find("zip") || json->find("enc")) return bad("encrypted or compressed");
  if (const Json* b64 = json->find("b64"); b64 && !(b64->is(Json::Type::boolean) && b64->boolean()))
    return bad("b64");
  JoseHeader header{*known, TokenType::any, std::nullopt};
  if (const Json* type = json->find("typ")) {
    const auto called = type->is(Json::Type::string) ? token_type(type->text()) : std::nullopt;
    if (!called) return bad("typ");
    header.type = *called;
  }
  if (const Json* id = json->find("kid")) {
    if (!id->is(Json::Type::string) || id->text().size() > Jwks::kMaxId) return bad("kid");
    header.key_id = id->text();
  }
  return header;
}

bool is_clean(const Json& value) {
  return value.is(Json::Type::string) && value.text().find('\0') == std::string::npos;
}

// Absent: nullopt. A number with fraction, exponent or sign, or beyond 2^53, is an Error.
Result<std::optional<std::int64_t>> date(const Json& claims, std::string_view name, const char* detail) {
  const Json* value = claims.find(name);
  if (!value) return std::nullopt;
  if (!value->is(Json::Type::integer) || value->text().starts_with('-') || value->integer() >= kMaxDate)
    return bad(detail);
  return value->integer();
}

// RFC 7519 §4.1.3: a string, or an array of strings.
bool is_audience(const Json& value) {
  return is_clean(value) ||
         (value.is(Json::Type::array) && std::all_of(value.items().begin(), value.items().end(), is_clean));
}

bool names_one_of(const Json& value, const std::vector<std::string>& wanted) {
  const auto is_wanted = [&](std::string_view text) {
    return std::find(wanted.begin(), wanted.end(), text) != wanted.end();
  };
  switch (value.type()) {
    case Json::Type::boolean: return is_wanted(value.boolean() ? "true" : "false");
    case Json::Type::integer:
    case Json::Type::string: return is_wanted(value.text());
    case Json::Type::array:
      return std::any_of(value.items().begin(), value.items().end(), [&](const Json& item) {
        return item.is(Json::Type::string) && is_wanted(item.text());
      });
    default: return false;
  }
}

// RFC 8693 §4.2: `scope` is words with one space between.
bool has_word_of(std::string_view words, const std::vector<std::string>& wanted) {
  while (!words.empty()) {
    const std::size_t space = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, space);
    if (!word.empty() && std::find(wanted.begin(), wanted.end(), word) != wanted.end()) return true;
    words.remove_prefix(std::min(space + 1, words.size()));
  }
  return false;
}

bool satisfies(const Json& claims, const RequiredClaim& rule) {
  const Json* claim = claims.find(rule.name);
  if (!claim || claim->is(Json::Type::null)) return false;
  if (rule.any_of.empty()) return true;
  if (rule.name == "scope" && claim->is(Json::Type::string)) return has_word_of(claim->text(), rule.any_of);
  return names_one_of(*claim, rule.any_of);
}

bool contains(const std::vector<JwsAlgorithm>& list, JwsAlgorithm algorithm) {
  return std::find(list.begin(), list.end(), algorithm) != list.end();
}

}  // namespace

struct Jwt::Impl {
  JwtSettings rules;  // without the keys
  Jwks set;
  std::optional<Jwk> single;  // the key of a PEM file or a secret
  // Of keys from elsewhere: where they come from, which of them `set` has, and what is parsed into.
  std::shared_ptr<KeySource> source;
  std::uint64_t generation = 0;
  bool loaded = false;
  net::CryptoContext* context = nullptr;
  UnknownKeys unknown;
  // One issuer writes the same header into all its tokens: what was read from the last good one is kept. Only the
  // worker that owns this asks.
  std::string last_header_text;
  JoseHeader last_header;

  Result<JoseHeader> header_of(std::string_view text);
  bool load(net::CryptoContext& crypto, const JwtSettings& settings, std::string& why);
  void refresh();
  // The key id that a token names; nullopt when it names none or is no token.
  std::optional<std::string> key_id_of(std::string_view token);
  bool every_algorithm_served(std::string& why) const;
  Result<const Jwk*> choose(const JoseHeader& header) const;
  Result<Json> claims_of(std::string_view token, TokenType never);
  Result<std::int64_t> check_dates(const Json& claims, WallTime now) const;  // `exp`
  Result<void> check_parties(const Json& claims) const;
};

bool Jwt::Impl::load(net::CryptoContext& crypto, const JwtSettings& settings, std::string& why) {
  if (settings.algorithms.empty()) return why = "no algorithm is allowed", false;
  if (settings.leeway_seconds < 0 || settings.leeway_seconds > kMaxLeeway) {
    return why = "leeway must be between 0 and 300 s", false;
  }
  const bool symmetric = net::is_hmac(settings.algorithms.front());
  for (const JwsAlgorithm algorithm : settings.algorithms) {
    // One [auth] is either for a shared secret or for public keys: a public key must never meet HS*.
    // (Algorithm confusion, RFC 8725 §2.1.)
    if (net::is_hmac(algorithm) != symmetric) return why = "HS* cannot be mixed with other algorithms", false;
  }
  const int sources =
      !settings.secret.empty() + !settings.public_key.empty() + !settings.jwks.empty() + (source != nullptr);
  if (sources != 1) return why = "exactly one of a secret, a public key and a JWK Set is needed", false;
  // A secret that travels is none, and what is fetched must never be able to make one of a public key.
  if (source && symmetric) return why = "keys from elsewhere cannot serve HS*", false;
  if (!settings.secret.empty() && !symmetric) return why = "a secret serves HS* only", false;
  if (!settings.public_key.empty() && symmetric) return why = "a public key cannot serve HS*", false;
  if (!settings.jwks.empty()) {
    auto parsed = Jwks::parse(crypto, settings.jwks, symmetric, why);
    if (!parsed) return false;
    set = std::move(*parsed);
  } else if (!source) {
    auto key = symmetric ? net::VerifyKey::from_secret(crypto, settings.secret.reveal(), why)
                         : net::VerifyKey::from_pem(crypto, settings.public_key, why);
    if (!key) return false;
    single = Jwk{{}, false, std::nullopt, std::move(*key)};
  }
  rules.algorithms = settings.algorithms;
  rules.issuer = settings.issuer;
  rules.audience = settings.audience;
  rules.leeway_seconds = settings.leeway_seconds;
  rules.max_lifetime_seconds = settings.max_lifetime_seconds;
  rules.required = settings.required;
  // Of keys that come and go nobody can promise what they serve.
  return source || every_algorithm_served(why);
}

// Parses the keys that are there now, if these are others. Main has looked at the same text before it gave it out; what
// cannot be read all the same leaves no keys behind.
void Jwt::Impl::refresh() {
  if (!source || source->generation() == generation) return;
  const auto keys = source->keys();
  generation = keys ? keys->generation : source->generation();
  std::string why;
  auto parsed = keys ? Jwks::parse(*context, keys->text, false, why) : std::nullopt;
  loaded = parsed.has_value();
  set = parsed ? std::move(*parsed) : Jwks();
}

std::optional<std::string> Jwt::Impl::key_id_of(std::string_view token) {
  const auto parts = split(token);
  const auto header = parts ? header_of(parts->header) : Result<JoseHeader>(std::unexpected(parts.error()));
  return header ? header->key_id : std::nullopt;
}

Result<JoseHeader> Jwt::Impl::header_of(std::string_view text) {
  if (text != last_header_text) {
    last_header = TRY(read_header(text));
    last_header_text = text;
  }
  return last_header;
}

bool Jwt::Impl::every_algorithm_served(std::string& why) const {
  for (const JwsAlgorithm algorithm : rules.algorithms) {
    const auto serves = [&](const Jwk& jwk) { return jwk.serves(algorithm); };
    if (single ? !serves(*single) : std::none_of(set.keys().begin(), set.keys().end(), serves)) {
      why = "no key can serve " + std::string(net::name(algorithm));
      return false;
    }
  }
  return true;
}

// By key id; without one only when there is no choice. The key of a PEM file or a secret has no id and serves
// any.
Result<const Jwk*> Jwt::Impl::choose(const JoseHeader& header) const {
  if (!contains(rules.algorithms, header.algorithm)) return bad("alg not allowed");
  if (source && !loaded) return fail(Errc::keys_unavailable, Side::gateway, "no keys to check it by");
  const Jwk* jwk = nullptr;
  if (single) {
    jwk = &*single;
  } else if (header.key_id) {
    jwk = set.find(*header.key_id);
    if (!jwk && source) return fail(Errc::unknown_key, Side::client, "kid not known");
    if (!jwk) return bad("kid not known");
  } else if (set.keys().size() == 1) {
    jwk = &set.keys().front();
  } else {
    return bad("no kid, and more than one key");
  }
  if (!jwk->serves(header.algorithm)) return bad("alg does not fit the key");
  return jwk;
}

Result<std::int64_t> Jwt::Impl::check_dates(const Json& claims, WallTime now) const {
  const auto exp = TRY(date(claims, "exp", "exp is not a date"));
  const auto nbf = TRY(date(claims, "nbf", "nbf is not a date"));
  const auto iat = TRY(date(claims, "iat", "iat is not a date"));
  if (!exp) return bad("no exp");
  const auto leeway = std::chrono::seconds(rules.leeway_seconds);
  const auto at = [](std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); };
  if (now >= at(*exp) + leeway) return fail(Errc::token_expired, Side::client, "exp");
  if (nbf && now + leeway < at(*nbf)) return bad("nbf is ahead");
  if (iat && now + leeway < at(*iat)) return bad("iat is ahead");
  if (rules.max_lifetime_seconds > 0) {
    if (!iat) return bad("no iat, which max_lifetime needs");
    if (*exp - *iat > rules.max_lifetime_seconds) return bad("lives longer than max_lifetime");
  }
  return *exp;
}

Result<void> Jwt::Impl::check_parties(const Json& claims) const {
  const Json* issuer = claims.find("iss");
  const Json* audience = claims.find("aud");
  const Json* subject = claims.find("sub");
  if (issuer && !is_clean(*issuer)) return bad("iss is not a string");
  if (subject && !is_clean(*subject)) return bad("sub is not a string");
  if (audience && !is_audience(*audience)) return bad("aud is not a string or a list of strings");
  if (!rules.issuer.empty() && (!issuer || issuer->text() != rules.issuer)) return bad("iss");
  if (!rules.audience.empty() && (!audience || !names_one_of(*audience, rules.audience))) return bad("aud");
  return {};
}

Jwt::Jwt(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Jwt::~Jwt() = default;

std::unique_ptr<Jwt> Jwt::make(net::CryptoContext& context, const JwtSettings& settings, std::string& why,
                               std::shared_ptr<KeySource> source) {
  auto impl = std::make_unique<Impl>();
  impl->context = &context;
  impl->source = std::move(source);
  if (!impl->load(context, settings, why)) return nullptr;
  return std::unique_ptr<Jwt>(new Jwt(std::move(impl)));
}

const std::vector<std::string>& Jwt::warnings() const { return impl_->set.warnings(); }
std::uint64_t Jwt::generation() const { return impl_->source ? impl_->source->generation() : 0; }

std::unique_ptr<KeySource::Wait> Jwt::wait(std::string_view token, Instant now, KeySource::Waker waker) const {
  if (!impl_->source) return nullptr;
  const auto id = impl_->key_id_of(token);
  if (id && impl_->unknown.holds(*id, now)) return nullptr;
  return impl_->source->wait(now, std::move(waker));
}

void Jwt::give_up(std::string_view token, Instant now) const {
  if (const auto id = impl_->key_id_of(token)) impl_->unknown.add(*id, now);
}

// Of a token that a holder of the key has signed. `never`: what its `typ` must not be.
Result<Json> Jwt::Impl::claims_of(std::string_view token, TokenType never) {
  const Parts parts = TRY(split(token));
  const JoseHeader header = TRY(header_of(parts.header));
  if (header.type == never) return bad("typ");
  refresh();
  const Jwk* jwk = TRY(choose(header));
  const auto signature = net::from_base64url(parts.signature);
  if (!signature) return bad("signature is not base64url");
  if (!jwk->key.verify(header.algorithm, as_bytes(parts.signed_text), *signature)) return bad("signature");

  // Nobody but a holder of the key has written what follows.
  const auto octets = net::from_base64url(parts.payload);
  if (!octets) return bad("payload is not base64url");
  auto claims = Json::parse(as_text(*octets), kClaims);
  if (!claims || !claims->is(Json::Type::object)) return bad("payload is not a JSON object");
  return std::move(*claims);
}

Result<LogoutToken> Jwt::verify_logout(std::string_view token, WallTime now) const {
  const Json claims = TRY(impl_->claims_of(token, TokenType::access));
  const auto leeway = std::chrono::seconds(impl_->rules.leeway_seconds);
  TRY(date(claims, "exp", "exp is not a date"));
  const auto iat = TRY(date(claims, "iat", "iat is not a date"));
  if (iat && now + leeway < WallTime(std::chrono::seconds(*iat))) return bad("iat is ahead");
  TRY_VOID(impl_->check_parties(claims));
  return LogoutToken::read(claims, now, leeway);
}

Result<Identity> Jwt::verify(std::string_view token, WallTime now) const {
  Json claims = TRY(impl_->claims_of(token, TokenType::logout));
  if (LogoutToken::is_one(claims)) return bad("a logout token");
  const std::int64_t expiry = TRY(impl_->check_dates(claims, now));
  if (const auto parties = impl_->check_parties(claims); !parties) return fail(parties.error());
  for (const RequiredClaim& rule : impl_->rules.required) {
    if (!satisfies(claims, rule)) return fail(Errc::scope, Side::client, "a required claim");
  }
  Identity identity;
  identity.method = "jwt";
  identity.expires = true;
  identity.expiry = WallTime(std::chrono::seconds(expiry));
  if (const Json* subject = claims.find("sub")) identity.subject = subject->text();
  identity.claims = std::move(claims);
  return identity;
}

Result<std::string> Jwt::claimed_issuer(std::string_view token) {
  const Parts parts = TRY(split(token));
  const auto octets = net::from_base64url(parts.payload);
  if (!octets) return bad("payload is not base64url");
  const auto claims = Json::parse(as_text(*octets), kClaims);
  if (!claims || !claims->is(Json::Type::object)) return bad("payload is not a JSON object");
  const Json* issuer = claims->find("iss");
  if (!issuer || !is_clean(*issuer)) return bad("no iss, and the route has several issuers");
  return issuer->text();
}

std::optional<std::string> mint(net::CryptoContext& context, net::JwsAlgorithm algorithm,
                                std::string_view key, std::string_view key_id, std::string_view claims,
                                std::string& why) {
  const auto json = Json::parse(claims, kClaims);
  if (!json || !json->is(Json::Type::object)) {
    why = "the claims are not a JSON object";
    return std::nullopt;
  }
  if (key_id.size() > Jwks::kMaxId) {
    why = "a key id may have 128 octets at most";
    return std::nullopt;
  }
  JsonWriter header;
  header.begin_object().field("alg", net::name(algorithm)).field("typ", "JWT");
  if (!key_id.empty()) header.field("kid", key_id);
  header.end_object();
  std::string token = net::base64url(as_bytes(header.text())) + "." + net::base64url(as_bytes(claims));
  const auto signature = net::sign(context, algorithm, key, as_bytes(token), why);
  if (!signature) return std::nullopt;
  token += "." + net::base64url(*signature);
  if (token.size() > kMaxToken) {
    why = "the token would be longer than 8 KiB";
    return std::nullopt;
  }
  return token;
}

}  // namespace sluice::policy
