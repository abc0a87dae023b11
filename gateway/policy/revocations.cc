#include "policy/revocations.h"

#include <algorithm>
#include <mutex>

#include "base/hex.h"
#include "base/result.h"
#include "net/crypto.h"

namespace sluice::policy {

namespace {

bool from_issuer(const Identity& identity, std::string_view issuer) {
  const Json* found = identity.claims.find("iss");
  return found && found->is(Json::Type::string) && found->text() == issuer;
}

bool same_meaning(const Revocation& a, const Revocation& b) {
  return a.kind == b.kind && a.name == b.name && a.value == b.value && a.auth == b.auth && a.issuer == b.issuer &&
         a.allow_newer == b.allow_newer;
}

}  // namespace

// ---- from any thread -----------------------------------------------------------------------------------------------------

bool Revocations::refuses(const Identity& identity, std::string_view auth, WallTime now) const {
  if (size() == 0) return false;
  const std::int64_t issued = issued_at(identity);
  const std::shared_lock lock(mutex_);
  bool found = false;
  each_claim(identity, [&](std::string_view name, std::string_view value) {
    if (found) return;
    const auto [first, last] = marks_.equal_range(claim_mark(name, value, seed_));
    found = std::any_of(first, last, [&](const Marks::value_type& one) {
      const Revocation& what = one.second->what;
      return now < what.expires && what.of_identity() && what.claim() == name && what.value == value &&
             (what.auth.empty() || what.auth == auth) && (what.issuer.empty() || from_issuer(identity, what.issuer)) &&
             !what.spares(issued);
    });
  });
  return found;
}

bool Revocations::refuses(const net::Address& client, WallTime now) const {
  if (size() == 0 || client.octets().empty()) return false;
  const std::shared_lock lock(mutex_);
  const auto [first, last] = marks_.equal_range(mark_of(client));
  const bool alone = std::any_of(first, last, [&](const Marks::value_type& one) {
    return now < one.second->what.expires && one.second->what.kind == Revocation::Kind::ip &&
           one.second->block->contains(client);
  });
  return alone || std::ranges::any_of(blocks_, [&](const Entry* one) {
           return now < one->what.expires && one->block->contains(client);
         });
}

// ---- the main thread -----------------------------------------------------------------------------------------------------

// Of octets with their lengths: two that differ anywhere have different texts.
std::string Revocations::id_of(const Revocation& revocation) {
  std::string text;
  for (const std::string_view part : {revocation.kind_name(), std::string_view(revocation.name), std::string_view(revocation.value),
                                      std::string_view(revocation.auth), std::string_view(revocation.issuer),
                                      std::string_view(revocation.allow_newer ? "newer" : "")}) {
    text += std::to_string(part.size()) + ':';
    text += part;
  }
  const net::Sha256 digest = net::sha256(as_bytes(text));
  return to_hex(Bytes(digest).first(16));
}

Revocations::Entry Revocations::made_of(Revocation revocation) const {
  Entry made{std::move(revocation), {}, 0};
  Revocation& what = made.what;
  if (what.kind == Revocation::Kind::ip) {
    made.block = net::Cidr::parse(what.value);
    check(made.block.has_value(), "a revoked address that is none");
    what.value = made.block->single() ? made.block->base().ip() : made.block->text();
    made.mark = mark_of(made.block->base());
  } else {
    made.mark = claim_mark(what.claim(), what.value, seed_);
  }
  if (what.id.empty()) what.id = id_of(what);
  return made;
}

const Revocation* Revocations::find_same(const Revocation& revocation) const {
  const Entry* const found = same(made_of(revocation));
  return found ? &found->what : nullptr;
}

const Revocation* Revocations::add(Revocation revocation) {
  Entry made = made_of(std::move(revocation));
  Revocation& what = made.what;
  const std::lock_guard lock(mutex_);
  if (const Entry* const found = same(made)) {
    Entry* const before = &entries_.at(found->what.id);
    ends_.erase({before->what.expires, before});
    what.id = before->what.id;
    what.expires = std::max(what.expires, before->what.expires);
    before->what = std::move(what);
    ends_.emplace(before->what.expires, before);
    return &before->what;
  }
  if (entries_.size() >= most_ || (made.listed() && blocks_.size() >= kMostBlocks)) return nullptr;
  std::string id = what.id;
  const auto [at, fresh] = entries_.emplace(std::move(id), std::move(made));
  check(fresh, "two revocations of one id");
  const Entry* const entry = &at->second;
  if (entry->listed()) {
    blocks_.push_back(entry);
  } else {
    marks_.emplace(entry->mark, entry);
  }
  ends_.emplace(entry->what.expires, entry);
  size_.store(entries_.size(), std::memory_order_release);
  return &entry->what;
}

const Revocations::Entry* Revocations::same(const Entry& entry) const {
  if (entry.listed()) {
    const auto found = std::ranges::find_if(blocks_, [&](const Entry* one) { return same_meaning(one->what, entry.what); });
    return found == blocks_.end() ? nullptr : *found;
  }
  const auto [first, last] = marks_.equal_range(entry.mark);
  const auto found =
      std::find_if(first, last, [&](const Marks::value_type& one) { return same_meaning(one.second->what, entry.what); });
  return found == last ? nullptr : found->second;
}

void Revocations::drop(std::map<std::string, Entry>::iterator at) {
  const Entry* const entry = &at->second;
  ends_.erase({entry->what.expires, entry});
  std::erase(blocks_, entry);
  const auto [first, last] = marks_.equal_range(entry->mark);
  const auto found = std::find_if(first, last, [&](const Marks::value_type& one) { return one.second == entry; });
  if (found != last) marks_.erase(found);
  entries_.erase(at);
  size_.store(entries_.size(), std::memory_order_release);
}

bool Revocations::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  drop(found);
  return true;
}

const Revocation* Revocations::find(const std::string& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second.what;
}

void Revocations::expire(WallTime now) {
  if (ends_.empty() || ends_.begin()->first > now) return;
  const std::lock_guard lock(mutex_);
  while (!ends_.empty() && ends_.begin()->first <= now) drop(entries_.find(ends_.begin()->second->what.id));
}

std::vector<const Revocation*> Revocations::list(std::size_t most) const {
  std::vector<const Revocation*> all;
  for (auto at = ends_.rbegin(); at != ends_.rend() && all.size() < most; ++at) all.push_back(&at->second->what);
  return all;
}

}  // namespace sluice::policy
