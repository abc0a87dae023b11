#include <fmt/format.h>

#include "event/loop.h"
#include "net/tls_profile.h"
#include "server/commands.h"

namespace sluice::server {

std::string version_text(const Build& build) {
  const event::LibraryVersion libevent = event::library_version();
  const auto [openssl_built, openssl_running] = net::openssl_version();
  return fmt::format(
      "sluice {}\ncommit    {}\ncompiler  {}\nOpenSSL   built {}, running {}\nlibevent  built {}, running {}\n",
      build.version, build.revision.empty() ? "unknown" : build.revision, __VERSION__, openssl_built, openssl_running, libevent.built, libevent.running);
}

}  // namespace sluice::server
