// Framer::preview: what is read ahead of a message is what next() then covers, whatever of the stream has come and wherever it
// was cut: the same opcode, the same first octets unmasked, the same error, every control frame named in its place; and the
// octets themselves stay as they came. Input: an octet of rules, an octet of limits, two of appetites, four that seed the cuts,
// then the stream.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "ws/ws_framer.h"

namespace {

using namespace sluice;
using State = relay::Preview::State;

void require(bool condition) {
  if (!condition) std::abort();
}

// Octet by octet, from the header's own masking key: nothing of the framer's is used.
void unmask(std::vector<std::uint8_t>& content, Bytes frame, std::size_t payload) {
  const bool masked = (frame[1] & 0x80) != 0;
  const std::size_t header = frame.size() - payload;
  for (std::size_t i = 0; i < payload; ++i) {
    const std::uint8_t key = masked ? frame[header - 4 + i % 4] : std::uint8_t{0};
    content.push_back(static_cast<std::uint8_t>(frame[header + i] ^ key));
  }
}

// The message at the front, taken run by run.
struct Message {
  bool begun = false;
  bool ended = false;
  std::uint8_t opcode = 0;
  std::uint64_t payload = 0;
  std::vector<std::uint8_t> content;
  std::vector<std::vector<std::uint8_t>> controls;  // inside of it
  std::optional<std::vector<std::uint8_t>> control_first;
  Errc error = Errc::none;
};

// Whole frames only: a frame that has not come as a whole is counted by what there is of it.
Message take(ws::WsFramer framer, std::vector<std::uint8_t> stream) {
  Message message;
  std::size_t at = 0;
  std::vector<std::uint8_t> frame;  // its octets, as they came
  std::size_t payload = 0;
  while (at <= stream.size() && !message.ended) {
    const std::vector<std::uint8_t> before = stream;
    const auto run = framer.next(MutableBytes(stream).subspan(at));
    if (!run) {
      message.error = run.error().code;
      break;
    }
    if (run->size == 0) break;
    if (run->control) {
      std::vector<std::uint8_t> content(run->content.begin(), run->content.end());
      if (!message.begun) {
        message.control_first = std::move(content);
        return message;
      }
      message.controls.push_back(std::move(content));
      at += run->size;
      continue;
    }
    if (run->begins) {
      message.begun = true;
      message.opcode = run->opcode;
    }
    frame.assign(before.begin() + static_cast<std::ptrdiff_t>(at), before.begin() + static_cast<std::ptrdiff_t>(at + run->size));
    payload = run->payload;
    message.payload += payload;
    unmask(message.content, frame, payload);
    message.ended = run->ends;
    at += run->size;
    if (!framer.at_frame_boundary()) break;  // the rest of the frame has not come
  }
  return message;
}

void compare(const ws::WsFramer& framer, const std::vector<std::uint8_t>& stream, relay::Appetite wanted, bool last) {
  std::vector<std::uint8_t> shown = stream;
  const Message message = take(framer, stream);
  for (std::size_t known = 0;; ++known) {
    const relay::Preview seen = framer.preview(shown, wanted, known, last);
    require(shown == stream);
    const std::uint64_t most = message.opcode == ws::kText ? wanted.text : wanted.binary;
    switch (seen.state) {
      case State::none: require(!message.begun); return;
      case State::control: {
        require(message.begun && known < message.controls.size());
        require(std::ranges::equal(seen.control.content, message.controls[known]));
        continue;
      }
      case State::waiting: require(message.begun && !message.ended && !last && message.payload < most); return;
      // UTF-8 is judged when the message passes; anything else is the same error.
      case State::broken: require(message.begun && message.error == seen.error.code); return;
      case State::ready:
        require(message.begun && seen.opcode == message.opcode && seen.content.size() <= most);
        require(seen.content.size() <= message.content.size());
        require(std::equal(seen.content.begin(), seen.content.end(), message.content.begin()));
        require(!seen.whole || (message.ended && seen.content.size() == message.payload));
        require(seen.whole || last || seen.content.size() == most);
        return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size < 8) return 0;
  ws::FramingRules rules;
  rules.side = (octets[0] & 1) != 0 ? Side::upstream : Side::client;
  rules.rsv1 = (octets[0] & 2) != 0;
  rules.max_message = (octets[0] & 8) != 0 ? octets[1] * 4u : 0;
  rules.max_fragments = (octets[0] & 16) != 0 ? octets[1] % 8u : 1024;
  std::vector<std::uint8_t> room(std::max(octets[2], octets[3]));
  relay::Appetite wanted;
  wanted.text = octets[2];
  wanted.binary = octets[3];
  wanted.room = room;
  std::uint32_t seed = load_be<std::uint32_t>(octets + 4);
  const std::vector<std::uint8_t> stream(octets + 8, octets + size);

  // At every message boundary, with all that there is and with less.
  ws::WsFramer framer(rules);
  std::vector<std::uint8_t> rest = stream;
  for (int messages = 0; messages < 16; ++messages) {
    for (int cut = 0; cut < 4; ++cut) {
      seed = seed * 1664525 + 1013904223;
      const std::size_t end = cut == 0 ? rest.size() : rest.size() * (seed >> 16) / 65536;
      compare(framer, {rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(end)}, wanted, (seed >> 8 & 1) != 0);
    }
    std::size_t at = 0;
    do {
      const auto run = framer.next(MutableBytes(rest).subspan(at));
      if (!run || run->size == 0) return 0;
      at += run->size;
    } while (!framer.at_message_boundary());
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return 0;
}
