// HeadWriter: emits one HTTP/1.1 head. Every line of every head that the gateway sends goes through here; a CR, LF or
// NUL in a name or value is an Error, never stripped.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::http {

class HeadWriter {
 public:
  void request(std::string_view method, std::string_view target);
  void response(int status);  // reason from the table in base/error
  void response(int status, std::string_view reason);
  void field(std::string_view name, std::string_view value);
  void field(std::string_view name, std::uint64_t value);
  // The head with its empty line, or Error internal if any part held an octet that no head may hold or the first line
  // was missing or written twice. The writer is as new afterwards.
  Result<std::string> finish();

 private:
  std::string text_;
  bool bad_ = false;
};

}  // namespace sluice::http
