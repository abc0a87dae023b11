// Races: the JSON-RPC requests of one client that went to several servers, and who has answered them. The first answer to an
// id passes, later ones are told from it. Bounded in ids and in time; keeps no message.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "upstream/message_rules.h"

namespace sluice::session {

class Leg;

class Races {
 public:
  static constexpr std::size_t kMost = 256;      // requests whose last answer has not come
  static constexpr std::size_t kLongestId = 128;  // octets
  static constexpr Duration kLife = std::chrono::minutes(5);  // after that nobody waits for their answers

  // How a message takes part. request: all servers, one answer. notice: nobody answers it, so that it goes to all servers and
  // is not remembered. unread: its id cannot be known, so that it must not go to more than one.
  enum class Part : std::uint8_t { request, notice, unread };
  struct Message {
    Part part = Part::unread;
    std::string id;  // as JSON writes it: "1" and 1 differ
  };
  static Message read_request(upstream::MessageReading& message);
  // The id of an answer (RFC: JSON-RPC 2.0 §5: an id and no method); empty: it is none, or was not read.
  static std::string read_answer(upstream::MessageReading& message);

  // Room for one more request; makes it of those that are too old.
  bool room(Instant now);
  void sent(std::string id, std::span<Leg* const> to, Instant now);
  // True when another leg has answered already. A leg answers requests of one id in their order.
  bool late(std::string_view id, const Leg& from);
  void forget(const Leg& leg);
  std::size_t size() const { return open_.size(); }

  bool swallow = false;  // the message that the leg at hand was just read of: an answer that came too late

 private:
  struct Request {
    std::string id;
    std::vector<const Leg*> awaited;
    Instant sent;
    bool answered = false;
  };
  std::deque<Request> open_;  // oldest first
};

}  // namespace sluice::session
