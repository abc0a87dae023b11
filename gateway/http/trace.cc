#include "http/trace.h"

#include <algorithm>
#include <array>

#include "base/hex.h"
#include "base/random.h"
#include "http/octets.h"

namespace sluice::http {

namespace {

bool lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

// key of §3.3.1.3.1: lcalpha or digit first, then lcalpha, digit, '_', '-', '*', '/', and one '@' of a tenant's key.
bool valid_key(std::string_view key) {
  const auto lower_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (key.empty() || key.size() > 256 || !lower_or_digit(key.front())) return false;
  if (std::count(key.begin(), key.end(), '@') > 1 || key.back() == '@') return false;
  return std::all_of(key.begin(), key.end(), [&lower_or_digit](char c) {
    return lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
  });
}

// value of §3.3.1.3.2: printable ASCII without ',' and '='; trailing spaces are gone already.
bool valid_value(std::string_view value) {
  return !value.empty() && value.size() <= 256 &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

}  // namespace

bool valid_traceparent(std::string_view value) {
  constexpr std::size_t kSize = 55;  // 2 version - 32 trace-id - 16 parent-id - 2 flags
  if (value.size() < kSize || value[2] != '-' || value[35] != '-' || value[52] != '-') return false;
  const std::string_view version = value.substr(0, 2);
  const std::string_view trace = value.substr(3, 32);
  const std::string_view parent = value.substr(36, 16);
  if (!lower_hex(version) || !lower_hex(trace) || !lower_hex(parent) || !lower_hex(value.substr(53, 2))) return false;
  if (version == "ff" || all_zero(trace) || all_zero(parent)) return false;
  // A later version may append more behind another dash (§4.3).
  return value.size() == kSize || (version != "00" && value[kSize] == '-' && all_octets(value, kTarget));
}

bool valid_tracestate(std::string_view value) {
  std::size_t members = 0;
  while (value.data() != nullptr) {
    const std::string_view member = take_element(value, ',');
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos || ++members > 32) return false;
    if (!valid_key(member.substr(0, equals)) || !valid_value(member.substr(equals + 1))) return false;
  }
  return true;
}

TraceFields trace_fields(const Head& head) {
  std::size_t parents = 0;
  TraceFields found{.parent = true, .state = true};
  for (const Field& field : head.fields) {
    if (same_name(field.name, "traceparent")) {
      found.parent = ++parents == 1 && valid_traceparent(field.value);
    } else if (same_name(field.name, "tracestate")) {
      found.state = found.state && valid_tracestate(field.value);
    }
  }
  found.parent = found.parent && parents == 1;
  found.state = found.state && found.parent;
  return found;
}

std::string random_hex(std::size_t count) {
  std::array<std::uint8_t, 32> octets{};
  check(count <= octets.size(), "random_hex is for ids");
  random_fill(MutableBytes(octets).first(count));
  return to_hex(Bytes(octets).first(count));
}

std::string request_traceparent(const Head& head, bool trusted) {
  if (!trusted || !trace_fields(head).parent) return fresh_traceparent();
  return std::string(*head.find("traceparent"));
}

std::string fresh_traceparent() {
  std::string trace = random_hex(16);
  std::string parent = random_hex(8);
  // All zeros is the one invalid id (§3.2.2.3): as likely as guessing a key, but forbidden.
  if (all_zero(trace)) trace.back() = '1';
  if (all_zero(parent)) parent.back() = '1';
  return "00-" + trace + "-" + parent + "-01";
}

}  // namespace sluice::http
