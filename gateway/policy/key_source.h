// KeySource: the keys of one [auth] that come from elsewhere, between the one thread that fetches them (main) and those
// that check tokens by them (workers). It holds text and no key: each worker parses it in a library context of its own
// when the generation has moved. Whoever misses a key asks for it here; asking is coalesced, and rated by who fetches.
// It outlives configurations: one that names the same source goes on with what is there.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/slot_map.h"
#include "base/time.h"
#include "net/address.h"

namespace sluice::policy {

// Plain settings: where keys come from. Without a URL and without discovery they come from a file.
struct KeySourceSettings {
  std::string url{};       // of the JWK Set
  bool discovery = false;  // its URL is what the issuer's own document says (OpenID Connect Discovery 1.0 §4)
  std::string issuer{};    // with discovery
  std::string ca{};        // PEM text that its certificate must be under; empty: the system's store
  std::vector<net::Cidr> allow{};  // addresses that are refused otherwise
  Duration stale_max = std::chrono::hours(24);  // for so long what was had last is used while nothing newer can be had

  bool remote() const { return discovery || !url.empty(); }
  // Whether both speak of the same keys; how they are reached is another matter.
  bool same_keys(const KeySourceSettings& other) const {
    return url == other.url && discovery == other.discovery && issuer == other.issuer;
  }
};

class KeySource : public std::enable_shared_from_this<KeySource> {
 public:
  static constexpr std::size_t kMostWaiters = 1000;
  static constexpr Duration kMostWait = std::chrono::seconds(2);  // who waits gives up then

  explicit KeySource(KeySourceSettings settings) : settings_(std::move(settings)) {}
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  // Those that it was made for; only same_keys() of it holds for later configurations.
  const KeySourceSettings& settings() const { return settings_; }

  struct Keys {
    std::string text;  // a JWK Set with a key that can be used
    std::uint64_t generation = 0;
  };

  // ---- any thread
  // Moves with every change of keys(); 0: nothing has ever been here.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // Null: none were ever had, or what was had is too old.
  std::shared_ptr<const Keys> keys() const;

  // A place among those who wait for the next outcome of a fetch; destroying it gives it up. On one thread.
  class Wait;
  // Is called once, on any thread, when the outcome is there, unless the place was given up before; it must not call back
  // into the source.
  using Waker = std::move_only_function<void()>;
  // Asks for a newer set, and waits for it. Null where waiting is in vain: no fetch may begin within kMostWait, or too many
  // wait already; the set is asked for all the same.
  std::unique_ptr<Wait> wait(Instant now, Waker waker);
  std::size_t waiting() const;

  // ---- who fetches
  // Called on any thread by the first who asks since the last answered(). Null: nobody fetches (any more).
  void on_asked(std::function<void()> asked);
  void publish(std::string text);
  // What is here is too old.
  void withdraw();
  // A fetch has ended, well or badly: everybody who waits is to look again.
  void answered();
  // No fetch begins before that time: whoever waits does so in vain.
  void rest(Instant until);

 private:
  void change(std::shared_ptr<const Keys> keys, std::uint64_t generation);
  void ask();
  void wake();

  const KeySourceSettings settings_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> asked_{false};  // and not answered since
  mutable std::mutex mutex_;        // of all below
  std::shared_ptr<const Keys> keys_;
  std::function<void()> on_asked_;
  Instant rests_until_ = Instant::min();
  SlotMap<Wait> waits_;
};

class KeySource::Wait {
 public:
  Wait(std::shared_ptr<KeySource> source, Waker waker) : source_(std::move(source)), waker_(std::move(waker)) {}
  ~Wait();
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  // The outcome is there.
  bool over() const { return over_.load(std::memory_order_acquire); }

 private:
  friend class KeySource;
  std::shared_ptr<KeySource> source_;
  Waker waker_;
  Slot slot_;  // under the source's lock
  std::atomic<bool> over_{false};
};

}  // namespace sluice::policy
