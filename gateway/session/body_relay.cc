#include "session/body_relay.h"

#include <algorithm>
#include <charconv>

namespace sluice::session {

namespace {

constexpr std::size_t kReceiveCost = 2 * 1024;  // of one receive, in octets of the budget
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::string_view kLineEndAndLastChunk = "\r\n0\r\n\r\n";

}  // namespace

BodyRelay::Why BodyRelay::pump(relay::Budget& budget) {
  const Why why = pump_turn(budget);
  from_.settle();
  return why;
}

bool BodyRelay::say(std::string_view octets) {
  owed_.append(as_bytes(octets));
  return send_owed();
}

// False when the destination died.
bool BodyRelay::send_owed() {
  std::size_t taken = 0;
  const Bytes owed = owed_.bytes();
  const Io io = to_.write({&owed, owed.empty() ? 0u : 1u}, taken);
  active_ |= taken > 0;
  owed_.consume(taken);
  return io != Io::error;
}

// Takes what is there, as far as one write reaches. False: the body is to be refused, and nothing of the batch may go.
bool BodyRelay::gather(Batch& batch) {
  auto& parts = batch.parts;
  if (!head_.empty()) parts.push_back(as_bytes(head_));
  const std::size_t line = parts.size();
  if (chunked_) parts.push_back({});
  const std::size_t room = parts.capacity() - 1;  // one for what ends a chunk
  const Bytes all = from_.received();
  std::size_t octets = 0;
  while (parts.size() < room && !reader_.done()) {
    const auto piece = reader_.next(all.subspan(batch.covered));
    if (!piece) {
      error_ = piece.error();
      return false;
    }
    if (piece->size == 0) break;
    batch.covered += piece->size;
    if (piece->data.empty()) continue;
    parts.push_back(piece->data);
    octets += piece->data.size();
  }
  if (most_ > 0 && reader_.octets() > most_) {
    error_ = {Errc::body_too_large, Side::client, false, "a body over max_body"};
    return false;
  }
  batch.last = reader_.done();
  if (!chunked_) return true;
  if (octets > 0) {
    char* end = std::to_chars(batch.line.data(), batch.line.data() + 16, octets, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    parts[line] = as_bytes(std::string_view(batch.line.data(), end));
  }
  // RFC 9112 §7.1: chunk-data CRLF, and the last chunk with an empty trailer section.
  if (octets > 0) {
    parts.push_back(as_bytes(batch.last ? kLineEndAndLastChunk : kLineEnd));
  } else if (batch.last) {
    parts.push_back(as_bytes(kLastChunk));
  }
  return true;
}

// False when the destination died. What it did not take becomes owed.
bool BodyRelay::send(const Batch& batch) {
  head_ = {};
  ended_ = batch.last;
  std::size_t taken = 0;
  const Io io = to_.write(batch.parts.values(), taken);
  active_ |= taken > 0;
  begun_ |= taken > 0 || io != Io::error;
  for (const Bytes part : batch.parts.values()) {
    const std::size_t gone = std::min(taken, part.size());
    taken -= gone;
    if (io != Io::error && gone < part.size()) owed_.append(part.subspan(gone));
  }
  return io != Io::error;
}

BodyRelay::Why BodyRelay::pump_turn(relay::Budget& budget) {
  while (true) {
    // What is owed makes way for what comes.
    if (waits()) {
      if (!send_owed()) return Why::to_error;
      if (waits()) return Why::jammed;
    }
    const bool more = !reader_.done() && !from_.received().empty();
    if (!head_.empty() || more || (reader_.done() && !ended_)) {
      SLUICE_UNINITIALIZED Batch batch;
      if (!gather(batch)) return Why::denied;
      const bool sent = send(batch);
      from_.consume(batch.covered);
      if (!sent) return Why::to_error;
      budget.octets -= std::min(budget.octets, batch.covered);
      continue;
    }
    if (reader_.done()) return Why::done;

    if (from_.starved()) return Why::starved;
    if (budget.octets == 0) return Why::budget;
    budget.octets -= std::min(budget.octets, kReceiveCost);
    switch (from_.fill()) {
      case Io::ok: active_ = true; break;
      case Io::blocked: return Why::starved;
      case Io::end:
        if (!reader_.end()) return Why::from_end;
        break;
      case Io::error: return Why::from_error;
    }
  }
}

}  // namespace sluice::session
