// Revocation: who is not to be served any more, and until when. Revocations: those that are in force, one table of the
// process: read by every worker at each handshake, written by the main thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "net/address.h"
#include "policy/claim_mark.h"

namespace sluice::policy {

struct Revocation {
  enum class Kind : std::uint8_t { sub, jti, sid, claim, ip, connection };
  static constexpr std::array<std::string_view, 6> kKindNames{"sub", "jti", "sid", "claim", "ip", "connection"};

  std::string id;       // of this entry; add() makes one where there is none: of what it says, the same in every process
  Kind kind = Kind::sub;
  std::string name;     // of the claim; only with Kind::claim
  std::string value;    // text of the claim, an address, a block of addresses, or the id of a connection
  std::string auth;     // name of the [auth] that it is about; empty: any
  std::string issuer;   // likewise `iss`
  bool allow_newer = false;  // a credential that was issued later is good
  WallTime made{};
  WallTime expires{};   // new connections are refused until then
  std::uint16_t code = 0;    // of the Close; 0: that of Errc::revoked
  std::string reason;        // of the Close; empty: its name

  bool of_identity() const { return kind <= Kind::claim; }
  std::string_view kind_name() const { return kKindNames[static_cast<std::size_t>(kind)]; }
  // The name of the claim that it is about.
  std::string_view claim() const { return kind == Kind::claim ? std::string_view(name) : kind_name(); }
  // `iat` has whole seconds: a credential of the second in which it was made counts as one from before. So does one that
  // does not say its time (0).
  bool spares(std::int64_t issued) const {
    return allow_newer && WallTime(std::chrono::seconds(issued)) > made;
  }
};

class Revocations {
 public:
  static constexpr std::size_t kMost = 100'000;    // when nobody says another bound
  static constexpr std::size_t kMostBlocks = 256;  // of addresses, which are looked through one by one

  explicit Revocations(std::uint64_t seed = random_u64()) : seed_(seed) {}
  Revocations(const Revocations&) = delete;
  Revocations& operator=(const Revocations&) = delete;

  // ---- from any thread
  // `auth`: the name of the [auth] that the identity comes from. One look-up for each of its claims, however many entries
  // there are; none while there are none.
  bool refuses(const Identity& identity, std::string_view auth, WallTime now) const;
  bool refuses(const net::Address& client, WallTime now) const;
  // Of the marks of this process.
  std::uint64_t seed() const { return seed_; }
  // What other gateways revoked may be missing here, and nobody is to be let in while that is so.
  bool stale() const { return stale_.load(std::memory_order_acquire); }
  // In force, and ended ones that expire() has not dropped yet.
  std::size_t size() const { return size_.load(std::memory_order_acquire); }

  // ---- the main thread only
  void set_most(std::size_t most) { most_ = most; }
  // nullptr: the table is full, or the blocks are. What says the same as an entry that is there renews that one: it keeps its
  // id, and the later end of both. The entry stays good until it is removed. `value` of kind ip is an address or a block.
  const Revocation* add(Revocation revocation);
  bool remove(const std::string& id);
  const Revocation* find(const std::string& id) const;
  // The entry that says the same, whatever its id and its times.
  const Revocation* find_same(const Revocation& revocation) const;
  // 128 bits of a digest of what it says, not of its times: the same in every process.
  static std::string id_of(const Revocation& revocation);
  void set_stale(bool stale) { stale_.store(stale, std::memory_order_release); }
  // Drops those that have ended.
  void expire(WallTime now);
  // Those that end last come first.
  std::vector<const Revocation*> list(std::size_t most) const;

 private:
  struct Entry {
    Revocation what;
    std::optional<net::Cidr> block;  // of addresses
    std::uint64_t mark = 0;          // what it is found by, where listed() is false
    bool listed() const { return block && !block->single(); }
  };
  using Marks = std::unordered_multimap<std::uint64_t, const Entry*>;

  std::uint64_t mark_of(const net::Address& address) const { return hash64(address.octets(), ~seed_); }
  Entry made_of(Revocation revocation) const;
  const Entry* same(const Entry& entry) const;
  void drop(std::map<std::string, Entry>::iterator at);

  const std::uint64_t seed_;
  std::size_t most_ = kMost;
  std::atomic<bool> stale_{false};
  std::atomic<std::size_t> size_{0};  // so that an empty table costs no lock
  mutable std::shared_mutex mutex_;   // written by main, read by workers
  std::map<std::string, Entry> entries_;  // by id
  Marks marks_;                           // of identities and single addresses
  std::vector<const Entry*> blocks_;
  std::set<std::pair<WallTime, const Entry*>> ends_;
};

}  // namespace sluice::policy
