#include "http/h1_writer.h"

#include <utility>

#include "http/octets.h"

namespace sluice::http {

namespace {

constexpr std::size_t kUsualHead = 512;

}  // namespace

void HeadWriter::request(std::string_view method, std::string_view target) {
  if (!text_.empty() || !all_octets(method, kToken) || !all_octets(target, kTarget)) {
    bad_ = true;
    return;
  }
  text_.reserve(kUsualHead);
  text_.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
}

void HeadWriter::response(int status) { response(status, reason_phrase(status)); }

void HeadWriter::response(int status, std::string_view reason) {
  const bool clean = reason.empty() || all_octets(reason, kContent);
  if (!text_.empty() || !clean || status < 100 || status > 599) {
    bad_ = true;
    return;
  }
  text_.reserve(kUsualHead);
  text_.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(reason).append("\r\n");
}

void HeadWriter::field(std::string_view name, std::string_view value) {
  const bool clean = value.empty() || all_octets(value, kContent);
  if (text_.empty() || !clean || !all_octets(name, kToken)) {
    bad_ = true;
    return;
  }
  text_.append(name).append(": ").append(value).append("\r\n");
}

void HeadWriter::field(std::string_view name, std::uint64_t value) { field(name, std::to_string(value)); }

Result<std::string> HeadWriter::finish() {
  const bool good = !bad_ && !text_.empty();
  std::string head = std::exchange(text_, {});
  bad_ = false;
  if (!good) return fail(Errc::internal, Side::gateway, "a head was built from octets that it may not hold");
  head.append("\r\n");
  return head;
}

}  // namespace sluice::http
