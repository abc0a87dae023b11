#include "session/log_line.h"

#include <algorithm>

#include "base/log.h"
#include "base/utf8.h"

namespace sluice::session {

namespace {

constexpr std::size_t kMostText = 1024;  // octets of one field
constexpr std::size_t kUsualLine = 640;

}  // namespace

LogLine::LogLine(const std::vector<std::string>* fields) : fields_(fields) {
  json_.reserve(kUsualLine);
  json_.begin_object();
}

LogLine& LogLine::add(std::string_view name, std::string_view value) {
  if (value.empty() || !wanted(name)) return *this;
  if (value.size() > kMostText) {
    value = value.substr(0, kMostText);
    value.remove_suffix(cut_code_point(as_bytes(value)));
  }
  json_.field(name, value);
  return *this;
}

LogLine& LogLine::add(std::string_view name, std::uint64_t value) {
  if (wanted(name)) json_.field(name, value);
  return *this;
}

LogLine& LogLine::add_flag(std::string_view name, bool value) {
  if (value && wanted(name)) json_.field(name, value);
  return *this;
}

LogLine& LogLine::add_error(const Error& error) {
  return add("reason", row(error.code).name).add("error", std::string_view(error.detail));
}

void LogLine::write() {
  json_.end_object();
  log::access(json_.take());
}

bool LogLine::wanted(std::string_view name) const {
  return !fields_ || fields_->empty() || std::ranges::find(*fields_, name) != fields_->end();
}

std::uint64_t milliseconds(Duration duration) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

}  // namespace sluice::session
