#include "event/signals.h"

#include <event2/event.h>
#include <signal.h>

#include "base/result.h"
#include "event/loop.h"

namespace sluice::event {

Signals::Signals(Loop& loop, std::move_only_function<void(int)> handler) : loop_(loop), handler_(std::move(handler)) {
  // A write to a socket whose other end is gone must answer EPIPE, also from inside OpenSSL.
  ::signal(SIGPIPE, SIG_IGN);
}

Signals::~Signals() {
  for (::event* raw : raw_) event_free(raw);
}

void Signals::on_signal(int number, short, void* self) {
  Signals& signals = *static_cast<Signals*>(self);
  signals.loop_.begin_callback();
  signals.handler_(number);
}

void Signals::watch(int number) {
  ::event* raw = evsignal_new(loop_.raw(), number, on_signal, this);
  check(raw && event_add(raw, nullptr) == 0, "evsignal");
  raw_.push_back(raw);
}

}  // namespace sluice::event
