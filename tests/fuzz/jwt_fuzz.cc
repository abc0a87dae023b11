// Tokens: only what the key has signed passes, whatever the token says about itself. The first octet chooses
// what the rest is: a whole token against a public key, a whole token against a secret, or a header and a
// payload (cut at the first line feed) that are signed here, so that everything behind the signature is
// reached too.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/jwt.h"

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";
// RFC 7515 appendix A.3: a public key, and the only text that it has signed.
constexpr std::string_view kSet =
    R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
constexpr std::string_view kSigned =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr std::int64_t kNow = 1'300'819'000;

net::CryptoContext& context() {
  static net::CryptoContext one;
  return one;
}

std::unique_ptr<Jwt> make(bool symmetric) {
  JwtSettings settings;
  settings.algorithms = {symmetric ? net::JwsAlgorithm::hs256 : net::JwsAlgorithm::es256};
  if (symmetric) {
    settings.secret = kSecret;
  } else {
    settings.jwks = kSet;
  }
  std::string why;
  auto jwt = Jwt::make(context(), settings, why);
  check(jwt != nullptr, "the settings of the fuzz target");
  return jwt;
}

WallTime now() { return WallTime(std::chrono::seconds(kNow)); }

std::string signature_of(std::string_view text) {
  std::string why;
  const auto signature = net::sign(context(), net::JwsAlgorithm::hs256, kSecret, as_bytes(text), why);
  check(signature.has_value(), "signing");
  return net::base64url(*signature);
}

// By another parser than the one under test.
void check_accepted(std::string_view header, std::string_view payload) {
  const auto head = nlohmann::json::parse(header, nullptr, false);
  const auto claims = nlohmann::json::parse(payload, nullptr, false);
  check(head.is_object() && claims.is_object(), "accepted what is no JSON object");
  check(head.value("alg", nlohmann::json()) == "HS256", "accepted another alg");
  check(!head.contains("crit") && !head.contains("zip") && !head.contains("enc"), "accepted an extension");
  const auto exp = claims.value("exp", nlohmann::json());
  check(exp.is_number_integer() && exp > 0 && exp < (std::int64_t{1} << 53), "accepted a bad exp");
  check(exp.get<std::int64_t>() + 30 > kNow, "accepted an expired token");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<Jwt> by_set = make(false);
  static const std::unique_ptr<Jwt> by_secret = make(true);
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view text = rest.substr(0, rest.rfind('.'));
  switch (data[0] % 3) {
    case 0:
      if (by_set->verify(rest, now())) check(text == kSigned, "a text that was never signed passed");
      break;
    case 1:
      if (by_secret->verify(rest, now())) {
        check(rest.substr(text.size() + 1) == signature_of(text), "a signature that is not the key's passed");
      }
      break;
    default: {
      const std::size_t cut = std::min(rest.find('\n'), rest.size());
      const std::string_view header = rest.substr(0, cut);
      const std::string_view payload = rest.substr(std::min(cut + 1, rest.size()));
      const std::string made = net::base64url(as_bytes(header)) + "." + net::base64url(as_bytes(payload));
      const std::string token = made + "." + signature_of(made);
      const bool credential = by_secret->verify(token, now()).has_value();
      if (credential) check_accepted(header, payload);
      if (by_secret->verify_logout(token, now())) {
        check(!credential, "a logout token that is a credential");
        const auto claims = nlohmann::json::parse(payload, nullptr, false);
        check(claims.is_object() && claims.contains("jti") && claims.contains("iat") && !claims.contains("nonce") &&
                  claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object(),
              "a logout without what makes it one");
      }
    }
  }
  return 0;
}
