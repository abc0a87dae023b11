// TokenCache: who presented which token a while ago, so that a token that comes again costs a digest instead of a signature.
// Of the rules of one [auth] on one worker, and of the keys that are in force there. It holds digests, no tokens, and only of
// tokens that were good; finding another is as hard as a collision of SHA-256. What may change meanwhile besides keys and
// time (revocations) is asked after it.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "net/crypto.h"
#include "policy/identity.h"

namespace sluice::policy {

class TokenCache {
 public:
  static constexpr std::size_t kRoom = 4 * 1024 * 1024;  // octets of the tokens that are remembered

  // And of one token, in octets: nothing longer is one, so nobody need hash it.
  static constexpr std::size_t kMaxToken = 8 * 1024;

  explicit TokenCache(std::size_t room = kRoom) : room_(room) {}

  // The identity of the token with this digest, or nullptr. Never one that other keys than those of `generation` have
  // vouched for, nor one whose token has expired by `now`, nor one that was checked later than `now`: a clock that was
  // turned back may lie before its `nbf`. Lives until the next call.
  const Identity* find(const net::Sha256& digest, std::uint64_t generation, WallTime now);
  // After a find() in vain: of a token of `size` octets that keys of that generation or newer ones found good at `now` and
  // that stays so until `end` (expiry and leeway). The one that was not asked for longest makes room.
  void keep(const net::Sha256& digest, std::size_t size, const Identity& identity, WallTime now, WallTime end);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    net::Sha256 digest;
    std::size_t size;
    Identity identity;
    WallTime checked;
    WallTime end;
  };
  struct DigestHash {
    std::size_t operator()(const net::Sha256& digest) const { return load_be<std::size_t>(digest.data()); }
  };
  void drop(std::list<Entry>::iterator entry);

  const std::size_t room_;
  std::size_t taken_ = 0;
  std::uint64_t generation_ = 0;
  std::list<Entry> entries_;  // the one that was asked for last is first
  std::unordered_map<net::Sha256, std::list<Entry>::iterator, DigestHash> by_digest_;
};

}  // namespace sluice::policy
