// DemoBackend: the demo's own servers on loopback, on a thread and loop of their own: WebSocket echo servers and a newline
// TCP server. Real sockets: the gateway reaches them as it reaches any other. Built from the house's own codecs.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "event/loop.h"
#include "event/mailbox.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/stream.h"

namespace sluice::server {

class DemoBackend {
 public:
  enum class Kind : std::uint8_t { websocket, line };

  DemoBackend();
  ~DemoBackend();
  // Listens on a free port of 127.0.0.1 and serves; the address. `name` is what a websocket server calls itself.
  net::Address serve(Kind kind, const std::string& name);
  void start();

  class Connection;
  // Called by a Connection that is over.
  void drop(Connection& connection);

 private:
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_;
  event::Mailbox mailbox_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread thread_;
};

}  // namespace sluice::server
