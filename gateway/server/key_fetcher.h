// KeyFetcher: fetches the keys that [auth] tables name by URL or by their issuer, on the main loop, and gives them to the workers
// as text (policy/key_source). When is policy/key_schedule's matter. What it gets replaces what is there only if it is a
// set with a key that can be used for the algorithms of its [auth]; anything else (a failure, an error page, an empty set)
// leaves that as it is, until it is older than its `stale_max`.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "event/mailbox.h"
#include "net/crypto.h"
#include "net/resolver.h"
#include "net/stream.h"

namespace sluice::server {

// How one fetch went: label `result` of sluice_jwks_refresh_total.
enum class KeyRefresh : std::uint8_t {
  ok, not_modified, dns, denied, connect, tls, timeout, bad_answer, status, bad_set, discovery,
};
inline constexpr std::array<std::string_view, 11> kKeyRefreshNames{
    "ok", "not_modified", "dns", "denied", "connect", "tls", "timeout", "bad_answer", "status", "bad_set", "discovery"};

// Of one [auth], for the metrics.
struct KeyFacts {
  std::string auth;
  std::array<std::uint64_t, kKeyRefreshNames.size()> refreshes{};  // for the life of the process
  std::optional<double> last_success{};  // seconds since 1970
  Duration age{};                      // since the last success, or since it was first asked for
};

class KeyFetcher {
 public:
  // Which outlive it.
  KeyFetcher(const net::Place& place, net::Resolver& resolver, event::Mailbox& mailbox);
  KeyFetcher(const KeyFetcher&) = delete;
  KeyFetcher& operator=(const KeyFetcher&) = delete;
  ~KeyFetcher();

  // Replaces what is fetched. A source that stays keeps its time of asking, and is asked at once where it is reached
  // in another way or has to serve other algorithms.
  void watch(const std::vector<config::KeyUse>& uses);

  // In the order of their names.
  std::vector<KeyFacts> facts(Instant now) const;

 private:
  class Entry;
  const net::Place& place_;
  net::Resolver& resolver_;
  event::Mailbox& mailbox_;
  net::CryptoContext crypto_;
  std::map<std::string, std::array<std::uint64_t, kKeyRefreshNames.size()>> refreshes_;  // by name of the [auth]
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace sluice::server
