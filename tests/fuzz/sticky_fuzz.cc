// The value of a sticky cookie: only the very text that a gateway made names a server, whatever a client makes of it; and
// values of header rules: what was read is made of octets that a field may hold.
#include <algorithm>
#include <string>

#include "base/result.h"
#include "policy/header_rules.h"
#include "upstream/sticky.h"

using namespace sluice;
using namespace sluice::upstream;

namespace {

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 56)};

std::shared_ptr<Server> server(const char* url) {
  ServerSettings settings;
  settings.url = url;
  settings.host = "10.0.0.1";
  return std::make_shared<Server>(settings);
}

StickySettings settings() {
  StickySettings settings;
  settings.cookie = "sluice";
  settings.ttl = std::chrono::hours(8);
  settings.secret = Secret(std::string(32, 's'));
  return settings;
}

void check_rule(std::string_view text) {
  std::string why;
  const auto value = policy::FieldValue::parse(text, why);
  if (!value) return check(!why.empty(), "refused without a reason");
  check(value->source() == text, "a value reads differently");
  http::Request request;
  request.id = "id";
  request.host.host = "h";
  const auto said = value->text(request, {});
  check(said.has_value(), "an anonymous client has no bad claim");
  if (!*said) return check(value->asks_claim(), "nothing is said, and no claim is asked for");
  if (value->plain()) check(**said == text, "plain text was changed");
  check(std::ranges::none_of(**said, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }), "a forbidden octet");
}

}  // namespace

// The first two octets say where the rest of the input is laid over a good value.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const StickySettings kSettings = settings();
  static const std::vector<std::shared_ptr<Server>> kServers{server("ws://10.0.0.1:80"), server("ws://10.0.0.2:80")};
  static const std::string kGood = sticky_value(kSettings, "chat", *kServers[1], kNow);
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  check(read_sticky(kSettings, "chat", kServers, kGood, kNow).server == kServers[1].get(), "a good value is refused");
  check((read_sticky(kSettings, "chat", kServers, raw, kNow).server != nullptr) == (raw == kGood), "a foreign value is good");
  if (size > 2) {
    std::string laid = kGood;
    const std::size_t at = data[0] % laid.size();
    const std::size_t count = std::min({size - 2, laid.size() - at, std::size_t{data[1]}});
    laid.replace(at, count, raw.substr(2, count));
    check((read_sticky(kSettings, "chat", kServers, laid, kNow).server != nullptr) == (laid == kGood), "a changed value is good");
  }
  check_rule(raw);
  return 0;
}
