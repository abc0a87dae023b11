// Durations, sizes and rates: the number is what plain 128-bit arithmetic says, or it is refused; what is printed reads back.
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "config/units.h"

using namespace sluice;
using namespace sluice::config;

namespace {

using Wide = __int128;
using Unit = std::pair<std::string_view, Wide>;

constexpr std::array<Unit, 7> kTimes{{{"d", Wide{86'400'000'000'000}}, {"h", Wide{3'600'000'000'000}}, {"m", Wide{60'000'000'000}},
                                      {"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}, {"ns", 1}}};
constexpr std::array<Unit, 10> kSizes{{{"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024},
                                       {"TiB", Wide{1} << 40}, {"kB", 1'000}, {"KB", 1'000}, {"MB", 1'000'000},
                                       {"GB", 1'000'000'000}, {"TB", Wide{1'000'000'000'000}}}};

template <std::size_t N>
std::optional<std::int64_t> plain(std::string_view text, const std::array<Unit, N>& units) {
  Wide number = 0;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    number = number * 10 + (text[digits] - '0');
    if (number > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  }
  if (digits == 0) return std::nullopt;
  for (const auto& [name, factor] : units) {
    if (text.substr(digits) != name) continue;
    const Wide value = number * factor;
    if (value <= std::numeric_limits<std::int64_t>::max()) return static_cast<std::int64_t>(value);
  }
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto duration = parse_duration(text);
  check((duration ? std::optional<std::int64_t>(duration->count()) : std::nullopt) == plain(text, kTimes), "another duration");
  if (duration) check(parse_duration(duration_text(*duration)) == duration, "a duration prints as another one");
  const auto octets = parse_size(text);
  check((octets ? std::optional(*octets) : std::nullopt) == plain(text, kSizes), "another size");
  if (octets) check(parse_size(size_text(static_cast<std::uint64_t>(*octets))) == octets, "a size prints as another one");
  const auto rate = parse_rate(text);
  if (!rate) return 0;
  const std::size_t slash = text.find('/');
  check(slash != std::string_view::npos && rate->amount >= 0 && rate->per > Duration::zero(), "a rate of nothing");
  check(!rate->octets || parse_size(text.substr(0, slash)) == rate->amount, "another amount");
  check(parse_duration("1" + std::string(text.substr(slash + 1))) == rate->per, "another time");
  return 0;
}
