// Time as an argument. Instant is monotonic; WallTime is seconds since 1970 UTC and is used only where a protocol
// says so (token dates, log lines). Nobody else in the house asks the operating system for the time: a Clock is handed
// down, and tests hand down their own.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

using Duration = std::chrono::nanoseconds;

struct Monotonic {  // tag of the time line of Instant; its zero is unspecified
  using duration = Duration;
};
using Instant = std::chrono::time_point<Monotonic, Duration>;

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

inline constexpr Instant kNever = Instant::max();

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;
};

}  // namespace sluice
