// ProxyArrival: an accepted connection of a listener with proxy_protocol = "required" until its PROXY header has been
// read, under one deadline. Then it replaces itself by what the connection would have been without. No answer is ever
// given: who sends no header, or a bad one, is reset.
#pragma once

#include <functional>
#include <memory>

#include "net/preamble.h"
#include "session/admission.h"
#include "session/ends.h"
#include "session/front.h"

namespace sluice::session {

class ProxyArrival final : public StreamOwner {
 public:
  ProxyArrival(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime,
               std::size_t listener, const net::Address& proxy);

  Step tick() override { return Step::wait; }
  void drain() override { act(Step::done); }

 private:
  Step advance() override;
  Step refuse(const Error& error);

  Admission admission_;
  std::shared_ptr<const Runtime> runtime_;
  std::size_t listener_;
  net::Address proxy_;
  net::Preamble preamble_;
  event::Timer deadline_;
  bool late_ = false;
};

// Counts and logs a connection that a listener with proxy_protocol does not serve.
void proxy_refused(House& house, const ListenerRuntime& listener, const net::Address& peer, const Error& error);

}  // namespace sluice::session
