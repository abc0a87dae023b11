// FramesToWs: octets of a TCP server with a framing become messages, the same ones and the same verdict in all cuts; written
// back in that framing they are the octets that came. Input: three octets of framing, one of the kind, four that seed the
// cuts, then the stream.
#include <algorithm>

#include "base/utf8.h"
#include "fuzz/framings.h"

using namespace sluice;
using namespace sluice::fuzz;

namespace {

using ws::test::Carried;
using ws::test::Message;

// The plainest reading of whole frames.
std::vector<Octets> frames_of(const ws::TcpFraming& framing, const Octets& stream, bool& good) {
  std::vector<Octets> frames;
  good = true;
  for (std::size_t at = 0; at < stream.size();) {
    std::size_t from = at;
    std::size_t size = 0;
    std::size_t next = 0;
    if (framing.type == ws::TcpFraming::Type::delimiter) {
      const Bytes delimiter = framing.delimiter.octets();
      const auto end = std::search(stream.begin() + static_cast<std::ptrdiff_t>(at), stream.end(), delimiter.begin(), delimiter.end());
      size = static_cast<std::size_t>(end - stream.begin()) - at;
      if (end == stream.end()) {
        good = size < framing.max_frame + delimiter.size();  // what may be cut is not judged here
        return frames;
      }
      if (size > framing.max_frame) return good = false, frames;
      next = at + size + delimiter.size();
      if (framing.keep) size += delimiter.size();
    } else {
      const auto prefix = framing.length.decode(Bytes(stream).subspan(at));
      if (prefix.kind == ws::LengthPrefix::Decoded::Kind::more) return frames;
      if (prefix.kind == ws::LengthPrefix::Decoded::Kind::bad || prefix.length > framing.max_frame) return good = false, frames;
      from = at + prefix.size;
      if (prefix.length > stream.size() - from) return frames;
      size = prefix.length;
      next = from + size;
    }
    frames.emplace_back(stream.begin() + static_cast<std::ptrdiff_t>(from), stream.begin() + static_cast<std::ptrdiff_t>(from + size));
    at = next;
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const ws::TcpFraming framing = fuzz::framing_by(data[0], data[1], data[2]);
  const std::uint8_t opcode = (data[3] & 1) != 0 ? ws::kText : ws::kBinary;
  Octets stream(data + 8, data + size);
  if ((data[3] & 2) != 0 && !stream.empty() && stream.size() < 4096) {  // long frames
    const Octets once = stream;
    for (int i = 0; i < 9; ++i) stream.insert(stream.end(), once.begin(), once.end());
  }
  ws::FramesToWs at_once(framing, opcode);
  const Carried whole = carry_whole(at_once, stream);
  ws::FramesToWs in_pieces(framing, opcode);
  const Carried cut = carry(in_pieces, stream, fuzz::cuts_of(stream.size(), load_be<std::uint32_t>(data + 4)));
  check(whole.error == Errc::none || whole.side == Side::upstream, "a server's error blamed on someone else");

  bool good = true;
  const std::vector<Octets> frames = frames_of(framing, stream, good);
  for (const Carried* one : {&whole, &cut}) {
    const std::vector<Message> got = fuzz::whole_ones(one->sent);
    check(got.size() <= frames.size(), "more messages than frames");
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i].opcode == ws::kText) check(valid_utf8(got[i].payload), "a text message that is none");
      const bool replaced = opcode == ws::kText && framing.invalid_text == ws::TcpFraming::InvalidText::replace && !valid_utf8(frames[i]);
      if (!replaced) check(got[i].payload == frames[i], "a message is not its frame");
    }
    if (opcode == ws::kBinary) {
      check((one->error == Errc::none) || !good || frames.size() == got.size(), "a good frame is refused");
      check(one->error == Errc::none ? got.size() == frames.size() : true, "a frame is missing");
    }
  }
  // How text that is none is told may depend on how much of it was there; everything else may not.
  const bool judged = opcode == ws::kText && framing.invalid_text == ws::TcpFraming::InvalidText::binary;
  const bool race = opcode == ws::kText && whole.error != cut.error;  // of an error in the text with one of framing
  if (!judged && !race) {
    check(whole.error == cut.error, "the verdict depends on the cut");
    if (whole.error == Errc::none) check(fuzz::whole_ones(whole.sent) == fuzz::whole_ones(cut.sent), "the messages depend on the cut");
  }
  return 0;
}
