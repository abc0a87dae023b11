// Origins: what is allowed is, octet by octet, one of ours; and a pattern says the same when it is written
// out again.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/access.h"

using namespace sluice;
using namespace sluice::policy;

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return out;
}

// A much simpler judge than the code under test: prefix, suffix, and nothing but a host name between.
bool is_ours(std::string origin) {
  if (origin == "https://chat.test:8443" || origin == "https://chat.test.:8443") return true;
  if (!origin.starts_with("https://")) return false;
  origin.erase(0, 8);
  if (const std::size_t colon = origin.find(':'); colon != std::string::npos) {
    const std::string port = origin.substr(colon + 1);
    if (port.find_first_not_of('0') == std::string::npos || port.substr(port.find_first_not_of('0')) != "443")
      return false;
    origin.resize(colon);
  }
  if (origin.ends_with('.')) origin.pop_back();  // the root's dot names the same host
  constexpr std::string_view kSuffix = ".example.com";
  return origin.size() > kSuffix.size() && origin.ends_with(kSuffix) &&
         origin.find_first_of("/\\@#?%:[] \t") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<OriginPattern> allowed = {*OriginPattern::parse("https://*.example.com"),
                                                     *OriginPattern::parse("https://chat.test:8443")};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  http::Head head;
  head.fields = {{"Host", "chat.test"}, {"Origin", text}};
  if (check_origin(head, allowed, false)) check(is_ours(lower(text)), "a foreign Origin was allowed");
  if (check_origin(head, {}, true)) {
    check(lower(text).find("://chat.test") != std::string::npos, "an Origin of another host was allowed");
  }
  if (const auto pattern = OriginPattern::parse(text)) {
    const std::string again = pattern->scheme + "://" + (pattern->wildcard ? "*" : "") + pattern->host +
                              (pattern->port != 0 ? ":" + std::to_string(pattern->port) : "");
    if (again.size() > 255) return 0;  // the port that is now said may be one too many
    const auto second = OriginPattern::parse(again);
    check(second && second->scheme == pattern->scheme && second->host == pattern->host &&
              second->port == pattern->port && second->wildcard == pattern->wildcard,
          "a pattern reads as another one");
  }
  return 0;
}
