#include "server/admin_command.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/log.h"
#include "server/percent.h"
#include "server/status.h"

namespace sluice::server {

namespace {

constexpr std::string_view kAuto = "auto";
constexpr AdminRefusal kBadState{400, "state may be ready, drain, down or auto"};
constexpr AdminRefusal kBadWeight{400, "weight may be 0 to 1000 or \"auto\""};

}  // namespace

std::optional<AdminCommand> AdminCommand::at(std::string_view path) {
  constexpr std::string_view kBefore = "/api/v1/backends/";
  if (!path.starts_with(kBefore)) return std::nullopt;
  path.remove_prefix(kBefore.size());
  std::array<std::string_view, 4> parts;  // backend, "servers", server, what
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = path.find('/');
    if ((end == std::string_view::npos) != (i + 1 == parts.size())) return std::nullopt;
    parts[i] = path.substr(0, end);
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  if (parts[1] != "servers" || (parts[3] != "state" && parts[3] != "weight")) return std::nullopt;
  auto backend = unescape(parts[0]);
  auto server = unescape(parts[2]);
  if (!backend || backend->empty() || !server || server->empty()) return std::nullopt;
  AdminCommand command;
  command.what = parts[3] == "state" ? What::state : What::weight;
  command.backend = std::move(*backend);
  command.server = std::move(*server);
  return command;
}

std::optional<AdminRefusal> AdminCommand::read(std::string_view body) {
  const auto json = Json::parse(body, {.octets = kMostBody, .depth = 2, .members = 4});
  if (!json || !json->is(Json::Type::object)) return AdminRefusal{400, "the body is no JSON object"};
  const std::string_view name = what == What::state ? "state" : "weight";
  const Json* value = json->find(name);
  if (!value || json->members().size() != 1) {
    return AdminRefusal{400, what == What::state ? "the body is {\"state\": ...}" : "the body is {\"weight\": ...}"};
  }
  if (value->is(Json::Type::string) && value->text() == kAuto) return std::nullopt;
  if (what == What::weight) {
    const std::int64_t wanted = value->is(Json::Type::integer) ? value->integer() : -1;
    if (wanted < 0 || wanted > kMostWeight) return kBadWeight;
    weight = static_cast<std::uint32_t>(wanted);
    return std::nullopt;
  }
  if (!value->is(Json::Type::string)) return kBadState;
  const auto found = std::ranges::find(upstream::kDutyNames, value->text());
  if (found == upstream::kDutyNames.end()) return kBadState;
  duty = static_cast<upstream::Duty>(found - upstream::kDutyNames.begin());
  return std::nullopt;
}

std::expected<std::string, AdminRefusal> AdminCommand::apply(const config::Snapshot& snapshot, Instant now) const {
  const auto cluster = std::ranges::find(snapshot.clusters(), backend,
                                         [](const auto& one) -> const std::string& { return one->settings().name; });
  if (cluster == snapshot.clusters().end()) return std::unexpected(AdminRefusal{404, "no such backend"});
  const auto servers = (*cluster)->servers();
  const auto found = std::ranges::find(servers, server,
                                       [](const auto& one) -> const std::string& { return one->settings().url; });
  if (found == servers.end()) return std::unexpected(AdminRefusal{404, "no such server"});
  std::string said(kAuto);
  if (what == What::state) {
    (*found)->command_duty(duty);
    if (duty) said = upstream::kDutyNames[static_cast<std::size_t>(*duty)];
  } else {
    (*found)->command_weight(weight);
    if (weight) said = std::to_string(*weight);
  }
  log::event(Level::info, "server_commanded",
             {{"backend", backend},
              {"server", server},
              {what == What::state ? "state" : "weight", std::string_view(said)}});
  return server_json(**found, now);
}

}  // namespace sluice::server
