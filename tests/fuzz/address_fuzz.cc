// Addresses and blocks of them: taken is what inet_pton takes, a text that was printed reads the same, and a block holds
// exactly the addresses that begin with its bits. Input: two lines, an address and a block; the whole is a bind text too.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/address.h"

using namespace sluice;
using net::Address;
using net::Cidr;

namespace {

bool is_literal(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return false;
  std::array<std::uint8_t, 16> out;
  const bool bracketed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  const std::string bare(bracketed ? text.substr(1, text.size() - 2) : text);
  return (!bracketed && ::inet_pton(AF_INET, bare.c_str(), out.data()) == 1) ||
         ::inet_pton(AF_INET6, bare.c_str(), out.data()) == 1;
}

void check_address(std::string_view text) {
  const auto address = Address::parse(text, 443);
  check(address.has_value() == is_literal(text), "an address is not what inet_pton says");
  if (!address) return;
  check(address->port() == 443 && address->is_v4() != address->is_v6(), "an address of no family");
  const auto again = Address::parse(address->ip(), 443);
  check(again && again->ip() == address->ip() && std::ranges::equal(again->octets(), address->octets()),
        "an address prints as another one");
  const auto bound = Address::parse_bind(address->text());
  check(bound && bound->text() == address->text(), "an address and port print as others");
}

bool begins_alike(Bytes a, Bytes b, std::size_t bits) {
  for (std::size_t bit = 0; bit < bits; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    if ((a[bit / 8] & mask) != (b[bit / 8] & mask)) return false;
  }
  return true;
}

void check_block(std::string_view text, std::string_view address_text) {
  const auto block = Cidr::parse(text);
  if (!block) return;
  const std::string printed = block->text();
  const auto again = Cidr::parse(printed);
  check(again && again->text() == printed, "a block prints as another one");
  const std::size_t slash = printed.find('/');
  const auto base = Address::parse(printed.substr(0, slash), 0);
  check(base && block->contains(*base), "a block without its first address");
  const auto address = Address::parse(address_text, 0);
  if (!address) return;
  const std::size_t bits = std::stoul(printed.substr(slash + 1));
  const bool inside = base->octets().size() == address->octets().size() &&
                      begins_alike(base->octets(), address->octets(), bits);
  check(block->contains(*address) == inside, "a block holds what does not begin as it does");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  const std::string_view first = text.substr(0, text.find('\n'));
  const std::string_view second = text.substr(std::min(first.size() + 1, text.size()));
  check_address(first);
  check_block(second, first);
  if (const auto bound = Address::parse_bind(text)) {
    // What stands behind a NUL of a path is the kernel's to see, and no printed text can say it.
    const auto again = Address::parse_bind(bound->text());
    check(text.find('\0') != std::string_view::npos || (again && again->text() == bound->text()), "a bind text prints as another one");
  }
  return 0;
}
