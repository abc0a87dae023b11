// KeyWait: one client's wait for newer keys, because those that are there cannot check its token (yet). Its place is among all who
// wait at the source of the keys (policy/key_source), which wakes it on its own worker. Destroying it gives the place up.
#pragma once

#include <memory>

#include "policy/authenticator.h"
#include "session/front.h"

namespace sluice::session {

class KeyWait {
 public:
  // Asks for newer keys. Null: to wait for them would be in vain.
  static std::unique_ptr<KeyWait> begin(House& house, net::Ready& ready, const policy::Authenticator& authenticator,
                                        const policy::Credential& credential);

  // The keys that are there now are those to be judged by.
  bool over(Instant now) const { return place_->over() || now >= deadline_; }
  Instant deadline() const { return deadline_; }

 private:
  // Rung on any thread, heard on the client's own, unless the client has left by then.
  struct Bell {
    net::Ready& ready;
  };
  KeyWait(net::Ready& ready, Instant deadline) : bell_(std::make_shared<Bell>(ready)), deadline_(deadline) {}

  std::shared_ptr<Bell> bell_;
  Instant deadline_;
  std::unique_ptr<policy::KeySource::Wait> place_;
};

}  // namespace sluice::session
