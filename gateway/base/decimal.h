// Decimal: a number as it is written, compared exactly however many digits it has: nothing is rounded to 2^53.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

class Decimal {
 public:
  // A number of JSON (RFC 8259 §6). nullopt: anything else, or an exponent of more than nine digits.
  static std::optional<Decimal> parse(std::string_view text);

  std::strong_ordering operator<=>(const Decimal& other) const;
  bool operator==(const Decimal& other) const = default;

 private:
  // 0.DIGITS × 10^point, without zeros at either end; no digits: zero, which has no sign.
  bool negative_ = false;
  std::int64_t point_ = 0;
  std::string digits_;
};

}  // namespace sluice
