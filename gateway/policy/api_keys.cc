#include "policy/api_keys.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/hex.h"
#include "base/random.h"

namespace sluice::policy {
namespace {

constexpr std::string_view kBegin = "sk_";
constexpr std::size_t kPrefixDigits = 2 * std::tuple_size_v<ApiKeyPrefix>;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kSecretOctets = 32;
constexpr std::size_t kSecretDigits = (kSecretOctets * 4 + 2) / 3;
constexpr std::size_t kSize = kBegin.size() + kPrefixDigits + 1 + kSecretDigits;

}  // namespace

ApiKeys::ApiKeys(std::vector<ApiKey> keys) : keys_(std::move(keys)) {
  by_prefix_.reserve(keys_.size());
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    check(by_prefix_.emplace(keys_[i].prefix, i).second, "two API keys with one prefix");
    if (!keys_[i].rate_limit.empty()) limited_.emplace(keys_[i].name, i);
  }
}

Result<Identity> ApiKeys::verify(std::string_view text, WallTime now) const {
  if (text.size() > kMaxText) return fail(Errc::bad_token, Side::client, "key too long");
  const net::Sha256 digest = net::sha256(as_bytes(text));
  const auto found = by_prefix_.find(prefix_of(text).value_or(found_by(digest)));
  static constexpr net::Sha256 kNobody{};
  const ApiKey* key = found == by_prefix_.end() ? nullptr : &keys_[found->second];
  const bool equal = net::constant_time_equal(digest, key ? key->digest : kNobody);
  if (!key || !equal) return fail(Errc::bad_token, Side::client, "no such key");

  // Only the holder of a key learns what follows.
  if (key->disabled) return fail(Errc::bad_token, Side::client, "key disabled");
  if (key->expires && now >= *key->expires) return fail(Errc::token_expired, Side::client, "key expired");
  Identity identity;
  identity.method = "api_key";
  identity.subject = key->name;
  identity.claims = key->claims;
  identity.expires = key->expires.has_value();
  identity.expiry = key->expires.value_or(WallTime{});
  return identity;
}

const std::vector<std::string>* ApiKeys::limits_of(const std::string& name) const {
  const auto found = limited_.find(name);
  return found == limited_.end() ? nullptr : &keys_[found->second].rate_limit;
}

bool ApiKeys::is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

ApiKeyPrefix ApiKeys::found_by(const net::Sha256& digest) {
  ApiKeyPrefix prefix;
  std::copy_n(digest.begin(), prefix.size(), prefix.begin());
  return prefix;
}

std::optional<ApiKeyPrefix> ApiKeys::prefix_of(std::string_view text) {
  if (text.size() != kSize || !text.starts_with(kBegin)) return std::nullopt;
  text.remove_prefix(kBegin.size());
  if (text[kPrefixDigits] != '_') return std::nullopt;
  return parse_prefix(text.substr(0, kPrefixDigits));
}

std::optional<ApiKeyPrefix> ApiKeys::parse_prefix(std::string_view text) {
  const auto octets = from_hex(text);
  ApiKeyPrefix prefix;
  if (!octets || octets->size() != prefix.size()) return std::nullopt;
  std::copy(octets->begin(), octets->end(), prefix.begin());
  return prefix;
}

Secret ApiKeys::make() {
  ApiKeyPrefix prefix;
  std::array<std::uint8_t, kSecretOctets> secret;
  random_fill(prefix);
  random_fill(secret);
  std::string text(kBegin);
  text.reserve(kSize);
  text += to_hex(prefix);
  text += '_';
  text += net::base64url(secret);
  net::cleanse(secret);
  return Secret(std::move(text));
}

std::size_t ApiKeys::PrefixHash::operator()(const ApiKeyPrefix& prefix) const {
  static const std::uint64_t seed = random_u64();
  return hash64(prefix, seed);
}

}  // namespace sluice::policy
