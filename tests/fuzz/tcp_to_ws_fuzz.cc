// TcpToWs: octets of a TCP backend, cut anywhere, become frames that a WebSocket client reads as the same octets; in text
// mode each message is UTF-8 by itself, and the whole is refused exactly when it cannot be. Input: an octet that chooses the
// mode, four octets that seed the cuts, then the stream.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/utf8.h"
#include "ws/tunnel.h"
#include "ws/ws_framer.h"

using namespace sluice;

namespace {

using Octets = std::vector<std::uint8_t>;

struct Framed {
  Octets frames;
  std::size_t covered = 0;
  bool good = true;
};

Framed frame_in_pieces(Octets stream, std::uint8_t opcode, std::uint32_t seed) {
  ws::TcpToWs framer(opcode);
  Framed out;
  for (std::size_t shown = 0;;) {
    const auto run = framer.next(MutableBytes(stream).subspan(out.covered, shown - out.covered));
    if (!run) {
      check(run.error().side == Side::upstream, "a backend's error blamed on someone else");
      out.good = false;
      return out;
    }
    check(run->size <= shown - out.covered && run->skip == 0 && run->payload == run->size, "covered what was not shown");
    if (run->size > 0) {
      check(run->begins && run->ends && run->opcode == opcode, "not one whole message");
      const auto from = stream.begin() + static_cast<std::ptrdiff_t>(out.covered);
      check(opcode != ws::kText || valid_utf8({&*from, run->size}), "half a code point passed");
      out.frames.insert(out.frames.end(), run->prefix.begin(), run->prefix.begin() + run->prefix_size);
      out.frames.insert(out.frames.end(), from, from + static_cast<std::ptrdiff_t>(run->size));
      out.covered += run->size;
      continue;
    }
    if (shown == stream.size()) return out;
    seed = seed * 1664525 + 1013904223;
    shown = std::min<std::size_t>(stream.size(), shown + 1 + (seed >> 24) * (seed >> 30));
  }
}

// What a client reads out of the frames.
Octets read_back(Octets frames) {
  ws::FramingRules rules;
  rules.side = Side::upstream;
  rules.validate_utf8 = true;
  rules.max_message = 0;
  ws::WsToTcp framer(rules);
  Octets out;
  for (std::size_t at = 0; at < frames.size();) {
    const auto run = framer.next(MutableBytes(frames).subspan(at));
    check(run && run->size > 0 && !run->control, "a frame of ours is refused");
    out.insert(out.end(), frames.begin() + static_cast<std::ptrdiff_t>(at + run->skip),
               frames.begin() + static_cast<std::ptrdiff_t>(at + run->size));
    at += run->size;
  }
  check(framer.at_message_boundary(), "a frame of ours does not end");
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  const std::uint8_t opcode = (data[0] & 1) != 0 ? ws::kText : ws::kBinary;
  Octets stream(data + 5, data + size);
  // Long frames have headers of other sizes.
  if ((data[0] & 2) != 0 && stream.size() < 4096) {
    const Octets once = stream;
    for (int i = 0; i < 17; ++i) stream.insert(stream.end(), once.begin(), once.end());
  }
  const Framed framed = frame_in_pieces(stream, opcode, load_be<std::uint32_t>(data + 1));
  const Octets whole(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(framed.covered));
  check(read_back(framed.frames) == whole, "a client reads something else");
  if (opcode == ws::kBinary) return check(framed.good && framed.covered == stream.size(), "octets were held back"), 0;
  const std::size_t cut = cut_code_point(stream);
  const bool good = valid_utf8(Bytes(stream).first(stream.size() - cut));
  check(framed.good == good, "the verdict depends on the cut");
  check(!good || framed.covered == stream.size() - cut, "more than a cut code point was held back");
  return 0;
}
