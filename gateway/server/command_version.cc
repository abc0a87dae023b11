#include <cstdio>

#include "event/loop.h"
#include "net/tls_profile.h"
#include "server/commands.h"

namespace sluice::server {

void print_version(const std::string& version) {
  const event::LibraryVersion libevent = event::library_version();
  const auto [openssl_built, openssl_running] = net::openssl_version();
  std::printf("sluice %s\n", version.c_str());
  std::printf("compiler  %s\n", __VERSION__);
  std::printf("openssl   built %s, running %s\n", openssl_built, openssl_running);
  std::printf("libevent  built %s, running %s\n", libevent.built, libevent.running);
}

}  // namespace sluice::server
