#include "session/fan.h"

#include <algorithm>

#include "base/result.h"
#include "session/leg.h"

namespace sluice::session {

struct Fan::Branch {
  Branch(Leg& to, BufferPool& pool) : leg(to), rest(pool) {}
  Leg& leg;
  Buffer rest;
  bool lost = false;

  // Nothing goes to one that is lost, and nothing behind a Close (RFC 6455 §5.5.1).
  bool deaf() const { return lost || !leg.relaying() || leg.close_out; }
  void write(std::span<const Bytes> parts, std::size_t& taken) {
    taken = 0;
    if (leg.stream().write(parts, taken) == Io::error) lost = true;
  }
  void flush() {
    if (deaf()) rest.clear();
    if (deaf() || !leg.flush_told()) return;  // a control frame that has begun goes first
    const Bytes octets = rest.bytes();
    std::size_t taken = 0;
    write({&octets, octets.empty() ? 0u : 1u}, taken);
    rest.consume(taken);
  }
  bool jammed() const { return !deaf() && (!rest.empty() || leg.owes_told() || leg.stream().jammed()); }
};

Fan::Fan(BufferPool& pool) : pool_(pool) {}

Fan::~Fan() = default;

void Fan::aim(std::span<Leg* const> legs) {
  check(owed() == 0, "a fan is turned while it owes");
  branches_.clear();
  for (Leg* const leg : legs) branches_.push_back(std::make_unique<Branch>(*leg, pool_));
}

bool Fan::aims_at(std::span<Leg* const> legs) const {
  return std::ranges::equal(legs, branches_, [](const Leg* leg, const auto& branch) { return leg == &branch->leg; });
}

void Fan::forget(const Leg& leg) {
  std::erase_if(branches_, [&](const auto& branch) { return &branch->leg == &leg; });
}

Leg& Fan::leg(std::size_t index) const { return branches_[index]->leg; }

const Fan::Branch* Fan::find(const Leg& leg) const {
  const auto found = std::ranges::find_if(branches_, [&](const auto& branch) { return &branch->leg == &leg; });
  return found == branches_.end() ? nullptr : found->get();
}

bool Fan::serves(const Leg& leg) const { return find(leg) != nullptr; }

std::size_t Fan::owed(const Leg& leg) const {
  const Branch* const branch = find(leg);
  return branch ? branch->rest.size() : 0;
}

std::size_t Fan::owed() const {
  std::size_t sum = 0;
  for (const auto& branch : branches_) sum += branch->rest.size();
  return sum;
}

Leg* Fan::take_lost() {
  const auto found = std::ranges::find_if(branches_, [](const auto& branch) { return branch->lost; });
  if (found == branches_.end()) return nullptr;
  Leg* const leg = &(*found)->leg;
  branches_.erase(found);
  return leg;
}

void Fan::flush() {
  jammed_ = unsent_ = false;
  for (const auto& branch : branches_) {
    branch->flush();
    jammed_ = jammed_ || branch->jammed();
    unsent_ = unsent_ || (!branch->deaf() && branch->leg.stream().unsent());
  }
}

Io Fan::write(std::span<const Bytes> parts, std::size_t& taken) {
  taken = 0;
  flush();
  if (jammed_) return Io::blocked;
  for (const Bytes part : parts) taken += part.size();
  if (taken == 0) return Io::ok;
  for (const auto& branch : branches_) {
    if (branch->deaf()) continue;
    std::size_t gone = 0;
    branch->write(parts, gone);
    for (const Bytes part : parts) {
      const std::size_t sent = std::min(gone, part.size());
      gone -= sent;
      if (!branch->lost) branch->rest.append(part.subspan(sent));
    }
    jammed_ = jammed_ || branch->jammed();
    unsent_ = unsent_ || (!branch->deaf() && branch->leg.stream().unsent());
  }
  return Io::ok;
}

}  // namespace sluice::session
