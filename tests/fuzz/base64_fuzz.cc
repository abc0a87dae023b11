// Base64 and base64url: what is decoded, and what is refused, is what a plain decoder of RFC 4648 §4, §5 says that knows no
// speed; a text has one meaning and a meaning one text.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/crypto.h"

using namespace sluice;

namespace {

using Octets = std::vector<std::uint8_t>;

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

std::optional<Octets> plain_decode(std::string text, std::string_view last_two, bool padded) {
  if (padded) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.pop_back();
  }
  if (text.size() % 4 == 1) return std::nullopt;
  const std::string alphabet = std::string(kDigits) + std::string(last_two);
  Octets out;
  unsigned bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const std::size_t digit = alphabet.find(c);
    if (digit == std::string::npos) return std::nullopt;
    held = held << 6 | static_cast<unsigned>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<std::uint8_t>(held >> bits));
    held &= (1U << bits) - 1;
  }
  return held == 0 ? std::optional(out) : std::nullopt;  // §3.5: the bits that are left over are zero
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes octets(data, size);
  const std::string text(as_text(octets));
  check(net::from_base64(text) == plain_decode(text, "+/", true), "base64 reads differently");
  check(net::from_base64url(text) == plain_decode(text, "-_", false), "base64url reads differently");
  const Octets whole(octets.begin(), octets.end());
  check(net::from_base64(net::base64(octets)) == whole, "base64 does not come back");
  check(net::from_base64url(net::base64url(octets)) == whole, "base64url does not come back");
  if (const auto back = net::from_base64(text)) check(net::base64(*back) == text, "two texts of one meaning");
  if (const auto back = net::from_base64url(text)) check(net::base64url(*back) == text, "two texts of one meaning");
  return 0;
}
