#include "relay/relay.h"

#include <algorithm>

#include "base/result.h"

namespace sluice::relay {

namespace {

// What runs are wrapped in is gathered here until the round's write, and small runs with it: 200 lines of a TCP server
// leave in one part. One relay pumps at a time, so the thread needs one.
constexpr std::size_t kGathering = 16 * 1024;
constexpr std::size_t kGathered = 512;  // the largest run that is copied
constexpr std::size_t kCopied = 64;     // the largest content that is copied, whatever the run
thread_local std::array<std::uint8_t, kGathering> gathering;

constexpr std::size_t kReceiveCost = 2 * 1024;  // of one receive, in octets of the budget

}  // namespace

void Relay::hold(const Run& run, bool admitted, net::Stream* to) {
  check(!run.control, "a control frame may not be held");
  held_.reset(new Held{run, admitted, to});
}

// False when the parts are full.
bool Relay::add(Approved& approved, const Run& run, Bytes octets) {
  if (run.prefix_size > 0 || (!run.content.empty() && !run.control)) return add_wrapped(approved, run, octets);
  octets = octets.subspan(run.skip);
  return octets.empty() || add(approved, octets);
}

bool Relay::add_wrapped(Approved& approved, const Run& run, Bytes octets) {
  if (approved.parts.size() + 3 > approved.parts.capacity() || approved.lent) return false;
  octets = octets.subspan(run.skip, octets.size() - run.skip - run.tail);
  const Bytes prefix = Bytes(run.prefix).first(run.prefix_size);
  const Bytes content = run.content;
  const bool gather = octets.size() <= kGathered;
  const bool lent = content.size() > kCopied;
  const std::size_t room = prefix.size() + (gather ? octets.size() : 0) + (lent ? 0 : content.size());
  if (room > kGathering - approved.gathered) return false;
  const auto copy = [&](Bytes piece) {
    if (piece.empty()) return;
    std::uint8_t* const at = gathering.data() + approved.gathered;
    std::ranges::copy(piece, at);
    approved.gathered += piece.size();
    check(add(approved, Bytes(at, piece.size())), "no part left for what is gathered");
  };
  copy(prefix);
  if (gather) {
    copy(octets);
  } else {
    check(add(approved, octets), "no part left for a run");
  }
  if (lent) {
    approved.lent = true;
    check(add(approved, content), "no part left for what is lent");
  } else {
    copy(content);
  }
  return true;
}

bool Relay::add(Approved& approved, Bytes octets) {
  auto& parts = approved.parts;
  if (!parts.empty() && parts.back().data() + parts.back().size() == octets.data()) {
    Bytes& last = parts.back();
    last = {last.data(), last.size() + octets.size()};  // the usual case: frames back to back are one range
    return true;
  }
  if (parts.full()) return false;
  parts.push_back(octets);
  return true;
}

// Small whole messages that need no asking one by one; true when some have passed.
bool Relay::pass_batch(Approved& approved, Bytes octets) {
  Batch batch = framer_.peek(octets);
  if (batch.size == 0) return false;
  const std::size_t whole = batch.size;
  net::Stream* const to = host_.pass(batch, octets, approved.to);
  // What is there has been looked through once: a look for each message of it would be a look too many for each.
  approved.one_by_one = !to || batch.size < whole;
  if (!to) return false;
  check(!approved.to || approved.to == to, "a batch to another destination");
  check(add(approved, octets.first(batch.size)), "no part left for a batch");
  approved.to = to;
  approved.covered += batch.size;
  inside_frame_ = inside_message_ = false;
  return true;
}

// Shows the host the message that stands at the front; false when it cannot be shown yet, or never.
bool Relay::look_ahead(Approved& approved, MutableBytes octets) {
  while (true) {
    const Preview message =
        framer_.preview(octets, host_.appetite(), controls_ahead_, octets.size() >= kMostHeld);
    switch (message.state) {
      case Preview::State::none: return true;
      case Preview::State::waiting: return false;
      case Preview::State::ready: host_.inspect(message); return true;
      case Preview::State::broken:
        error_ = message.error;
        approved.stop = Why::denied;
        return false;
      case Preview::State::control: break;
    }
    looks_ahead_ = true;
    const Verdict verdict = host_.admit(message.control);
    looks_ahead_ = false;
    if (verdict.kind == Verdict::Kind::deny) {
      error_ = verdict.error;
      approved.stop = Why::denied;
      return false;
    }
    check(verdict.kind == Verdict::Kind::consume, "a control frame would be forwarded before the octets in front of it");
    ++controls_ahead_;
  }
}

void Relay::approve(Approved& approved) {
  const MutableBytes all = from_.received();
  while (true) {
    Run run;
    bool admitted = false;
    net::Stream* to = nullptr;
    if (held_) {
      const std::unique_ptr<Held> held = std::move(held_);
      run = held->run;
      admitted = held->admitted;
      to = held->to;
      if (!to && host_.gives_up(run)) {
        approved.covered += run.size;
        consuming_ = !run.ends;
        continue;
      }
    } else {
      if (approved.covered == all.size()) return;
      // Room for whatever comes: a control frame must not be held.
      if (approved.lent || approved.parts.size() + 2 > approved.parts.capacity()) {
        approved.more = true;
        return;
      }
      if (inspects_) {
        if (!consuming_ && framer_.at_message_boundary() && !look_ahead(approved, all.subspan(approved.covered))) return;
      } else if (!approved.one_by_one && !consuming_ && framer_.at_message_boundary() &&
                 pass_batch(approved, all.subspan(approved.covered))) {
        continue;
      }
      auto found = framer_.next(all.subspan(approved.covered));
      if (!found) {
        error_ = found.error();
        approved.stop = Why::denied;
        return;
      }
      if (found->size == 0) return;
      run = *found;
      if (controls_ahead_ > 0 && run.control) [[unlikely]] {
        --controls_ahead_;
        approved.covered += run.size;
        continue;
      }
    }
    if (consuming_ && !run.control) {
      approved.covered += run.size;
      if (run.ends) consuming_ = false;
      continue;
    }
    if (!admitted) {
      const Verdict verdict = host_.admit(run);
      switch (verdict.kind) {
        case Verdict::Kind::allow: break;
        case Verdict::Kind::consume:
          approved.covered += run.size;
          if (!run.control && !run.ends) consuming_ = true;
          continue;
        case Verdict::Kind::deny:
          error_ = verdict.error;
          if (!run.control) hold(run, false);
          approved.stop = Why::denied;
          return;
        case Verdict::Kind::wait:
        case Verdict::Kind::pending:
          hold(run, false);
          approved.stop = Why::held;
          return;
      }
    }
    if (!to) to = host_.route(run);
    if (!to) {
      hold(run, true);
      approved.stop = Why::held;
      return;
    }
    if ((approved.to && to != approved.to) || !add(approved, run, all.subspan(approved.covered, run.size))) {
      hold(run, true, to);
      approved.more = true;
      return;
    }
    approved.to = to;
    approved.covered += run.size;
    inside_frame_ = !framer_.at_frame_boundary();
    inside_message_ = !framer_.at_message_boundary();
  }
}

// False when the destination died. What it did not take becomes owed.
bool Relay::write(const Approved& approved) {
  to_ = approved.to;
  std::size_t taken = 0;
  if (to_->write(approved.parts.values(), taken) == Io::error) return false;
  for (const Bytes part : approved.parts.values()) {
    const std::size_t gone = std::min(taken, part.size());
    taken -= gone;
    owed_.append(part.subspan(gone));
  }
  return true;
}

bool Relay::idle() const {
  if (!from_.starved() || held_ || !owed_.empty() || (to_ && (to_->jammed() || to_->unsent()))) return false;
  const bool settles = unsettled_ && framer_.at_message_boundary();
  return !settles && from_.received().empty();
}

Relay::Why Relay::pump(Budget& budget) {
  const Why why = pump_turn(budget);
  from_.settle();
  return why;
}

// False when the destination died.
bool Relay::send_owed() {
  std::size_t taken = 0;
  const Bytes owed = owed_.bytes();
  const Io io = to_->write({&owed, owed.empty() ? 0u : 1u}, taken);
  owed_.consume(taken);
  return io != Io::error;
}

void Relay::tell_settled() {
  if (!unsettled_ || held_ || !owed_.empty() || !framer_.at_message_boundary()) return;
  unsettled_ = false;
  host_.settled();
}

Relay::Why Relay::pump_turn(Budget& budget) {
  while (true) {
    // What is owed makes way for what comes.
    if (to_ && (!owed_.empty() || to_->unsent() || to_->jammed())) {
      if (!send_owed()) return Why::to_error;
      if (!owed_.empty() || to_->jammed()) return Why::jammed;
    }
    tell_settled();

    if (held_ || !from_.received().empty()) {
      SLUICE_UNINITIALIZED Approved approved;
      approve(approved);
      const bool written = approved.parts.empty() || write(approved);
      if (approved.lent) framer_.sent();
      from_.consume(approved.covered);  // also when it was in vain: the framer has moved on
      if (!written) return Why::to_error;
      budget.octets -= std::min(budget.octets, approved.covered);
      unsettled_ |= approved.covered > 0;
      if (approved.stop != Why::starved) return approved.stop;
      if (approved.more || !owed_.empty() || (to_ && to_->jammed())) continue;
      tell_settled();
    }

    if (from_.starved()) return Why::starved;
    if (budget.octets == 0) return Why::budget;
    // A receive costs, even if nothing of it reaches us (TLS records without data).
    budget.octets -= std::min(budget.octets, kReceiveCost);
    switch (from_.fill()) {
      case Io::ok: active_ = true; break;
      case Io::blocked: return Why::starved;
      case Io::end: return Why::from_end;
      case Io::error: return Why::from_error;
    }
  }
}

bool Relay::inject(net::Stream& to, Bytes frame) {
  if (!at_frame_boundary() || to.jammed()) return false;
  std::size_t taken = 0;
  if (to.write({&frame, 1}, taken) == Io::error) return true;  // the next write will find it dead
  if (taken == 0) return false;
  to_ = &to;  // also for what the stream itself keeps: the next edge sends it
  if (taken < frame.size()) owed_.append(frame.subspan(taken));
  return true;
}

bool Relay::flush_owed() {
  if (owed_.empty() || !to_) return true;
  return !send_owed() || owed_.empty();  // of a dead one learns whoever reads or writes next
}

void Relay::forget(const net::Stream& stream) {
  if (held_ && held_->to == &stream) held_->to = nullptr;
  if (to_ != &stream) return;
  to_ = nullptr;
  owed_.clear();
  inside_frame_ = inside_message_ = false;  // nobody waits for the rest
}

}  // namespace sluice::relay
