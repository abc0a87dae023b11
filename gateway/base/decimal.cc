#include "base/decimal.h"

namespace sluice {
namespace {

constexpr std::size_t kMostExponent = 9;  // digits

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The digits at the front, which are taken away.
std::string_view take_digits(std::string_view& text) {
  std::size_t size = 0;
  while (size < text.size() && is_digit(text[size])) ++size;
  const std::string_view digits = text.substr(0, size);
  text.remove_prefix(size);
  return digits;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Decimal> Decimal::parse(std::string_view text) {
  Decimal out;
  out.negative_ = take(text, '-');
  const std::string_view whole = take_digits(text);
  if (whole.empty() || (whole.size() > 1 && whole.front() == '0')) return std::nullopt;
  std::string_view fraction;
  if (take(text, '.')) {
    fraction = take_digits(text);
    if (fraction.empty()) return std::nullopt;
  }
  if (take(text, 'e') || take(text, 'E')) {
    const bool down = take(text, '-');
    if (!down) take(text, '+');
    const std::string_view exponent = take_digits(text);
    if (exponent.empty() || exponent.size() > kMostExponent) return std::nullopt;
    for (const char c : exponent) out.point_ = out.point_ * 10 + (c - '0');
    if (down) out.point_ = -out.point_;
  }
  if (!text.empty()) return std::nullopt;
  out.point_ += static_cast<std::int64_t>(whole.size());
  out.digits_.append(whole).append(fraction);
  const std::size_t zeros = out.digits_.find_first_not_of('0');
  if (zeros == std::string::npos) return Decimal{};
  out.digits_.erase(0, zeros);
  out.point_ -= static_cast<std::int64_t>(zeros);
  out.digits_.resize(out.digits_.find_last_not_of('0') + 1);
  return out;
}

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
  const int sign = digits_.empty() ? 0 : negative_ ? -1 : 1;
  const int other_sign = other.digits_.empty() ? 0 : other.negative_ ? -1 : 1;
  if (sign != other_sign || sign == 0) return sign <=> other_sign;
  const Decimal& small = negative_ ? other : *this;
  const Decimal& large = negative_ ? *this : other;
  if (small.point_ != large.point_) return small.point_ <=> large.point_;
  return small.digits_ <=> large.digits_;  // without zeros at the end, a number is larger than its beginning
}

}  // namespace sluice
