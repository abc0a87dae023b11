// A server that a client names: what is taken prints and reads the same, is an address exactly where inet_pton says so, and
// where it is a name nothing else takes it for an address; an address in a special block is never allowed by a larger block.
#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "upstream/target_rules.h"

using namespace sluice;
using upstream::Target;

namespace {

const upstream::TargetRules& everything() {
  static const upstream::TargetRules rules = [] {
    upstream::TargetSettings settings;
    for (const char* block : {"0.0.0.0/0", "::/0"}) {
      settings.allow.push_back({"", net::Cidr::parse(block), {*upstream::PortRange::parse("1-65535")}});
    }
    return upstream::TargetRules(std::move(settings), {});
  }();
  return rules;
}

bool is_address(const std::string& host) {
  std::uint8_t octets[16];
  return ::inet_pton(AF_INET, host.c_str(), octets) == 1 || ::inet_pton(AF_INET6, host.c_str(), octets) == 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text(Bytes(data, size)));
  if (const auto range = upstream::PortRange::parse(text)) {
    check(range->first > 0 && range->first <= range->last, "a range that is none");
  }
  const auto target = Target::parse(text);
  if (!target) return 0;
  const auto again = Target::parse(target->text());
  check(again && again->host == target->host && again->port == target->port && again->literal == target->literal,
        "a target prints as another one");
  check(target->port > 0 && !target->host.empty() && target->host.size() <= 253, "a target without host or port");
  check(target->literal == is_address(target->host), "an address is not what inet_pton says");
  check(std::ranges::none_of(target->host, [](char c) { return c <= ' ' || c > '~' || (c >= 'A' && c <= 'Z'); }),
        "a host that is not canonical");
  in_addr legacy{};
  check(target->literal || ::inet_aton(target->host.c_str(), &legacy) == 0, "a name that inet_aton takes for an address");
  if (!target->literal) {
    check(!everything().may_name(*target), "a name that nobody allowed");
    return 0;
  }
  const auto address = net::Address::parse(target->host, target->port);
  const bool special = std::ranges::any_of(upstream::denied_blocks(), [&](const auto& block) { return block.contains(*address); });
  check(everything().may_connect(*target, *address) == (!special && !upstream::denied_port(target->port)),
        "a special address is allowed, or another is not");
  return 0;
}
