// SharedStore: what this gateway shares with others through Redis: two links, one for commands and one that listens, and what goes
// over them. Main thread; no worker ever waits for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/breaker.h"
#include "base/counters.h"
#include "net/crypto.h"
#include "net/resolver.h"
#include "net/tls_client.h"
#include "server/shared_revocations.h"
#include "store/redis_link.h"
#include "store/redis_settings.h"

namespace sluice::server {

// For the metrics.
struct SharedStoreFacts {
  bool up = false;
  std::array<std::uint64_t, store::kRedisFaultNames.size()> faults{};
  SharedRevocations::Tally revocations;
  const Histogram<kSecondsBounds.size()>* took = nullptr;  // which lives as long as the process
};

class SharedStore {
 public:
  // Which outlive it.
  SharedStore(const net::Place& place, net::Resolver& resolver, Revoker& revoker, std::shared_ptr<policy::Revocations> table);
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;
  ~SharedStore();

  // Whether links can be made by these. Otherwise `why`.
  static bool accepts(net::CryptoContext& crypto, const store::RedisSettings& settings, std::string& why);
  bool accepts(const store::RedisSettings& settings, std::string& why) { return accepts(crypto_, settings, why); }
  // What accepts() took comes into force; links that can stay as they are do.
  void configure(const store::RedisSettings& settings);

  // A command for which a client waits, for [redis] timeout at most; its second word is a key without prefix. `done` is called once,
  // at once where nobody is asked: the link is down, or commands were not answered lately.
  void ask(std::vector<std::string> command, store::RedisPipeline::Done done);
  bool enabled() const { return settings_.enabled(); }

  // nullopt: there is no [redis].
  std::optional<SharedStoreFacts> facts() const;

 private:
  std::unique_ptr<store::RedisLink> link(std::string channel);
  void linked();
  void lost(store::RedisFault fault, const std::string& why);
  void judge();

  const net::Place& place_;
  net::Resolver& resolver_;
  Revoker& revoker_;
  std::shared_ptr<policy::Revocations> table_;
  net::CryptoContext crypto_;
  store::RedisSettings settings_;
  Histogram<kSecondsBounds.size()> took_{kSecondsBounds};
  store::RedisTally tally_;
  SharedRevocations::Tally before_;  // of links that were replaced
  std::unique_ptr<net::TlsClient> tls_;
  std::unique_ptr<SharedRevocations> revocations_;
  std::unique_ptr<store::RedisLink> commands_;
  std::unique_ptr<store::RedisLink> news_;
  std::unique_ptr<Breaker> breaker_;  // of commands that clients wait for on this link
  bool said_down_ = false;
  bool ever_current_ = false;
  std::optional<Instant> lost_at_;  // what others do is not known since then
  event::Timer stale_;
};

}  // namespace sluice::server
