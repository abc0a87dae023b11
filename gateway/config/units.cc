#include "config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace sluice::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 7> kTimes{{{"d", 86'400'000'000'000},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1}}};
constexpr std::array<Unit, 9> kSizes{{{"TiB", std::int64_t{1} << 40},
                                      {"GiB", std::int64_t{1} << 30},
                                      {"MiB", std::int64_t{1} << 20},
                                      {"KiB", std::int64_t{1} << 10},
                                      {"B", 1},
                                      {"TB", 1'000'000'000'000},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"kB", 1'000}}};

struct Split {
  std::int64_t number = 0;
  std::string_view unit;
};

Parsed<Split> split(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  if (digits == 0) return std::unexpected<std::string>("does not begin with a whole number");
  Split out;
  const auto parsed = std::from_chars(text.data(), text.data() + digits, out.number);
  if (parsed.ec != std::errc()) return std::unexpected<std::string>("is too large");
  out.unit = text.substr(digits);
  if (out.unit.starts_with('.'))
    return std::unexpected<std::string>("is not a whole number; use a smaller unit");
  return out;
}

template <std::size_t N>
Parsed<std::int64_t> scaled(std::string_view text, const std::array<Unit, N>& units, const char* known) {
  const auto parts = split(text);
  if (!parts) return std::unexpected(parts.error());
  if (parts->unit.empty()) return std::unexpected<std::string>("has no unit");
  for (const Unit& unit : units) {
    // KB is common for 1000 octets.
    if (unit.name != parts->unit && !(unit.name == "kB" && parts->unit == "KB")) continue;
    std::int64_t value = 0;
    if (__builtin_mul_overflow(parts->number, unit.factor, &value))
      return std::unexpected<std::string>("is too large");
    return value;
  }
  return std::unexpected("has an unknown unit; known are " + std::string(known));
}

template <std::size_t N>
std::string shortest(std::int64_t value, const std::array<Unit, N>& units, std::string_view zero) {
  if (value == 0) return std::string(zero);
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return std::to_string(value);
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) {
  const auto value = scaled(text, kTimes, "ns, us, ms, s, m, h, d");
  if (!value) return std::unexpected(value.error());
  return Duration(*value);
}

Parsed<std::int64_t> parse_size(std::string_view text) {
  return scaled(text, kSizes, "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB");
}

Parsed<std::int64_t> parse_percent(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::unexpected(parts.error());
  if (parts->unit != "%") return std::unexpected<std::string>("does not end with '%'");
  return parts->number;
}

Parsed<RateValue> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::unexpected<std::string>("says no time");
  RateValue out;
  const std::string_view amount = text.substr(0, slash);
  const auto parts = split(amount);
  if (!parts) return std::unexpected(parts.error());
  if (parts->unit.empty()) {
    out.amount = parts->number;
  } else {
    const auto octets = parse_size(amount);
    if (!octets) return std::unexpected(octets.error());
    out.amount = *octets;
    out.octets = true;
  }
  const std::string_view per = text.substr(slash + 1);
  for (const std::string_view known : {"s", "m", "h", "d"}) {
    if (per == known) out.per = *parse_duration("1" + std::string(per));
  }
  if (out.per == Duration::zero()) return std::unexpected<std::string>("must be per s, m, h or d");
  return out;
}

std::string duration_text(Duration duration) { return shortest(duration.count(), kTimes, "0s"); }

std::string size_text(std::uint64_t octets) {
  if (octets > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::to_string(octets) + "B";
  return shortest(static_cast<std::int64_t>(octets), kSizes, "0B");
}

}  // namespace sluice::config
