#include "session/fan.h"

#include <algorithm>

#include "base/result.h"
#include "session/leg.h"

namespace sluice::session {

struct Fan::Branch {
  Branch(Leg& to, BufferPool& pool) : leg(to), rest(pool) {}
  Leg& leg;
  Buffer rest;
  InplaceVector<Bytes, net::kMostParts> dealt;
  bool lost = false;
  bool cut = false;

  // Nothing goes to one that is lost, and nothing behind a Close (RFC 6455 §5.5.1).
  bool deaf() const { return lost || !leg.relaying() || leg.close_out; }
  void write(std::span<const Bytes> parts, std::size_t& taken) {
    taken = 0;
    const bool unsent = leg.stream().unsent();
    if (leg.stream().write(parts, taken) != Io::error) return;
    lost = true;
    cut = unsent || !parts.empty();
  }
  void flush() {
    if (deaf()) rest.clear();
    if (deaf() || !leg.flush_told()) return;  // a control frame that has begun goes first
    const Bytes octets = rest.bytes();
    std::size_t taken = 0;
    write({&octets, octets.empty() ? 0u : 1u}, taken);
    rest.consume(taken);
  }
  // What has been dealt to it leaves in one write; many small pieces are put together first.
  void deal(Bytes piece) {
    if (!dealt.empty() && dealt.back().data() + dealt.back().size() == piece.data()) {
      dealt.back() = {dealt.back().data(), dealt.back().size() + piece.size()};
    } else if (rest.empty() && !dealt.full()) {
      dealt.push_back(piece);
    } else {
      for (const Bytes one : dealt.values()) rest.append(one);
      dealt.clear();
      rest.append(piece);
    }
  }
  void write_dealt() {
    if (!rest.empty()) return flush();
    std::size_t gone = 0;
    if (!deaf()) write(dealt.values(), gone);
    keep(dealt.values(), gone);
    dealt.clear();
  }
  // The rest of the parts, of which so many octets are gone.
  void keep(std::span<const Bytes> parts, std::size_t gone) {
    if (deaf()) return;
    for (const Bytes part : parts) {
      const std::size_t sent = std::min(gone, part.size());
      gone -= sent;
      rest.append(part.subspan(sent));
    }
  }
  // Of a lost one nobody has been told yet.
  bool unsent() const { return lost || (!deaf() && (!rest.empty() || leg.stream().unsent())); }
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

void Fan::deal(Leg& leg, std::size_t octets) {
  Branch* branch = find(leg);
  if (!branch) branch = branches_.emplace_back(std::make_unique<Branch>(leg, pool_)).get();
  hands_.push_back({branch, octets});
}

void Fan::forget(const Leg& leg) {
  for (Hand& hand : hands_) {
    if (hand.to && &hand.to->leg == &leg) hand.to = nullptr;
  }
  std::erase_if(branches_, [&](const auto& branch) { return &branch->leg == &leg; });
}

Leg& Fan::leg(std::size_t index) const { return branches_[index]->leg; }

Fan::Branch* Fan::find(const Leg& leg) const {
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

Leg* Fan::take_lost(bool& cut) {
  const auto found = std::ranges::find_if(branches_, [](const auto& branch) { return branch->lost; });
  if (found == branches_.end()) return nullptr;
  Leg& leg = (*found)->leg;
  cut = (*found)->cut;
  forget(leg);
  return &leg;
}

void Fan::flush() {
  jammed_ = unsent_ = false;
  for (const auto& branch : branches_) {
    branch->flush();
    jammed_ = jammed_ || branch->jammed();
    unsent_ = unsent_ || branch->unsent();
  }
}

Io Fan::write(std::span<const Bytes> parts, std::size_t& taken) {
  taken = 0;
  flush();
  if (jammed_) return Io::blocked;
  for (const Bytes part : parts) taken += part.size();
  if (taken == 0) return Io::ok;
  if (!hands_.empty()) {
    write_dealt(parts);
    return Io::ok;
  }
  for (const auto& branch : branches_) {
    if (branch->deaf()) continue;
    std::size_t gone = 0;
    branch->write(parts, gone);
    branch->keep(parts, gone);
    jammed_ = jammed_ || branch->jammed();
    unsent_ = unsent_ || branch->unsent();
  }
  return Io::ok;
}

// All that has been dealt is there: nobody writes a part of it.
void Fan::write_dealt(std::span<const Bytes> parts) {
  check(parts.size() == 1, "messages are dealt from one piece");
  Bytes octets = parts.front();
  for (const Hand& hand : hands_) {
    check(hand.octets <= octets.size(), "less is written than has been dealt");
    if (hand.to && !hand.to->deaf()) hand.to->deal(octets.first(hand.octets));
    octets = octets.subspan(hand.octets);
  }
  check(octets.empty(), "more is written than has been dealt");
  hands_.clear();
  for (const auto& branch : branches_) {
    branch->write_dealt();
    jammed_ = jammed_ || branch->jammed();
    unsent_ = unsent_ || branch->unsent();
  }
}

}  // namespace sluice::session
