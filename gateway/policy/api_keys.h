// ApiKeys: the keys of one API key file. It holds no key, only what each is found by and its SHA-256; whoever reads the
// file cannot connect with it. Immutable, shared by all workers.
//
//   sk_0123456789abcdef_rU3gZ…      a key as `sluice hash-key` makes it: 16 digits by which it is found, which are
//      └── prefix ──────┘└─ 43      public, and 32 random octets in base64url
//
// A key that was made elsewhere has no prefix; it is found by the first octets of its SHA-256, which nobody can choose.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/crypto.h"
#include "policy/identity.h"

namespace sluice::policy {

using ApiKeyPrefix = std::array<std::uint8_t, 8>;

// One entry of the file.
struct ApiKey {
  std::string name;      // the subject of whoever holds the key; several keys may have one, while they are exchanged
  ApiKeyPrefix prefix{};  // of its text, or found_by(digest)
  net::Sha256 digest{};
  Json claims;           // an object; its `sub` is the name
  std::optional<WallTime> expires;
  bool disabled = false;
  // Names of limits that hold for whoever has the name, in place of those of a route that count the same unit by a claim.
  std::vector<std::string> rate_limit;
};

class ApiKeys {
 public:
  static constexpr std::size_t kMaxText = 8 * 1024;  // octets of what is presented as a key
  // Of a key that was made elsewhere: a shorter one could be guessed by whoever has read the file.
  static constexpr std::size_t kMinForeign = 32;

  // No two of `keys` may have the same prefix, and those of one name have the same limits.
  explicit ApiKeys(std::vector<ApiKey> keys);

  // Errors: bad_token (unknown, wrong and disabled alike), token_expired (from `expires` on, there is no leeway). It does
  // the same work for a key that is not known as for one whose secret is wrong: the prefix may be learnt, no more.
  Result<Identity> verify(std::string_view text, WallTime now) const;

  std::size_t size() const { return keys_.size(); }
  const std::vector<ApiKey>& keys() const { return keys_; }
  // Null: that name has no limits of its own.
  const std::vector<std::string>* limits_of(const std::string& name) const;

  // What may stand as a name: 1 to 128 characters of visible ASCII without a quote or a backslash, so that it needs no
  // escapes in a file and may be forwarded in a field.
  static bool is_name(std::string_view text);
  // What a key with this digest is found by that has no prefix of its own.
  static ApiKeyPrefix found_by(const net::Sha256& digest);
  // The prefix that stands in a key's text; nullopt: it was made elsewhere.
  static std::optional<ApiKeyPrefix> prefix_of(std::string_view text);
  // 16 hexadecimal digits, as the file has it; nullopt for any other text.
  static std::optional<ApiKeyPrefix> parse_prefix(std::string_view text);
  // A new key.
  static Secret make();

 private:
  struct PrefixHash {
    std::size_t operator()(const ApiKeyPrefix& prefix) const;
  };
  std::vector<ApiKey> keys_;
  std::unordered_map<ApiKeyPrefix, std::size_t, PrefixHash> by_prefix_;
  std::unordered_map<std::string, std::size_t> limited_;  // by name
};

}  // namespace sluice::policy
