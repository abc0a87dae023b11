// Io, Step, Verdict: the three small answers that a call can give.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/time.h"

namespace sluice {

// What one input or output operation came to.
enum class [[nodiscard]] Io : std::uint8_t {
  ok,       // bytes moved
  blocked,  // the kernel said "not now"; an edge will come
  end,      // the other side finished its direction in order
  error,    // the stream is dead; Stream::error() says why
};

// What a state machine wants from its trampoline.
enum class [[nodiscard]] Step : std::uint8_t {
  next,  // call again now
  wait,  // nothing to do until the next edge or timer
  done,  // the object is finished: free it. Only the trampoline acts on this.
};

// What a policy says.
struct [[nodiscard]] Verdict {
  enum class Kind : std::uint8_t {
    allow,
    consume,  // the gateway eats the message: it is not forwarded, and no error
    deny,     // error says why
    wait,     // not before `until`
    pending,  // an asynchronous answer will wake the session
  };
  Kind kind = Kind::allow;
  Error error{};
  Instant until{};

  static Verdict allow() { return {}; }
  static Verdict consume() { return {.kind = Kind::consume}; }
  static Verdict deny(Error error) { return {.kind = Kind::deny, .error = error}; }
  static Verdict wait(Instant until) { return {.kind = Kind::wait, .until = until}; }
  static Verdict pending() { return {.kind = Kind::pending}; }
  bool allowed() const { return kind == Kind::allow; }
};

}  // namespace sluice
