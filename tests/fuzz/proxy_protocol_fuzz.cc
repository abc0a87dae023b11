// A PROXY header: every prefix of what is taken asks for more, what stands behind it changes nothing, it never reads past
// its own size, and the ends that it names read the same when they are written again, in both versions.
#include <cstdint>
#include <string>
#include <vector>

#include "net/proxy_protocol.h"

using namespace sluice;
using namespace sluice::net;

namespace {

// In memory of exactly that size, so that a look behind its end is seen.
Result<bool> read_exactly(Bytes bytes, ProxyHeader& out, std::vector<std::uint8_t>& copy) {
  copy.assign(bytes.begin(), bytes.end());
  copy.shrink_to_fit();
  return read_proxy_header(copy, out);
}

void check_written(const std::string& text, const ProxyHeader& before) {
  ProxyHeader header;
  const auto verdict = read_proxy_header(as_bytes(text), header);
  check(verdict && *verdict && header.size == text.size(), "a header of ours is none");
  check(header.source.ip() == before.source.ip() && header.source.port() == before.source.port() &&
            header.destination.ip() == before.destination.ip() && header.destination.port() == before.destination.port(),
        "the ends read otherwise when they are written again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  std::vector<std::uint8_t> copy;
  ProxyHeader whole;
  const auto verdict = read_exactly(bytes, whole, copy);
  if (!verdict) {
    check(verdict.error().code == Errc::proxy_hdr, "another error");
    return 0;
  }
  check(*verdict || size < kMostProxyV2, "more than the most is waited for");
  if (*verdict) {
    check(whole.size <= size && whole.size <= kMostProxyV2, "larger than it may be");
    check(whole.source.empty() == whole.destination.empty(), "one end alone");
  }
  std::vector<std::uint8_t> part_copy;
  for (std::size_t cut = 0; cut <= size && cut <= kMostProxyV2; ++cut) {
    ProxyHeader part;
    const auto seen = read_exactly(bytes.first(cut), part, part_copy);
    check(seen.has_value(), "a prefix of a good header is refused");
    check(*seen == (*verdict && cut >= whole.size), "the verdict depends on the cut");
  }
  if (*verdict) {
    ProxyFacts facts;
    facts.source = whole.source;
    facts.destination = whole.destination;
    facts.identity = as_text(whole.tlvs);
    check_written(proxy_header_v1(whole.source, whole.destination), whole);
    if (whole.tlvs.size() < 300) check_written(proxy_header_v2(facts).value(), whole);
  }
  return 0;
}
