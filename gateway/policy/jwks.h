// Jwks: verification keys of a JWK Set (RFC 7517, 7518 §6, 8037 §2), found by their key id. Built from text
// that the configuration names, never from anything that a token says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "net/crypto.h"

namespace sluice::policy {

struct Jwk {
  std::string id;  // `kid`; empty when has_id is false
  bool has_id = false;
  std::optional<net::JwsAlgorithm> algorithm;  // `alg`: the only one that this key may serve
  net::VerifyKey key;

  bool serves(net::JwsAlgorithm wanted) const {
    return (!algorithm || *algorithm == wanted) && key.serves(wanted);
  }
};

class Jwks {
 public:
  static constexpr std::size_t kMaxOctets = 256 * 1024;
  static constexpr std::size_t kMaxKeys = 100;
  static constexpr std::size_t kMaxId = 128;  // octets of a kid, here and in a token

  // With `symmetric` only "oct" keys are taken, without it only public ones: the two kinds never mix in one
  // [auth]. Keys that cannot be used are left out (RFC 7517 §5) and named in warnings(); a
  // later key with a kid that was seen is left out too. nullopt and `why` for text that is no JWK Set or has
  // no usable key at all.
  static std::optional<Jwks> parse(net::CryptoContext& context, std::string_view text, bool symmetric,
                                   std::string& why);

  // The key of that id, or nullptr.
  const Jwk* find(std::string_view id) const;
  const std::vector<Jwk>& keys() const { return keys_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void add(net::CryptoContext& context, const Json& jwk, std::size_t index, bool symmetric);
  std::vector<Jwk> keys_;
  std::unordered_map<std::string, std::size_t> by_id_;
  std::vector<std::string> warnings_;
};

}  // namespace sluice::policy
