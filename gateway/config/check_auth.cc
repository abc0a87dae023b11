// Checker: [auth.NAME].
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "config/check.h"
#include "config/key_file.h"
#include "http/forwarded.h"

namespace sluice::config {
namespace {

constexpr std::array<std::string_view, 8> kExternalKeys{"url",             "timeout",         "request_headers", "response_headers",
                                                        "refusal_headers", "subject_header", "recheck",         "tls"};
constexpr JsonLimits kJwks{.octets = 1024 * 1024, .depth = 16, .members = 1000};

// The kind of key that an algorithm needs, as a JWK says it (RFC 7518 §6.1, RFC 8037).
struct KeyKind {
  std::string_view type;
  std::string_view curve;
};

KeyKind key_kind(net::JwsAlgorithm algorithm) {
  switch (algorithm) {
    case net::JwsAlgorithm::hs256:
    case net::JwsAlgorithm::hs384:
    case net::JwsAlgorithm::hs512: return {"oct", ""};
    case net::JwsAlgorithm::es256: return {"EC", "P-256"};
    case net::JwsAlgorithm::es384: return {"EC", "P-384"};
    case net::JwsAlgorithm::es512: return {"EC", "P-521"};
    case net::JwsAlgorithm::eddsa: return {"OKP", "Ed25519"};
    default: return {"RSA", ""};
  }
}

std::string_view member(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found != nullptr && found->is(Json::Type::string) ? std::string_view(found->text())
                                                           : std::string_view();
}

}  // namespace

bool is_reserved(std::string_view name) {
  for (const std::string_view fixed :
       {"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Cookie", "Origin", "Forwarded",
        "X-Real-IP", "X-Request-Id", "Via", "traceparent", "tracestate"}) {
    if (http::same_alias(name, fixed)) return true;
  }
  for (const std::string_view family : {"Sec-", "X-Forwarded-", "X-Sluice-", "X-Client-Cert-"}) {
    if (name.size() >= family.size() && http::same_alias(name.substr(0, family.size()), family)) return true;
  }
  return false;
}

bool is_field_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

void Checker::auth(const std::string& name, const Section& section) {
  policy::AuthSettings out;
  out.name = name;
  if (section.good("type") && section.text("type") == "external") {
    external_auth(section, out);
    claims(section, out);
    auth_failures(section, out);
    settings_.auths.push_back(std::move(out));
    return;
  }
  if (section.good("type") && section.text("type") == "client_cert") {
    only_for(section, "external", kExternalKeys);
    client_cert(section, out);
    claims(section, out);
    settings_.auths.push_back(std::move(out));
    return;
  }
  if (section.good("type")) {
    only_for(section, "external", kExternalKeys);
    only_for(section, "client_cert", kClientCertKeys);
    auth_type(section, out);
    out.type == policy::AuthSettings::Type::jwt ? auth_keys(section, out) : api_keys(section, out);
    carriers(section, out);
    claims(section, out);
    auth_failures(section, out);
  }
  out.jwt.issuer = section.text("issuer");
  for (const Text& text : section.texts("audience")) out.jwt.audience.push_back(text.text);
  const auto seconds = [&](std::string_view key) {
    const Duration duration = section.duration(key);
    if (duration % std::chrono::seconds(1) != Duration::zero()) {
      error(section.place(key), fmt::format("'{}' must be whole seconds", key));
    }
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  };
  out.jwt.leeway_seconds = seconds("leeway");
  out.jwt.max_lifetime_seconds = seconds("max_lifetime");
  out.close_on_expiry = section.text("on_expiry") == "close";
  out.expiry_close_code = close_code(section, "expiry_close_code");
  for (const std::string_view key : {"expiry_close_code", "expiry_close_reason", "warn_before"}) {
    if (out.close_on_expiry || !section.has(key)) continue;
    error(section.place(key), fmt::format("'{}' has no effect with on_expiry = \"keep\"", key));
  }
  auth_lifetime(section, out);
  settings_.auths.push_back(std::move(out));
}

void Checker::auth_type(const Section& section, policy::AuthSettings& out) {
  using Type = policy::AuthSettings::Type;
  out.type = section.text("type") == "api_key" ? Type::api_key : Type::jwt;
  const bool api_key = out.type == Type::api_key;
  only_for(section, api_key ? "jwt" : "api_key", api_key ? std::span<const std::string_view>(kJwtKeys) : kApiKeyKeys);
}

void Checker::api_keys(const Section& section, policy::AuthSettings& out) {
  std::vector<policy::ApiKey> keys;
  if (!section.has("keys_file")) {
    error(section.place(), fmt::format("[auth.{}] needs 'keys_file'", shown(out.name)), "keys_file = \"keys.toml\"");
  } else if (std::string content = read(section, "keys_file", FileKind::api_keys); !content.empty()) {
    const std::string path = resolve({section.text("keys_file"), section.place("keys_file")});
    keys = read_key_file(reporter_.add_source(path, std::move(content)), reporter_,
                         [this](const Text& name) { return key_limit(name); });
  }
  out.keys = std::make_shared<const policy::ApiKeys>(std::move(keys));
}

// A limit that is named by a key is one of its holder.
bool Checker::key_limit(const Text& name) {
  if (!refers("a key", "rate_limit", name, limits_)) return false;
  using LimitKey = policy::LimitSettings::Key;
  const policy::LimitSettings* const limit = find_limit(name.text);
  if (!limit || limit->key == LimitKey::claim || limit->key == LimitKey::connection) return true;
  error(name.place, fmt::format("limit '{}' does not count by a claim", shown(name.text)),
        "a key names limits with key = \"claim:sub\" or \"connection\"");
  return false;
}

void Checker::auth_failures(const Section& section, policy::AuthSettings& out) {
  if (out.type == policy::AuthSettings::Type::api_key) out.failures = {10, std::chrono::minutes(1)};
  const Node* failures = section.node("failures");
  if (failures == nullptr) return;
  if (failures->octets) return error(failures->place, "'failures' counts no bytes", "write \"10/m\"");
  out.failures.count = section.is_word("failures") ? 0 : static_cast<std::uint64_t>(failures->number);
  if (out.failures.count != 0) out.failures.per = failures->per;
}

void Checker::auth_keys(const Section& section, policy::AuthSettings& auth) {
  policy::JwtSettings& out = auth.jwt;
  bool hmac = false;
  bool other = false;
  for (const Text& text : section.texts("algorithms")) {
    const auto algorithm = net::jws_algorithm(text.text);
    if (!algorithm) continue;
    if (std::find(out.algorithms.begin(), out.algorithms.end(), *algorithm) != out.algorithms.end()) {
      error(text.place, fmt::format("algorithm {} is named twice", text.text));
      continue;
    }
    (net::is_hmac(*algorithm) ? hmac : other) = true;
    out.algorithms.push_back(*algorithm);
  }
  out.secret = Secret(read(section, "secret_file", FileKind::secret));
  out.public_key = read(section, "public_key_file", FileKind::public_key);
  out.jwks = read(section, "jwks_file", FileKind::jwks);
  if (section.refused("algorithms")) return;
  if (!hmac && !other) {
    error(section.place("algorithms"), "'algorithms' must name at least one", "algorithms = [\"ES256\"]");
    return;
  }
  if (hmac && other) {
    // A public key used as an HMAC secret is the oldest forgery there is (RFC 8725 §2.1).
    error(section.place("algorithms"), "HS* and other algorithms must not stand in one [auth]",
          "make two [auth] tables, each with its own keys");
    return;
  }
  key_source(section, hmac, out.source);
  if (section.has("jwks_url") || section.boolean("discovery")) return;
  const bool secret = section.has("secret_file");
  const bool public_key = section.has("public_key_file");
  if (hmac && public_key) {
    error(section.place("public_key_file"), "a public key cannot serve HS*",
          "HS* needs secret_file or jwks_file");
  } else if (other && secret) {
    error(section.place("secret_file"), "a secret serves only HS*",
          "the others need public_key_file or jwks_file");
  } else if (!secret && !public_key && !section.has("jwks_file")) {
    error(section.place(), fmt::format("[auth.{}] has no key for its algorithms", shown(auth.name)),
          hmac ? "set secret_file or jwks_file" : "set public_key_file or jwks_file, or have them fetched: jwks_url or discovery");
  }
  if (section.good("jwks_file") && !out.jwks.empty()) jwks_serves(section, out);
}

void Checker::jwks_serves(const Section& section, const policy::JwtSettings& jwt) {
  const auto set = Json::parse(jwt.jwks, kJwks);
  const Json* keys = set && set->is(Json::Type::object) ? set->find("keys") : nullptr;
  if (keys == nullptr || !keys->is(Json::Type::array) || keys->items().empty()) {
    error(section.place("jwks_file"), fmt::format("{} is no set of keys", shown(section.text("jwks_file"))),
          "a set is { \"keys\": [ ... ] } (RFC 7517 §5)");
    return;
  }
  // A PEM key beside the set is judged when it is loaded; what it serves cannot be seen from here.
  if (section.has("secret_file") || section.has("public_key_file")) return;
  for (const net::JwsAlgorithm algorithm : jwt.algorithms) {
    const KeyKind kind = key_kind(algorithm);
    const bool served = std::any_of(keys->items().begin(), keys->items().end(), [&](const Json& key) {
      if (!key.is(Json::Type::object) || member(key, "kty") != kind.type) return false;
      if (!kind.curve.empty() && member(key, "crv") != kind.curve) return false;
      const std::string_view only = member(key, "alg");
      return only.empty() || only == net::name(algorithm);
    });
    if (!served) {
      error(section.place("algorithms"),
            fmt::format("no key of {} can serve {}", shown(section.text("jwks_file")), net::name(algorithm)));
    }
  }
}

// A carrier of which there is only one.
bool Checker::nameless_carrier(const Text& text, policy::AuthSettings& out) {
  using Kind = policy::Carrier::Kind;
  if (text.text != "kubernetes" && text.text != "first_message") return false;
  const Kind kind = text.text == "kubernetes" ? Kind::kubernetes : Kind::first_message;
  if (std::ranges::find(out.from, kind, &policy::Carrier::kind) != out.from.end()) {
    error(text.place, fmt::format("'from' lists \"{}\" twice", text.text));
  } else {
    out.from.push_back({kind, ""});
  }
  return true;
}

void Checker::carriers(const Section& section, policy::AuthSettings& out) {
  using Kind = policy::Carrier::Kind;
  if (section.good("from") && section.texts("from").empty()) {
    error(section.place("from"), "'from' is empty: no token could ever be found");
  }
  if (out.type == policy::AuthSettings::Type::api_key && !section.has("from")) {
    out.from = {{Kind::header, "X-API-Key"}};
    return;
  }
  for (const Text& text : section.texts("from")) {
    if (nameless_carrier(text, out)) continue;
    const std::size_t colon = text.text.find(':');
    const std::string_view kind = std::string_view(text.text).substr(0, colon);
    policy::Carrier carrier;
    carrier.name = colon == std::string::npos ? "" : text.text.substr(colon + 1);
    const auto& names = policy::Carrier::kKindNames;
    const auto known = std::ranges::find(names, kind);
    if (known == names.end()) {
      const std::string help = did_you_mean(kind, {names.begin(), names.end()});
      error(text.place, fmt::format("'from' has the unknown carrier \"{}\"", shown(text.text)),
            (help.empty() ? "" : help + " ") +
                "allowed: header:NAME, cookie:NAME, query:NAME, subprotocol:MARKER, ticket:NAME, kubernetes, first_message");
      continue;
    }
    carrier.kind = static_cast<Kind>(known - names.begin());
    if (!is_token(carrier.name)) {
      error(text.place, fmt::format("'from': \"{}\" needs a name after '{}:'", shown(text.text), kind));
      continue;
    }
    if (carrier.kind == Kind::header && (!is_field_name(carrier.name) || is_reserved(carrier.name))) {
      error(text.place, fmt::format("header {} cannot carry a token", shown(carrier.name)));
      continue;
    }
    const bool twice = std::any_of(out.from.begin(), out.from.end(), [&](const policy::Carrier& other) {
      const bool same = carrier.kind == Kind::header ? http::same_name(other.name, carrier.name)
                                                     : other.name == carrier.name;
      return other.kind == carrier.kind && (same || carrier.kind == Kind::subprotocol);
    });
    if (twice) {
      error(text.place, fmt::format("'from' lists \"{}\" twice", shown(text.text)));
      continue;
    }
    out.from.push_back(std::move(carrier));
  }
}

void Checker::claims(const Section& section, policy::AuthSettings& out) {
  if (const Node* require = section.node("require")) {
    for (const Member& one : require->members) {
      if (one.value.bad) continue;
      policy::RequiredClaim claim{one.name, {}};
      if (one.value.kind == Node::Kind::boolean && one.value.integer == 0) {
        error(one.value.place, fmt::format("required claim '{}' cannot be false", shown(one.name)),
              "true: it has to be there; a string or a list: one of these values");
        continue;
      }
      if (one.value.kind == Node::Kind::text) claim.any_of.push_back(one.value.text);
      for (const Node& item : one.value.items) claim.any_of.push_back(item.text);
      if (one.value.kind == Node::Kind::array && claim.any_of.empty()) {
        error(one.value.place, fmt::format("required claim '{}' has no values", shown(one.name)));
      }
      out.jwt.required.push_back(std::move(claim));
    }
  }
  const Node* forward = section.node("forward");
  if (forward == nullptr) return;
  for (const Member& one : forward->members) {
    if (one.value.bad) continue;
    const std::string& header = one.value.text;
    if (one.value.kind != Node::Kind::text) {
      error(one.value.place, fmt::format("'forward' of '{}' must be the name of a header", shown(one.name)));
    } else if (!is_field_name(header)) {
      error(one.value.place, fmt::format("\"{}\" is no name of a header", shown(header)),
            "letters, digits and '-' only: backends fold other characters");
    } else if (is_reserved(header)) {
      error(one.value.place, fmt::format("header {} belongs to the gateway or to the connection", header),
            "choose a name of its own, such as X-User-Id");
    } else if (std::any_of(out.forward.begin(), out.forward.end(),
                           [&](const auto& other) { return http::same_alias(other.second, header); })) {
      error(one.value.place, fmt::format("header {} is set by two claims", header));
    } else {
      out.forward.emplace_back(one.name, header);
    }
  }
}

}  // namespace sluice::config
