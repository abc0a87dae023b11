// What a framer before a TCP server makes of a stream that comes in pieces: the octets that a relay would send.
#pragma once

#include "unit/ws/frames.h"

namespace sluice::ws::test {

struct Carried {
  Octets sent;
  Errc error = Errc::none;
  Side side = Side::gateway;
  std::size_t covered = 0;
  std::size_t begun = 0;       // messages
  std::size_t ended = 0;
  std::uint64_t payload = 0;
  std::vector<Octets> controls;
  bool at_frame = true;
  bool at_message = true;
};

// `ends`: the sizes of the prefixes that have been received at each step; the last is the whole stream.
inline Carried carry(relay::Framer& framer, Octets stream, const std::vector<std::size_t>& ends) {
  Carried out;
  for (const std::size_t end : ends) {
    while (true) {
      const auto next = framer.next(MutableBytes(stream).subspan(out.covered, end - out.covered));
      if (!next) {
        out.error = next.error().code;
        out.side = next.error().side;
        return out;
      }
      const relay::Run& run = *next;
      if (run.size == 0) break;
      const auto from = stream.begin() + static_cast<std::ptrdiff_t>(out.covered);
      out.covered += run.size;
      if (run.control) {
        out.controls.emplace_back(run.content.begin(), run.content.end());
        continue;
      }
      out.sent.insert(out.sent.end(), run.prefix.begin(), run.prefix.begin() + run.prefix_size);
      out.sent.insert(out.sent.end(), from + static_cast<std::ptrdiff_t>(run.skip),
                      from + static_cast<std::ptrdiff_t>(run.size - run.tail));
      out.sent.insert(out.sent.end(), run.content.begin(), run.content.end());
      if (!run.content.empty()) framer.sent();
      out.begun += run.begins;
      out.ended += run.ends;
      out.payload += run.payload;
      out.at_frame = framer.at_frame_boundary();
      out.at_message = framer.at_message_boundary();
    }
  }
  return out;
}

inline Carried carry_whole(relay::Framer& framer, const Octets& stream) { return carry(framer, stream, {stream.size()}); }

// A message as a client reads it, over its fragments.
struct Message {
  std::uint8_t opcode = 0;
  Octets payload;
  bool whole = false;
  bool operator==(const Message&) const = default;
};

inline Message binary(const Octets& payload) { return {2, payload, true}; }
inline Message textual(std::string_view payload) { return {1, text(payload), true}; }

// Frames of a server, decoded by the plainest code.
inline std::vector<Message> messages(const Octets& stream) {
  std::vector<Message> out;
  for (std::size_t at = 0; at + 2 <= stream.size();) {
    const std::uint8_t opcode = stream[at] & 15;
    const bool fin = stream[at] >= 128;
    std::uint64_t length = stream[at + 1] & 127;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (extended > 0) length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length * 256 + stream[at + 2 + i];
    at += 2 + extended;
    const bool continues = !out.empty() && !out.back().whole;
    if ((opcode == 0) != continues) return {};  // interleaved, or a fragment of nothing
    if (opcode != 0) out.push_back({opcode, {}, false});
    const auto from = stream.begin() + static_cast<std::ptrdiff_t>(at);
    out.back().payload.insert(out.back().payload.end(), from, from + static_cast<std::ptrdiff_t>(length));
    out.back().whole = fin;
    at += length;
  }
  return out;
}

}  // namespace sluice::ws::test
