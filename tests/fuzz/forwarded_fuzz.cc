// Who the client is behind trusted proxies: only what a trusted hop has written counts, so whatever a client puts in front of
// it changes nothing; and the gateway behind this one finds the same client in what is sent on, in either style. Input: an octet of which the
// lowest bit trusts the peer, then lines "X<value>" (X-Forwarded-For) or "F<value>" (Forwarded).
#include <algorithm>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/forwarded.h"

using namespace sluice;
using namespace sluice::http;
using net::Address;

namespace {

const std::vector<net::Cidr> kTrusted = {*net::Cidr::parse("10.0.0.0/8"), *net::Cidr::parse("2001:db8::/32")};

bool is_trusted(const Address& address) {
  return std::ranges::any_of(kTrusted, [&](const net::Cidr& block) { return block.contains(address); });
}

// As the parser of heads would hand it over: no control octets, no space around it.
bool is_field_value(std::string_view value) {
  const auto is_text = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  return std::ranges::all_of(value, is_text) && !value.starts_with(' ') && !value.ends_with(' ');
}

void check_walk(const Head& head, const Address& peer, const Address& client) {
  if (!is_trusted(peer)) return check(client == peer, "an untrusted peer named someone else");
  const std::vector<Address> chain = forwarded_chain(head);
  const auto end = std::ranges::find_if(chain, [](const Address& hop) { return !is_trusted(hop); });
  if (end != chain.end()) return check(client == *end, "the client is not the first hop that nobody vouches for");
  check(client == (chain.empty() ? peer : chain.back()), "the client is not the furthest trusted hop");
}

// What a client itself sends stands to the left of what the first proxy adds.
void check_prefix(Head head, const Address& peer, const Address& client) {
  if (is_trusted(client)) return;
  const auto first = std::ranges::find_if(head.fields, [&](const Field& field) {
    return same_name(field.name, head.find("x-forwarded-for") != nullptr ? "x-forwarded-for" : "forwarded");
  });
  if (first == head.fields.end()) return;
  const bool common = same_name(first->name, "x-forwarded-for");
  const std::string longer = (common ? "203.0.113.9, [::1]:80, " : "for=203.0.113.9;by=x, for=\"[::1]:80\", ") + std::string(first->value);
  const std::string_view kept = first->value;
  first->value = longer;
  check(client_address(head, peer, kTrusted) == client, "a client named another one");
  first->value = kept;
  const std::string_view garbage = common ? "unknown, garbage\"" : "for=unknown";
  head.fields.insert(first, Field{common ? "X-Forwarded-For" : "Forwarded", garbage});
  check(client_address(head, peer, kTrusted) == client, "a line of a client's own hid it");
}

// The gateway behind this one, which trusts it.
void check_next_hop(const Head& head, const Address& peer, const Address& client) {
  Request request;
  request.head = &head;
  request.peer = peer;
  request.client = client;
  request.id = "id";
  request.host = *parse_authority("[2001:db8::5]:8443");
  for (const ForwardedStyle style : {ForwardedStyle::x_forwarded, ForwardedStyle::forwarded}) {
    const auto added = forwarded_fields(request, is_trusted(peer), style);
    Head next;
    for (const auto& [name, value] : added) next.fields.push_back({name, value});
    const bool common = style == ForwardedStyle::x_forwarded;
    check(next.count("x-forwarded-for") == (common ? 1 : 0) && next.count("forwarded") == (common ? 0 : 1),
          "the chain is not one field");
    const Address seen = client_address(next, *Address::parse("10.9.9.9", 1), kTrusted);
    check(seen.ip() == client.ip(), "the next hop sees another client");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Address peer = *Address::parse((data[0] & 1) != 0 ? "10.1.2.3" : "198.51.100.7", 40000);
  std::string_view rest = as_text(Bytes(data + 1, size - 1));
  Head head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty() || !is_field_value(line.substr(1))) continue;
    head.fields.push_back({line[0] == 'X' ? "X-Forwarded-For" : "Forwarded", line.substr(1)});
  }
  const Address client = client_address(head, peer, kTrusted);
  check_walk(head, peer, client);
  check_prefix(head, peer, client);
  check_next_hop(head, peer, client);
  return 0;
}
