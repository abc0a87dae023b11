// Units: "30s", "64KiB", "50/s" to numbers. Whole numbers only; what is doubtful is refused with the reason.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"

namespace sluice::config {

// The error is a clause that a message ends on: "has no unit".
template <typename T>
using Parsed = std::expected<T, std::string>;

struct RateValue {
  std::int64_t amount = 0;
  Duration per{};
  bool octets = false;  // the amount was a size
};

Parsed<Duration> parse_duration(std::string_view text);  // "250ms", "30s", "5m", "1h", "1d"; also "us", "ns"
Parsed<std::int64_t> parse_size(std::string_view text);  // "512B", "64KiB", "1MB": octets
Parsed<std::int64_t> parse_percent(std::string_view text);  // "125%": 125
Parsed<RateValue> parse_rate(std::string_view text);     // "50/s", "10/m", "5/h", "100GiB/s"

// The shortest exact form that parses back: "25s", "1500ms", "64KiB".
std::string duration_text(Duration duration);
std::string size_text(std::uint64_t octets);

}  // namespace sluice::config
