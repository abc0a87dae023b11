#include "session/name_lookup.h"

namespace sluice::session {

NameLookup::NameLookup(House& house, net::Ready& ready, const std::string& host) {
  house.resolve(host, [weak = std::weak_ptr(answer_)](const net::Resolver::Answer& found) {
    const auto answer = weak.lock();
    if (!answer) return;
    answer->addresses = found.addresses;
    answer->here = true;
    if (answer->ready) answer->ready->on_ready();
  });
  answer_->ready = &ready;  // from now on: an answer at once must not call back into the caller
}

}  // namespace sluice::session
