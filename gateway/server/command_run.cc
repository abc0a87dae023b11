#include <cstdio>

#include "server/commands.h"
#include "server/server.h"

namespace sluice::server {

int command_run(const std::string& config, const std::string& log_level, const Build& build) {
  ServerOptions options;
  options.build = build;
  options.load = [config, log_level] {
    config::Loaded loaded = config::load(config);
    for (const Level level : {Level::debug, Level::info, Level::warn, Level::error}) {
      if (log_level == name(level)) loaded.settings.log.level = level;
    }
    return loaded;
  };
  return Server(std::move(options)).run();
}

}  // namespace sluice::server
