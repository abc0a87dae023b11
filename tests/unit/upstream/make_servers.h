// Servers and clusters for the tests of upstream/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "upstream/cluster.h"

namespace sluice::upstream {

inline ServerSettings server_settings(int number, std::uint32_t weight = 1) {
  ServerSettings settings;
  settings.host = "10.0.0." + std::to_string(number);
  settings.port = 80;
  settings.url = "ws://" + settings.host + ":80";
  settings.weight = weight;
  return settings;
}

inline std::vector<std::shared_ptr<Server>> make_servers(const std::vector<std::uint32_t>& weights) {
  std::vector<std::shared_ptr<Server>> servers;
  for (const std::uint32_t weight : weights) {
    servers.push_back(std::make_shared<Server>(server_settings(static_cast<int>(servers.size()) + 1, weight)));
  }
  return servers;
}

inline BackendSettings backend_settings(Policy policy, std::size_t servers) {
  BackendSettings settings;
  settings.name = "chat";
  settings.policy = policy;
  for (std::size_t i = 0; i < servers; ++i) settings.servers.push_back(server_settings(static_cast<int>(i) + 1));
  return settings;
}

}  // namespace sluice::upstream
