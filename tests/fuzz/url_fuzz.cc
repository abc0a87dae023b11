// URLs that the gateway asks for: what is accepted says what it says in one way only, and is what its own text is read as again.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/url.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string why;
  const auto url = http::Url::parse(text, why);
  if (!url) {
    check(!why.empty(), "refused without a reason");
    return 0;
  }
  check(size <= http::Url::kMost, "too long");
  check(text.find_first_of("#\\ \r\n") == std::string_view::npos, "an octet that no URL has");
  check(url->port() != 0 && !url->host().empty(), "nobody to ask");
  check(url->host().find_first_of("@/?[]%") == std::string::npos, "a host that is none");
  check(url->target.starts_with('/'), "a target that is none");
  const auto again = http::Url::parse(url->text(), why);
  check(again && again->secure == url->secure && again->host() == url->host() && again->port() == url->port() &&
            again->target == url->target,
        "its text is another URL");
  return 0;
}
