// Checker: [auth.NAME], what is said by a client later than with its request, and what it is told.
#include <fmt/format.h>

#include <algorithm>

#include "config/check.h"

namespace sluice::config {

namespace {

constexpr std::size_t kMostReason = 123;        // RFC 6455 §5.5: a control frame holds 125, and the code takes two
constexpr std::size_t kMostWarning = 4 * 1024;
constexpr std::size_t kMostType = 64;

}  // namespace

void Checker::auth_lifetime(const Section& section, policy::AuthSettings& out) {
  using Kind = policy::Carrier::Kind;
  const Section first = section.table("first_message");
  if (first && std::ranges::find(out.from, Kind::first_message, &policy::Carrier::kind) == out.from.end()) {
    error(first.place(), "[first_message] has no effect: 'from' does not name it", "from = [\"first_message\"]");
  }
  out.first_message.deadline = first.duration("deadline");
  out.first_message.max = static_cast<std::uint32_t>(first.number("max"));

  out.expiry_close_reason = section.text("expiry_close_reason");
  if (out.expiry_close_reason.size() > kMostReason) {
    error(section.place("expiry_close_reason"), fmt::format("'expiry_close_reason' has more than {} octets", kMostReason));
  }
  out.warn_before = section.duration("warn_before");
  out.warn_message = section.good("warn_message") ? section.text("warn_message") : R"({"type":"expiring"})";
  if (out.warn_message.size() > kMostWarning) {
    error(section.place("warn_message"), fmt::format("'warn_message' has more than {} octets", kMostWarning));
  }
  if (section.has("warn_message") && out.warn_before == Duration::zero()) {
    error(section.place("warn_message"), "'warn_message' has no effect without 'warn_before'", "warn_before = \"60s\"");
  }

  const Section refresh = section.table("refresh");
  out.refresh.in_band = refresh.boolean("in_band");
  out.refresh.type = refresh.text("type");
  out.refresh.max = static_cast<std::uint32_t>(refresh.number("max"));
  out.refresh.close_on_failure = refresh.text("on_failure") == "close";
  if (out.refresh.type.size() > kMostType) {
    error(refresh.place("type"), fmt::format("'type' has more than {} octets", kMostType));
  }
  if (!out.refresh.in_band) return;
  if (out.type != policy::AuthSettings::Type::jwt) {
    error(refresh.place("in_band"), "only tokens are refreshed: 'in_band' is for type = \"jwt\"");
  } else if (!out.close_on_expiry) {
    error(refresh.place("in_band"), "'in_band' has no effect with on_expiry = \"keep\"");
  }
}

// An external check is asked whatever a request brings, so that nothing is left to be said later.
void Checker::first_message_beside(const Section& section, const RouteSettings& route) {
  const policy::AuthSettings* late = nullptr;
  for (const std::string& name : route.auth) {
    const policy::AuthSettings* const auth = find_auth(name);
    if (!auth) continue;
    const bool first = std::ranges::find(auth->from, policy::Carrier::Kind::first_message, &policy::Carrier::kind) != auth->from.end();
    if (!late && first) late = auth;
    if (!late || auth->type != policy::AuthSettings::Type::external) continue;
    error(section.place("auth"), fmt::format("nobody would ever wait for the first message of auth '{}': external auth '{}' is asked "
                                             "before", late->name, auth->name),
          "use one of the two on a route");
  }
}

}  // namespace sluice::config
