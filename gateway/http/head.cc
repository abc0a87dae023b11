#include "http/head.h"

#include <algorithm>
#include <charconv>

#include "http/octets.h"

namespace sluice::http {

bool same_letters(std::string_view a, std::string_view b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

bool has_token(std::string_view list, std::string_view token) {
  while (list.data() != nullptr) {
    if (same_name(take_element(list, ','), token)) return !token.empty();
  }
  return false;
}

const std::string_view* Head::find(std::string_view name) const {
  for (const Field& field : fields) {
    if (same_name(field.name, name)) return &field.value;
  }
  return nullptr;
}

std::size_t Head::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [name](const Field& field) { return same_name(field.name, name); }));
}

bool Head::lists(std::string_view name, std::string_view token) const {
  return std::any_of(fields.begin(), fields.end(), [name, token](const Field& field) {
    return same_name(field.name, name) && has_token(field.value, token);
  });
}

std::optional<Duration> keep_alive_timeout(const Head& head) {
  constexpr std::string_view kName = "timeout=";
  const std::string_view* field = head.find("Keep-Alive");
  for (std::string_view rest = field ? *field : std::string_view(); rest.data() != nullptr;) {
    const std::string_view one = take_element(rest, ',');
    if (one.size() <= kName.size() || !same_name(one.substr(0, kName.size()), kName)) continue;
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(one.data() + kName.size(), one.data() + one.size(), seconds);
    if (error == std::errc{} && end == one.data() + one.size()) return std::chrono::seconds(seconds);
  }
  return std::nullopt;
}

void Head::clear() {
  method = target = reason = {};
  status = 0;
  minor_version = 1;
  fields.clear();
}

}  // namespace sluice::http
