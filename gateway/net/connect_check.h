// ConnectCheck: whether a TCP connection to an address can be opened, and nothing more: it is closed at once, behind a
// PROXY header where one is due. Used by the active health checks on the main loop.
#pragma once

#include <functional>
#include <string>

#include "base/time.h"
#include "event/timer.h"
#include "event/watch.h"
#include "net/address.h"
#include "net/socket.h"

namespace sluice::net {

class ConnectCheck final : private event::WatchHandler {
 public:
  // `done` gets the reason of a failure, or nullptr when the address accepted. It is called once, never from inside
  // start(), and may destroy the ConnectCheck. Destroying it earlier gives the attempt up without a call.
  ConnectCheck(event::Loop& loop, std::move_only_function<void(const char* failure)> done);
  void start(const Address& address, Duration timeout, std::string preamble = {});

 private:
  void on_edge(event::Edge edge) override;
  void finish(const char* failure);

  event::Loop& loop_;
  std::move_only_function<void(const char*)> done_;
  const char* failure_ = nullptr;
  std::string preamble_;
  Fd fd_;
  event::Watch watch_;  // stops before fd_ closes
  event::Timer deadline_;
};

}  // namespace sluice::net
