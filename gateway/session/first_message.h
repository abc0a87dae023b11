// FirstMessage: the credential that a client says first, on a connection that was accepted before it is known who it is. Reads that
// one message and nothing behind it, which stays with the stream; answers control frames meanwhile. Owned by the Opening.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "config/settings.h"
#include "net/stream.h"
#include "ws/ws_framer.h"

namespace sluice::session {

class FirstMessage {
 public:
  // `settings` and `rules` outlive it.
  FirstMessage(const policy::AuthSettings& settings, const config::WebSocketSettings& rules, Instant now);
  ~FirstMessage();
  FirstMessage(const FirstMessage&) = delete;
  FirstMessage& operator=(const FirstMessage&) = delete;

  // Writes `out`, what the gateway has to say so far, and reads on. true: the message is whole, and token() has what it holds.
  // false: an edge of the client will come, or deadline() pass, or it has more() to read. Errors: bad_first_message (no text, or
  // neither a token nor an object that holds one), too_big, first_message_timeout, client_lost (its own Close among them),
  // flood_ctl, and what WsFramer and parse_close find.
  Result<bool> advance(net::Stream& client, std::string& out, Instant now);
  Instant deadline() const { return deadline_; }
  bool more() const { return more_; }
  const Secret& token() const { return token_; }
  // The code of the client's own Close; 0: it has said none.
  std::uint16_t closed() const { return closed_; }

 private:
  Result<bool> read(net::Stream& client, std::string& out);
  Result<void> control(const relay::Run& run);
  void keep(Bytes octets);
  Result<void> speak(net::Stream& client, std::string& out);

  const policy::AuthSettings& settings_;
  const config::WebSocketSettings& rules_;
  const Instant deadline_;
  ws::WsFramer framer_;
  std::string text_;
  Secret token_;
  std::optional<std::string> pong_;  // payload of the newest ping
  std::uint32_t controls_ = 0;
  std::uint16_t closed_ = 0;
  bool more_ = false;
};

}  // namespace sluice::session
