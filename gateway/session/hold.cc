#include "session/hold.h"

#include <algorithm>

#include "base/result.h"

namespace sluice::session {

void Hold::expect(const relay::Run& run) {
  // What is put on the wire; the content of a control frame stands among its octets, that of a message behind them.
  const std::size_t content = run.control ? 0 : run.content.size();
  Note note{run.prefix_size + (run.size - run.skip - run.tail) + content, run.begins, run.ends, run.control};
  // One without octets of its own (a frame's header in front of TCP) is never written.
  if (note.left == 0 && notes_.empty()) {
    take_note(note, {});
  } else {
    notes_.push_back(note);
  }
}

void Hold::join(net::Stream& leg) {
  leg_ = &leg;
  broken_ = false;
  flush();
}

void Hold::join_after(net::Stream& leg) {
  then_ = &leg;
  flush();
}

Hold::Loss Hold::lose() {
  leg_ = then_ = nullptr;
  told_.clear();
  kept_back_ = false;
  Loss loss = Loss::none;
  if (begun() && messages_[first_].control) {
    drop_first();  // the client's Close: nobody is left to whom it would mean anything
  } else if (begun()) {
    switch (rules_.in_flight) {
      case config::InFlight::hold: loss = headless_ ? Loss::failed : Loss::kept; break;
      case config::InFlight::fail: loss = Loss::failed; break;
      case config::InFlight::drop: loss = Loss::dropped; break;
    }
    if (loss == Loss::kept) sent_ = 0;
    if (loss == Loss::dropped) drop_first();
  }
  look();
  return loss;
}

void Hold::rewind() {
  leg_ = nullptr;
  told_.clear();
  kept_back_ = false;
  sent_ = 0;
  look();
}

void Hold::settle_front() {
  check(first_ < messages_.size() && messages_[first_].whole, "a message that has not come goes");
  const std::size_t size = messages_[first_++].size;
  leg_ = nullptr;
  told_.clear();
  kept_back_ = headless_ = false;
  sent_ = 0;
  ++left_;
  drop_octets(size);
  look();
}

void Hold::drop_first() {
  const Message message = messages_[first_++];
  drop_octets(message.size);
  sent_ = 0;
  headless_ = false;
  if (message.control) return;
  if (message.whole) {
    ++dropped_;
  } else {
    swallowing_ = true;
  }
}

void Hold::drop_all() {
  for (; first_ < messages_.size(); ++first_) dropped_ += messages_[first_].whole && !messages_[first_].control;
  for (const Note& note : notes_) dropped_ += note.ends && !note.control;
  messages_.clear();
  notes_.clear();
  kept_.clear();
  first_ = begin_ = sent_ = 0;
  headless_ = kept_back_ = false;
}

// ---- taking from the relay ---------------------------------------------------------------------------------------------

Io Hold::write(std::span<const Bytes> parts, std::size_t& taken) {
  taken = 0;
  flush();
  std::size_t total = 0;
  for (const Bytes part : parts) total += part.size();
  std::size_t room = total;
  if (jammed_) {
    room = 0;
  } else if (!leg_) {
    room = std::min(total, rules_.buffer - std::min<std::size_t>(rules_.buffer, octets()));
  }
  for (const Bytes part : parts) {
    const Bytes some = part.first(std::min(part.size(), room - taken));
    take(some);
    taken += some.size();
  }
  flush();
  return taken == total ? Io::ok : Io::blocked;
}

void Hold::take(Bytes octets) {
  std::size_t done = 0;
  while (!octets.empty()) {
    check(done < notes_.size(), "octets that nobody has announced");
    Note& note = notes_[done];
    const std::size_t n = std::min(note.left, octets.size());
    take_note(note, octets.first(n));
    octets = octets.subspan(n);
    if (note.left == 0) ++done;
  }
  for (; done < notes_.size() && notes_[done].left == 0; ++done) take_note(notes_[done], {});
  if (done == notes_.size()) {
    std::vector<Note>().swap(notes_);
  } else {
    notes_.erase(notes_.begin(), notes_.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

void Hold::take_note(Note& note, Bytes octets) {
  note.left -= octets.size();
  if (std::exchange(note.begins, false)) messages_.emplace_back();
  if (note.control && (messages_.empty() || !messages_.back().control || messages_.back().whole)) {
    messages_.push_back({.control = true});
  }
  if (!swallowing_ || note.control) {
    check(first_ < messages_.size(), "a message that goes on and was never begun");
    messages_.back().size += octets.size();
    kept_.append(as_text(octets));
  }
  if (note.left > 0 || !(note.ends || note.control)) return;
  if (swallowing_ && !note.control) {
    swallowing_ = false;
    ++dropped_;
  } else {
    messages_.back().whole = true;
  }
}

// ---- giving to the leg -------------------------------------------------------------------------------------------------

void Hold::flush() {
  if (leg_) send();
  look();
}

// What the relay is told of: full, or something is left that the next edge may free.
void Hold::look() {
  unsent_ = leg_ && (!told_.empty() || sent_ < octets() || leg_->unsent());
  jammed_ = leg_ ? unsent_ : octets() >= rules_.buffer;
}

// What the leg's stream keeps itself, and the rest of a control frame. False: nothing may follow yet.
bool Hold::send_told() {
  if (told_.empty() && !leg_->unsent()) return true;
  const Bytes rest = as_bytes(told_);
  std::size_t taken = 0;
  if (leg_->write({&rest, rest.empty() ? 0u : 1u}, taken) == Io::error) {
    broken_ = true;
    return false;
  }
  told_.erase(0, taken);
  return told_.empty() && !leg_->unsent();
}

void Hold::send() {
  if (broken_ || leg_->jammed() || !send_told()) return;
  settle_sent();
  change();
  while (leg_ && sent_ < octets() && !leg_->jammed()) {
    Bytes rest = unsent();
    // What a stream keeps itself (TLS) cannot be taken apart again: then it is to be of one message only.
    if (apart_ || leg_->keeps() || then_) rest = rest.first(messages_[first_].size - sent_);
    if (rest.empty()) break;  // it is kept back
    std::size_t taken = 0;
    if (leg_->write({&rest, 1}, taken) == Io::error) {
      broken_ = true;
      break;
    }
    sent_ += taken;
    settle_sent();
    if (!leg_ || taken < rest.size() || leg_->unsent()) break;
    change();
  }
  forget_sent();
}

// To the leg that comes after this one, where nothing has been begun with this one.
void Hold::change() {
  if (!leg_ || !then_ || headless_ || sent_ > 0 || leg_->unsent()) return;
  leg_ = std::exchange(then_, nullptr);
}

// Messages that have left as a whole are done with.
void Hold::settle_sent() {
  if (leg_->unsent()) return;
  if (apart_) {
    if (!kept_back_ && given()) settle_front();
    return;
  }
  std::size_t gone = 0;
  for (; first_ < messages_.size() && messages_[first_].whole && sent_ - gone >= messages_[first_].size; ++first_) {
    gone += messages_[first_].size;
    headless_ = false;
  }
  sent_ -= gone;
  drop_octets(gone);
}

// Of a message that could not be sent again anyway only what has not been sent is of use.
void Hold::forget_sent() {
  if (sent_ == 0 || (rules_.in_flight == config::InFlight::hold && sent_ <= rules_.buffer)) return;
  messages_[first_].size -= sent_;
  drop_octets(sent_);
  sent_ = 0;
  headless_ = true;
}

void Hold::drop_octets(std::size_t n) {
  begin_ += n;
  if (begin_ == kept_.size()) {
    std::string().swap(kept_);
    begin_ = 0;
  } else if (begin_ > kChunk) {
    kept_.erase(0, begin_);
    begin_ = 0;
  }
  if (first_ == messages_.size()) {
    std::vector<Message>().swap(messages_);
    first_ = 0;
  } else if (first_ > kChunk / sizeof(Message)) {
    messages_.erase(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

bool Hold::tell(Bytes frame) {
  if (!leg_ || jammed_ || !empty()) return false;
  std::size_t taken = 0;
  if (leg_->write({&frame, 1}, taken) == Io::error) {
    broken_ = true;
    return true;  // the leg's end is about to be found out
  }
  if (taken == 0) return false;
  told_ = as_text(frame.subspan(taken));
  look();
  return true;
}

}  // namespace sluice::session
