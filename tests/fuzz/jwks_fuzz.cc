// Key sets: whatever they hold they are refused or become keys that each serve an algorithm, at most one for a kid, none of
// the other kind (secrets and public keys never mix), and none that another parser does not see in the same text.
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/jwks.h"

using namespace sluice;
using namespace sluice::policy;

namespace {

using Algorithm = net::JwsAlgorithm;

void check_key(const Jwk& key, bool symmetric, const nlohmann::json& list) {
  check(key.has_id || key.id.empty(), "a kid from nowhere");
  check(key.id.size() <= Jwks::kMaxId, "a kid that is too long");
  bool any = false;
  for (auto i = static_cast<unsigned>(Algorithm::hs256); i <= static_cast<unsigned>(Algorithm::eddsa); ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (!key.serves(algorithm)) continue;
    any = true;
    check(net::is_hmac(algorithm) == symmetric, "a key of the other kind");
    check(!key.algorithm || *key.algorithm == algorithm, "a key serves what its alg does not say");
  }
  check(any, "a key that serves nothing");
  check(std::any_of(list.begin(), list.end(),
                    [&](const nlohmann::json& one) {
                      if (!one.is_object() || one.contains("kid") != key.has_id) return false;
                      if (key.has_id && one["kid"] != key.id) return false;
                      const auto kind = one.value("kty", nlohmann::json());
                      return kind.is_string() && (kind == "oct") == symmetric && (symmetric || !one.contains("d"));
                    }),
        "a key that is not in the text");
}

void check_set(std::string_view text, bool symmetric) {
  static net::CryptoContext context;
  std::string why;
  const auto set = Jwks::parse(context, text, symmetric, why);
  if (!set) return check(!why.empty(), "refused without a reason");
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(json.is_object() && json.contains("keys") && json["keys"].is_array(), "accepted what is no set");
  check(set->keys().size() + set->warnings().size() == json["keys"].size() && !set->keys().empty(), "a key without a verdict");
  std::set<std::string> ids;
  for (const Jwk& key : set->keys()) {
    check_key(key, symmetric, json["keys"]);
    if (!key.has_id) continue;
    check(ids.insert(key.id).second, "one kid, two keys");
    check(set->find(key.id) == &key, "a key that its kid does not find");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_set(text, false);
  check_set(text, true);
  return 0;
}
