// RedisSettings: what [redis] says.
#pragma once

#include <cstdint>
#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "net/address.h"

namespace sluice::store {

struct RedisSettings {
  std::string url;  // as it was written; empty: there is no [redis]
  std::string host;
  std::uint16_t port = 6379;
  net::Address socket;  // in place of host and port, where it is a unix socket
  bool tls = false;
  std::string ca;           // PEM; empty: the system's
  std::string certificate;  // PEM; empty: none
  Secret key;               // PEM
  std::string server_name;  // empty: the host
  std::string username;
  Secret password;
  std::uint32_t database = 0;
  std::string prefix = "sluice";
  Duration timeout = std::chrono::milliseconds(50);    // of a command that somebody waits for
  bool closed = false;                                 // on_store_failure = "closed"
  Duration stale_after = std::chrono::seconds(5);

  bool enabled() const { return !url.empty(); }
  // Whether a link that was made with these serves those as well.
  bool same_link(const RedisSettings& other) const {
    return url == other.url && ca == other.ca && certificate == other.certificate && key.reveal() == other.key.reveal() &&
           server_name == other.server_name && username == other.username && password.reveal() == other.password.reveal() &&
           prefix == other.prefix;
  }
};

}  // namespace sluice::store
