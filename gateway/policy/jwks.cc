#include "policy/jwks.h"

#include <algorithm>
#include <utility>

namespace sluice::policy {
namespace {

using net::VerifyKey;

// A string member, or nullptr when it is absent or something else.
const std::string* text_member(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  return member && member->is(Json::Type::string) ? &member->text() : nullptr;
}

using Octets = std::optional<std::vector<std::uint8_t>>;

Octets octets_member(const Json& object, std::string_view name) {
  const std::string* text = text_member(object, name);
  return text ? net::from_base64url(*text) : std::nullopt;
}

// RFC 7517 §4.2, §4.3: what the key is meant for, when it says so.
bool is_for_signatures(const Json& jwk) {
  if (const Json* use = jwk.find("use"); use && (!use->is(Json::Type::string) || use->text() != "sig"))
    return false;
  const Json* operations = jwk.find("key_ops");
  if (!operations) return true;
  return operations->is(Json::Type::array) &&
         std::any_of(operations->items().begin(), operations->items().end(),
                     [](const Json& item) { return item.is(Json::Type::string) && item.text() == "verify"; });
}

std::optional<VerifyKey> key_of(net::CryptoContext& context, const Json& jwk, bool symmetric,
                                std::string& why) {
  const std::string* kind = text_member(jwk, "kty");
  if (!kind) return why = "no kty", std::nullopt;
  if ((*kind == "oct") != symmetric) {
    return why = symmetric ? "not a symmetric key, but the algorithms are HS*"
                           : "a symmetric key, but no HS* is allowed",
           std::nullopt;
  }
  if (!symmetric && jwk.find("d")) return why = "it holds a private key", std::nullopt;
  const auto missing = [&] { return why = "a member is missing or is not base64url", std::nullopt; };
  if (symmetric) {
    const Octets secret = octets_member(jwk, "k");
    if (!secret) return missing();
    return VerifyKey::from_secret(context, as_text(*secret), why);
  }
  if (*kind == "RSA") {
    const Octets n = octets_member(jwk, "n");
    const Octets e = octets_member(jwk, "e");
    if (!n || !e) return missing();
    return VerifyKey::from_rsa(context, *n, *e, why);
  }
  const std::string* curve = text_member(jwk, "crv");
  const Octets x = octets_member(jwk, "x");
  if (*kind == "EC") {
    const Octets y = octets_member(jwk, "y");
    if (!curve || !x || !y) return missing();
    return VerifyKey::from_ec(context, *curve, *x, *y, why);
  }
  if (*kind == "OKP") {
    if (!curve || !x) return missing();
    if (*curve != "Ed25519") return why = "the curve must be Ed25519", std::nullopt;
    return VerifyKey::from_ed25519(context, *x, why);
  }
  return why = "unknown kty", std::nullopt;
}

}  // namespace

void Jwks::add(net::CryptoContext& context, const Json& jwk, std::size_t index, bool symmetric) {
  std::string why;
  const auto leave_out = [&] {
    warnings_.push_back("key " + std::to_string(index + 1) + " left out: " + why);
  };
  if (!jwk.is(Json::Type::object)) return why = "not an object", leave_out();
  if (!is_for_signatures(jwk)) return why = "not for checking signatures (use, key_ops)", leave_out();
  const Json* id = jwk.find("kid");
  if (id && (!id->is(Json::Type::string) || id->text().empty() || id->text().size() > kMaxId)) {
    return why = "its kid is not a string of 1 to 128 octets", leave_out();
  }
  if (id && by_id_.contains(id->text())) return why = "its kid was used before", leave_out();
  std::optional<net::JwsAlgorithm> algorithm;
  if (const Json* member = jwk.find("alg")) {
    if (member->is(Json::Type::string)) algorithm = net::jws_algorithm(member->text());
    if (!algorithm) return why = "its alg is not one for signatures", leave_out();
  }
  auto key = key_of(context, jwk, symmetric, why);
  if (!key) return leave_out();
  if (algorithm && !key->serves(*algorithm)) return why = "its alg does not fit its kty and crv", leave_out();
  if (id) by_id_.emplace(id->text(), keys_.size());
  keys_.push_back({id ? id->text() : std::string(), id != nullptr, algorithm, std::move(*key)});
}

std::optional<Jwks> Jwks::parse(net::CryptoContext& context, std::string_view text, bool symmetric,
                                std::string& why) {
  const auto json = Json::parse(text, {.octets = kMaxOctets, .depth = 16, .members = kMaxKeys});
  const Json* list = json && json->is(Json::Type::object) ? json->find("keys") : nullptr;
  if (!list || !list->is(Json::Type::array)) {
    why = "not a JWK Set: {\"keys\":[...]} of at most 256 KiB and 100 keys, no member twice";
    return std::nullopt;
  }
  Jwks set;
  for (std::size_t i = 0; i < list->items().size(); ++i) set.add(context, list->items()[i], i, symmetric);
  if (set.keys_.empty()) {
    why = "no usable key in the JWK Set";
    if (!set.warnings_.empty()) why += " (" + set.warnings_.front() + ")";
    return std::nullopt;
  }
  return set;
}

const Jwk* Jwks::find(std::string_view id) const {
  if (id.size() > kMaxId) return nullptr;
  const auto at = by_id_.find(std::string(id));
  return at == by_id_.end() ? nullptr : &keys_[at->second];
}

}  // namespace sluice::policy
