// WsToDelimited, WsToLengths: what a client sends becomes frames of a TCP server, the same ones in all cuts, out of which
// FramesToWs makes the client's messages again. Input: three octets of framing, one unused, four that seed the cuts, then
// frames of a client.
#include <algorithm>

#include "fuzz/framings.h"
#include "ws/tunnel.h"

using namespace sluice;
using namespace sluice::fuzz;

namespace {

using ws::test::Carried;

// The client's messages as whole ones, by the framer that knows nothing of the server's frames.
std::vector<Octets> messages_of(Octets stream) {
  ws::WsToTcp framer{ws::FramingRules{}};
  std::vector<Octets> all;
  Octets open;
  for (std::size_t at = 0; at < stream.size();) {
    const auto run = framer.next(MutableBytes(stream).subspan(at));
    if (!run || run->size == 0) break;
    if (!run->control) {
      if (run->begins) open.clear();
      open.insert(open.end(), stream.begin() + static_cast<std::ptrdiff_t>(at + run->skip), stream.begin() + static_cast<std::ptrdiff_t>(at + run->size));
      if (run->ends) all.push_back(open);
    }
    at += run->size;
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const ws::TcpFraming framing = fuzz::framing_by(data[0], data[1], data[2]);
  const Octets stream(data + 8, data + size);
  const auto up = [&](std::uint32_t seed) {
    const auto framer = ws::framer_to_tcp({}, framing, false);
    return carry(*framer, stream, fuzz::cuts_of(stream.size(), seed));
  };
  const Carried whole = up(0);
  const Carried cut = up(load_be<std::uint32_t>(data + 4));
  check(whole.error == cut.error, "the verdict depends on the cut");
  check(whole.error == Errc::none || whole.side == Side::client, "a client's error blamed on someone else");
  check(whole.ended == cut.ended && whole.controls == cut.controls, "the messages depend on the cut");
  if (whole.error == Errc::none) check(whole.sent == cut.sent && whole.payload == cut.payload, "the octets depend on the cut");

  const std::vector<Octets> sent = messages_of(stream);
  for (const Carried* one : {&whole, &cut}) {
    ws::FramesToWs back(framing, ws::kBinary);
    const Carried read = carry_whole(back, one->sent);
    check(read.error == Errc::none, "a frame of ours is refused");
    const auto got = fuzz::whole_ones(read.sent);
    check(got.size() == one->ended, "not one frame a message");
    for (std::size_t i = 0; i < got.size(); ++i) {
      Octets expected = sent.at(i);
      const Bytes delimiter = framing.delimiter.octets();
      const bool ends = expected.size() >= delimiter.size() && std::equal(delimiter.begin(), delimiter.end(), expected.end() - static_cast<std::ptrdiff_t>(delimiter.size()));
      if (framing.keep && !ends) expected.insert(expected.end(), delimiter.begin(), delimiter.end());
      check(got[i].payload == expected, "a frame is not its message");
    }
  }
  return 0;
}
