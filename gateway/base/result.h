// Result<T>: a value or an Error. TRY (and TRY_VOID, for calls without a value) are the only macros of the house.
#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace sluice {

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, Side side = Side::client, const char* detail = "") {
  return std::unexpected<Error>(Error{code, side, false, detail});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(error); }

// Impossible states only: says why on stderr and aborts, in every build. Untrusted input becomes an Error instead.
inline void check(bool condition, const char* why) {
  if (!condition) [[unlikely]] {
    check_failed(why);
  }
}

}  // namespace sluice

// auto value = TRY(call());   returns the Error of call() from the enclosing function, or yields its value.
#define TRY(expression)                                                                   \
  ({                                                                                      \
    auto try_result = (expression);                                                       \
    if (!try_result) [[unlikely]] return std::unexpected<::sluice::Error>(try_result.error()); \
    std::move(*try_result);                                                               \
  })

#define TRY_VOID(expression)                                                                                         \
  do {                                                                                                               \
    if (auto try_result = (expression); !try_result) [[unlikely]]                                                    \
      return std::unexpected<::sluice::Error>(try_result.error());                                                   \
  } while (false)
