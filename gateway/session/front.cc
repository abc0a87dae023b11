#include "session/front.h"

namespace sluice::session {

void StreamOwner::wake() {
  if (retired_) return;
  Step step;
  do {
    step = advance();
  } while (step == Step::next);
  act(step);
}

void StreamOwner::act(Step step) {
  if (step != Step::done || retired_) return;
  retired_ = true;
  house_.retire(*this);
}

void StreamOwner::wake_later() {
  if (later_) return;
  later_ = true;
  // By name, not by pointer: it may be gone by then.
  house_.loop.defer([&house = house_, name = slot] {
    StreamOwner* owner = house.find(name);
    if (!owner) return;
    owner->later_ = false;
    owner->wake();
  });
}

}  // namespace sluice::session
