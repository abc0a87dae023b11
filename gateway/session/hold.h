// Hold: what stands between a client's messages and the leg that they go to, on a route where the client survives the loss
// of that leg. For the relay client → upstream it is the destination, a stream that outlives legs; it knows how much of
// which message a leg has had, and keeps what the next leg must be given.
//
// Owned by a Revival, which joins it to a leg and tells it of the leg's loss. It never opens a leg and never ends a session.
// Per message (`apart`) it gives one message at a time: when it has left, the hold is joined to nobody, and who gets the next
// one is the Revival's to say.
//
// Kept are: octets that the leg has not taken yet (at most a turn), with in_flight = "hold" those that it has had of the
// message at hand (at most `buffer`), and while there is no leg what the client goes on to send (at most `buffer`).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "net/stream.h"
#include "relay/framer.h"

namespace sluice::session {

class Hold final : public net::Stream {
 public:
  Hold(const config::SurviveSettings& rules, bool apart) : rules_(rules), apart_(apart) {}

  // A run whose octets come next by write(); called in the order of the octets, so that message boundaries are known here.
  void expect(const relay::Run& run);

  // From now on everything goes to `leg`, beginning with what waits.
  void join(net::Stream& leg);
  // Likewise, as soon as the message at hand has left for the leg that is joined now. Repeatable; stay() takes it back.
  void join_after(net::Stream& leg);
  void stay() { then_ = nullptr; }
  bool joined() const { return leg_ != nullptr; }
  bool feeds(const net::Stream& leg) const { return leg_ == &leg; }

  // What becomes of a message that the lost leg has had in part.
  enum class Loss : std::uint8_t {
    none,     // there is none
    kept,     // it will be sent again, from its first octet
    dropped,  // it is gone, and the rest of it will be swallowed
    failed,   // it is gone, and the client must be told so
  };
  // The leg takes nothing any more.
  Loss lose();

  // ---- one message at a time ----
  // Messages that have left as a whole, since the last look.
  std::uint32_t take_left() { return std::exchange(left_, 0); }
  // Whoever it is joined to has had octets of the message at its front.
  bool begun() const { return headless_ || sent_ > 0; }
  // All of it has been handed to whoever it is joined to.
  bool given() const { return first_ < messages_.size() && messages_[first_].whole && sent_ == messages_[first_].size; }
  // Nothing of it has been forgotten: it could be sent again.
  bool whole() const { return !headless_; }
  // It stays when it has left, because somebody must be given it once more ...
  void keep() { kept_back_ = true; }
  bool kept_back() const { return kept_back_ && given() && leg_ && !leg_->unsent(); }
  // ... from its first octet, once the hold is joined again. Nobody is joined until then.
  void rewind();
  // It has reached whom it can reach, and goes.
  void settle_front();

  // Sends what waits, as far as the leg takes it.
  void flush();
  // A write has failed since the leg was joined: nobody has told the relay.
  bool broken() const { return broken_; }
  // A control frame of the gateway's own: sent now, or false and nothing has happened. The caller knows that what the client
  // has sent ends with a whole frame, or that the leg is to have none of it (swallowing).
  bool tell(Bytes frame);
  bool swallowing() const { return swallowing_; }

  // Nothing waits to be sent.
  bool empty() const { return told_.empty() && sent_ == octets() && !unsent_; }
  std::size_t octets() const { return kept_.size() - begin_; }

  // Whole messages that were taken from the client and that nobody has got, since the last look; what is kept now is not
  // among them.
  std::uint32_t take_dropped() { return std::exchange(dropped_, 0); }
  // Everything that waits is given up.
  void drop_all();

  // ---- as the relay sees it ----
  Io fill() override { return Io::error; }
  MutableBytes received() override { return {}; }
  void consume(std::size_t) override {}
  void settle() override {}
  Io write(std::span<const Bytes> parts, std::size_t& taken) override;
  void finish() override {}
  void close() override {}
  void abort() override {}
  std::size_t owed() const override { return octets() - sent_; }
  void set_ready(net::Ready*) override {}

 private:
  // Octets that have been announced and have not come yet.
  struct Note {
    std::size_t left;
    bool begins;
    bool ends;
    bool control;
  };
  // A message, or a control frame, of which something is kept.
  struct Message {
    std::size_t size = 0;  // octets of it in kept_
    bool whole = false;
    bool control = false;
  };

  void take(Bytes octets);
  void take_note(Note& note, Bytes octets);
  void send();
  bool send_told();
  void change();
  void settle_sent();
  void forget_sent();
  void drop_first();
  void look();
  Bytes unsent() const { return as_bytes(kept_).subspan(begin_ + sent_); }
  void drop_octets(std::size_t n);

  const config::SurviveSettings& rules_;
  net::Stream* leg_ = nullptr;
  net::Stream* then_ = nullptr;
  std::string kept_;            // from begin_ on: messages_ one behind the other
  std::size_t begin_ = 0;
  std::size_t sent_ = 0;        // octets of them, at their front, that the leg has taken
  std::vector<Message> messages_;  // from first_ on
  std::size_t first_ = 0;
  std::vector<Note> notes_;
  std::string told_;            // rest of a control frame
  std::uint32_t dropped_ = 0;
  std::uint32_t left_ = 0;
  const bool apart_;
  bool kept_back_ = false;
  bool headless_ = false;       // the first message has octets that the leg has taken and that are not kept
  bool swallowing_ = false;     // of the message at hand nothing goes anywhere any more
  bool broken_ = false;
};

}  // namespace sluice::session
