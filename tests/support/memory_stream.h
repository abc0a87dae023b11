// MemoryStream: a net::Stream without a socket, by the contract of net/stream.h and with the habits of SocketStream:
// octets arrive in the Turn, a remainder moves into a pooled Buffer, readiness is "the last operation did not block", edges
// come only when the test delivers them. Octets that were consumed or moved are overwritten, so that a view that should
// have died is seen to be dead.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/stream.h"
#include "support/wire.h"

namespace sluice::test {

class MemoryStream final : public net::Stream, public WireEnd {
 public:
  MemoryStream(const net::Place& place, Wire& wire) : place_(place), wire_(wire), kept_(place.pool), owed_(place.pool) {
    wire_.stream = this;
    starved_ = true;  // as a fresh socket: the first edge comes by itself
    wire_.readable = true;
  }
  ~MemoryStream() override { MemoryStream::close(); }

  Io fill() override {
    if (starved_) return Io::blocked;
    if (closed_) return Io::error;
    const std::size_t have = received().size();
    if (have >= kChunk) return Io::blocked;
    switch (wire_.faults.strike()) {
      case Faults::Kind::none: break;
      case Faults::Kind::error: wire_.reset(); break;
      case Faults::Kind::end:
        wire_.in.clear();
        wire_.in_end = true;
        break;
      case Faults::Kind::block:
        starved_ = true;
        wire_.readable = true;
        return Io::blocked;
    }
    if (wire_.dead) return Io::error;
    if (wire_.in.empty()) {
      if (wire_.in_end) return Io::end;
      starved_ = true;
      return Io::blocked;
    }
    const std::size_t n = std::min({wire_.in.size(), wire_.read_size, kChunk - have});
    arrive(as_bytes(std::string_view(wire_.in).substr(0, n)));
    wire_.in.erase(0, n);
    ++wire_.fills;
    if (wire_.in.empty() && !closed_edge_) starved_ = concluded_ = true;
    return Io::ok;
  }

  MutableBytes received() override {
    if (begin_ != end_) return {place_.turn.plain.get() + begin_, end_ - begin_};
    return kept_.bytes();
  }

  void consume(std::size_t n) override {
    check(n <= received().size(), "MemoryStream::consume beyond the end");
    if (n == 0) return;
    std::memset(received().data(), 0xDD, n);
    if (begin_ == end_) {
      kept_.consume(n);
      return;
    }
    begin_ += n;
    if (begin_ == end_) settle();
  }

  void settle() override {
    Turn& turn = place_.turn;
    if (turn.plain_owner != this) return;
    kept_.append({turn.plain.get() + begin_, end_ - begin_});
    std::memset(turn.plain.get(), 0xDD, end_);
    begin_ = end_ = 0;
    turn.plain_owner = nullptr;
  }

  Io write(std::span<const Bytes> parts, std::size_t& taken) override {
    taken = 0;
    if (closed_) return Io::error;
    check(parts.size() <= net::kMostParts, "too many parts in one write");
    std::size_t total = 0;
    for (const Bytes part : parts) total += part.size();
    if (total > 0 && finishing_) return Io::error;
    if (wire_.takes_all) return write_all(parts, total, taken);
    if (total == 0) return Io::ok;
    if (jammed_) return Io::blocked;
    if (const Io io = strike_write(); io != Io::ok) return io;
    taken = std::min(total, wire_.window);
    std::size_t left = taken;
    for (const Bytes part : parts) {
      const std::size_t n = std::min(left, part.size());
      wire_.out.append(as_text(part.first(n)));
      left -= n;
    }
    moved(taken);
    if (taken < total) jammed_ = true;
    return taken < total ? Io::blocked : Io::ok;
  }

  void finish() override {
    if (closed_) return;
    finishing_ = true;
    if (!owed_.empty()) return;
    finished_ = wire_.finished = true;
  }
  void close() override {
    if (closed_) return;
    closed_ = wire_.closed = true;
    if (place_.turn.plain_owner == this) place_.turn.plain_owner = nullptr;
    begin_ = end_ = 0;
    kept_.clear();
    owed_.clear();
    unsent_ = false;
    ready_ = nullptr;
    wire_.stream = nullptr;
  }
  void abort() override {
    if (closed_) return;
    wire_.aborted = true;
    close();
  }
  std::size_t owed() const override { return owed_.size(); }
  bool keeps() const override { return wire_.takes_all; }
  std::size_t undelivered() const override { return wire_.unacknowledged; }
  bool hung_up() const override { return wire_.in_end || wire_.dead; }
  void set_ready(net::Ready* ready) override { ready_ = ready; }

  void edge(bool readable, bool writable) override {
    const bool news = readable || (writable && jammed_);
    if (readable) starved_ = concluded_ = false;
    if (writable) jammed_ = false;
    if (wire_.in_end || wire_.dead) closed_edge_ = true;
    if (news && ready_) ready_->on_ready();
  }

 private:
  // A remainder up to this size is moved to the front of the Turn; a larger one stays and what arrives is appended.
  static constexpr std::size_t kMovable = 8 * 1024;

  void arrive(Bytes octets) {
    Turn& turn = place_.turn;
    check(!turn.plain_owner || turn.plain_owner == this, "two streams in one turn");
    if (turn.plain_owner != this) {
      if (kept_.size() > kMovable) {
        kept_.append(octets);
        return;
      }
      std::ranges::copy(kept_.bytes(), turn.plain.get());
      begin_ = 0;
      end_ = kept_.size();
      kept_.clear();
      turn.plain_owner = this;
    } else if (end_ + octets.size() > kChunk + kSlack) {
      std::copy(turn.plain.get() + begin_, turn.plain.get() + end_, turn.plain.get());
      end_ -= begin_;
      begin_ = 0;
    }
    std::ranges::copy(octets, turn.plain.get() + end_);
    end_ += octets.size();
  }

  Io strike_write() {
    switch (wire_.faults.strike()) {
      case Faults::Kind::none: break;
      case Faults::Kind::error:
      case Faults::Kind::end: wire_.reset(); break;
      case Faults::Kind::block:
        jammed_ = true;
        wire_.writable = true;
        return Io::blocked;
    }
    return wire_.dead ? Io::error : Io::ok;
  }

  void moved(std::size_t n) {
    if (n > 0) wire_.writes.push_back(n);
    if (wire_.window != Wire::kUnlimited) wire_.window -= n;
  }

  Io write_all(std::span<const Bytes> parts, std::size_t total, std::size_t& taken) {
    if (!owed_.empty()) {
      if (const Io io = flush(); io == Io::error) return io;
    }
    if (jammed_) return total == 0 ? Io::ok : Io::blocked;
    if (total == 0) return Io::ok;
    if (const Io io = strike_write(); io != Io::ok) return io;
    for (const Bytes part : parts) owed_.append(part);
    taken = total;
    return flush();
  }

  Io flush() {
    if (jammed_) return Io::ok;
    if (wire_.dead) return Io::error;
    const std::size_t n = std::min(owed_.size(), wire_.window);
    wire_.out.append(as_text(owed_.bytes().first(n)));
    owed_.consume(n);
    moved(n);
    jammed_ = unsent_ = !owed_.empty();
    if (finishing_ && owed_.empty()) finished_ = wire_.finished = true;
    return Io::ok;
  }

  const net::Place& place_;
  Wire& wire_;
  net::Ready* ready_ = nullptr;
  Buffer kept_;
  Buffer owed_;  // of takes_all
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool closed_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  bool closed_edge_ = false;
};

}  // namespace sluice::test
