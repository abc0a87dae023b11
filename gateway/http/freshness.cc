#include "http/freshness.h"

#include <algorithm>
#include <charconv>

#include "http/octets.h"

namespace sluice::http {

namespace {

constexpr std::int64_t kMostSeconds = std::int64_t{1} << 31;  // §1.2.2: what is larger counts as this

// delta-seconds (§1.2.2).
std::optional<std::int64_t> seconds_of(std::string_view text) {
  if (!all_octets(text, kDigit)) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::min(value, kMostSeconds) : kMostSeconds;
}

// §5.2: both forms of an argument are to be taken.
std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// What one directive allows; nullopt when it says nothing of that.
std::optional<std::int64_t> allowed_by(std::string_view directive) {
  if (same_name(directive, "no-store")) return 0;
  const std::size_t equals = directive.find('=');
  const std::string_view name = directive.substr(0, equals);
  if (same_name(name, "no-cache")) return 0;
  if (!same_name(name, "max-age")) return std::nullopt;
  if (equals == std::string_view::npos) return 0;
  return seconds_of(unquoted(directive.substr(equals + 1))).value_or(0);
}

}  // namespace

std::optional<Duration> freshness(const Head& head) {
  std::optional<std::int64_t> allowed;
  for (const Field& field : head.fields) {
    if (!same_name(field.name, "Cache-Control")) continue;
    for (std::string_view rest = field.value; rest.data() != nullptr;) {
      const auto one = allowed_by(take_element(rest, ','));
      if (one) allowed = std::min(*one, allowed.value_or(*one));
    }
  }
  if (!allowed) return std::nullopt;
  const std::string_view* age = head.find("Age");
  const std::int64_t spent = age ? seconds_of(*age).value_or(0) : 0;
  return std::chrono::seconds(std::max<std::int64_t>(*allowed - spent, 0));
}

}  // namespace sluice::http
