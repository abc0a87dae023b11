// The answer to a question for SRV records: what is read of it is bounded and fit to stand in a URL.
#include <cstdint>
#include <cstdlib>

#include "net/dns_services.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto found = sluice::net::read_services({data, size});
  if (!found) return 0;
  if (found->records.size() > 64) abort();
  std::uint16_t before = 0;
  for (const sluice::net::Service& one : found->records) {
    if (one.target.empty() || one.target.size() > 253 || one.port == 0 || one.priority < before) abort();
    if (one.target.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
        std::string::npos) {
      abort();
    }
    before = one.priority;
  }
  return 0;
}
