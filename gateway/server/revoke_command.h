// RevokeCommand: whom an operator does not want to serve any more, by POST on /api/v1/revoke. Sans I/O; who may say it is
// AdminGuard's matter.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"
#include "policy/revocations.h"
#include "server/admin_reply.h"

namespace sluice::server {

struct RevokeCommand {
  static constexpr std::size_t kMostBody = 8 * 1024;
  static constexpr std::size_t kMostText = 1024;  // octets of a value
  static constexpr Duration kMostTtl = std::chrono::hours(24 * 366);

  policy::Revocation what;       // without id and times
  std::optional<Duration> ttl;   // nullopt: live connections only
  const char* action = nullptr;  // of the audit line; null: revoke, or kick without a time

  // Takes it from the body, as docs/reference/admin-api.md says.
  std::optional<AdminRefusal> read(std::string_view body);
};

}  // namespace sluice::server
