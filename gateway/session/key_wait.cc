#include "session/key_wait.h"

namespace sluice::session {

std::unique_ptr<KeyWait> KeyWait::begin(House& house, net::Ready& ready, const policy::Authenticator& authenticator,
                                        const policy::Credential& credential) {
  const Instant now = house.loop.now();
  std::unique_ptr<KeyWait> wait(new KeyWait(ready, now + policy::KeySource::kMostWait));
  wait->place_ = authenticator.wait(credential, now, [&house, weak = std::weak_ptr(wait->bell_)] {
    house.post([weak] {
      if (const std::shared_ptr<Bell> bell = weak.lock()) bell->ready.on_ready();
    });
  });
  return wait->place_ ? std::move(wait) : nullptr;
}

}  // namespace sluice::session
