#include "session/access_check.h"

#include "session/opening.h"

namespace sluice::session {
namespace {

// For the log, which names no value.
constexpr std::array<const char*, policy::kAccessPartNames.size()> kWords{
    "the path is bound to another claim", "not by this auth",         "a claim is not as the route wants it",
    "a scope is missing",                 "not from this address",    "not from this Origin",
    "not with this subprotocol"};

}  // namespace

Result<void> check_access(const RouteRuntime& route, const policy::AccessQuestion& question) {
  const config::RouteSettings& settings = *route.compiled->settings;
  const auto part = policy::denied(settings.bindings, settings.access, question);
  if (!part) return {};
  route.tally->access_denied[static_cast<std::size_t>(*part)].add();
  return fail(Errc::access_denied, Side::client, kWords[static_cast<std::size_t>(*part)]);
}

Result<void> check_access(const RouteRuntime& route, const Opening& opening) {
  const config::RouteSettings& settings = *route.compiled->settings;
  if (settings.bindings.empty() && settings.access.empty()) return {};
  const policy::AuthSettings* const auth = opening.authenticated.auth;
  return check_access(route, {.path = opening.request.target.path,
                              .identity = opening.authenticated.identity,
                              .auth = auth ? std::string_view(auth->name) : std::string_view(),
                              .request = &opening.request,
                              .subprotocols = &opening.scrubbed.subprotocols});
}

}  // namespace sluice::session
