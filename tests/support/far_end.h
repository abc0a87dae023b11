// FarEnd: the other end of a connection of the gateway, as a test holds it: a client or an upstream, over memory or over a
// socket.
#pragma once

#include <string>
#include <string_view>

namespace sluice::test {

class FarEnd {
 public:
  virtual ~FarEnd() = default;
  virtual void send(std::string_view octets) = 0;
  // What has arrived since the last call.
  virtual std::string take() = 0;
  // The gateway has finished or closed its direction and everything before that has been taken.
  virtual bool ended() const = 0;
  // The gateway cut the connection instead of finishing it.
  virtual bool cut() const = 0;
  virtual void finish() = 0;
  virtual void reset() = 0;
};

}  // namespace sluice::test
