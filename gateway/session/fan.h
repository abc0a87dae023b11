// Fan: one stream in front of several legs. What is written to it goes to each of them as it is (a client's frames are masked
// already, RFC 6455 §5.1), or, where it deals, every message to one of them, with one write for each leg. What one of them
// does not take is owed to that one alone. While anybody is owed something the fan is jammed, so that the slowest sets the
// pace, and at most one turn waits for each.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "net/stream.h"

namespace sluice::session {

class Leg;

class Fan final : public net::Stream {
 public:
  explicit Fan(BufferPool& pool);
  ~Fan() override;

  // Owes nothing and has nothing yet of the message that it is aimed for.
  void aim(std::span<Leg* const> legs);
  bool aims_at(std::span<Leg* const> legs) const;
  // Of what is written next, behind what has been dealt already, so many octets are for this leg and for nobody else.
  void deal(Leg& leg, std::size_t octets);
  void forget(const Leg& leg);
  bool empty() const { return branches_.empty(); }
  std::size_t size() const { return branches_.size(); }
  Leg& leg(std::size_t index) const;
  bool serves(const Leg& leg) const;
  // Octets that have been taken for the leg and have not left.
  std::size_t owed(const Leg& leg) const;
  // A leg that died while it was written to, which is forgotten thereby; null: none. `cut`: there was something left for it.
  Leg* take_lost(bool& cut);

  // Sends what is owed.
  void flush();

  Io write(std::span<const Bytes> parts, std::size_t& taken) override;
  std::size_t owed() const override;

  // Nothing is read of a fan, and its legs end by themselves.
  Io fill() override { return Io::blocked; }
  MutableBytes received() override { return {}; }
  void consume(std::size_t) override {}
  void settle() override {}
  void finish() override {}
  void close() override {}
  void abort() override {}
  void set_ready(net::Ready*) override {}

 private:
  struct Branch;
  struct Hand {
    Branch* to;  // null: it is gone
    std::size_t octets;
  };
  Branch* find(const Leg& leg) const;
  void write_dealt(std::span<const Bytes> parts);
  BufferPool& pool_;
  std::vector<std::unique_ptr<Branch>> branches_;
  std::vector<Hand> hands_;  // in the order of the octets
};

}  // namespace sluice::session
