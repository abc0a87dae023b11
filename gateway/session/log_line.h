// LogLine: one line of the access log while it is written: members, without those that log.access_fields does not name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/time.h"

namespace sluice::session {

class LogLine {
 public:
  // `fields` outlives it; null or empty: all.
  explicit LogLine(const std::vector<std::string>* fields);

  // Nothing for an empty text; of a long one its beginning.
  LogLine& add(std::string_view name, std::string_view value);
  LogLine& add(std::string_view name, std::uint64_t value);
  LogLine& add_flag(std::string_view name, bool value);
  LogLine& add_error(const Error& error);
  void write();

 private:
  bool wanted(std::string_view name) const;
  const std::vector<std::string>* fields_;
  JsonWriter json_;
};

// For fields that end in _ms.
std::uint64_t milliseconds(Duration duration);

}  // namespace sluice::session
