// AdminCommand: what an operator says of one server, by PUT on /api/v1/backends/{backend}/servers/{server}/state or
// …/weight. Sans I/O; who may say it is AdminGuard's matter.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/snapshot.h"
#include "server/admin_reply.h"
#include "upstream/backend.h"

namespace sluice::server {

struct AdminCommand {
  enum class What : std::uint8_t { state, weight };
  static constexpr std::uint32_t kMostWeight = 1000;
  static constexpr std::size_t kMostBody = 1024;

  What what = What::state;
  std::string backend;
  std::string server;                    // its URL as configured
  std::optional<upstream::Duty> duty;    // nullopt: as configured again
  std::optional<std::uint32_t> weight;   // likewise

  // What the path of a request names, percent-decoded; nullopt when it is no such path.
  static std::optional<AdminCommand> at(std::string_view path);
  // Takes the value from the body: {"state": …} or {"weight": …} and nothing else.
  std::optional<AdminRefusal> read(std::string_view body);
  // Says it to the server. JSON text of how that stands now. Main thread.
  std::expected<std::string, AdminRefusal> apply(const config::Snapshot& snapshot, Instant now) const;
};

}  // namespace sluice::server
