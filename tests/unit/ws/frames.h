// Builders and a reference decoder for the tests of ws/: the plainest code that can be right, no code of
// gateway/ in it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "relay/framer.h"

namespace sluice::ws::test {

using Octets = std::vector<std::uint8_t>;
using Mask = std::array<std::uint8_t, 4>;

inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Octets text(std::string_view from) { return {from.begin(), from.end()}; }

// A frame, whose length is written with `extended` octets beyond the two (0, 2, 8), minimal unless told.
inline Octets frame(std::uint8_t first, const Octets& payload, const Mask* mask, int extended = -1) {
  const std::size_t size = payload.size();
  if (extended < 0) extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
  Octets out = {first};
  const std::uint8_t code = extended == 0 ? static_cast<std::uint8_t>(size) : extended == 2 ? 126 : 127;
  out.push_back(static_cast<std::uint8_t>((mask != nullptr ? 0x80 : 0) | code));
  for (int i = extended; i-- > 0;) out.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
  if (mask != nullptr) out.insert(out.end(), mask->begin(), mask->end());
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(static_cast<std::uint8_t>(payload[i] ^ (mask != nullptr ? (*mask)[i % 4] : 0)));
  }
  return out;
}

inline Octets client(std::uint8_t first, const Octets& payload, Mask mask = {0xA1, 0x5C, 0x07, 0xF3}) {
  return frame(first, payload, &mask);
}
inline Octets server(std::uint8_t first, const Octets& payload) { return frame(first, payload, nullptr); }

// What a stream means, independent of how it was cut into runs.
struct Event {
  std::uint8_t opcode = 0;
  bool control = false;
  bool whole = false;  // the message ended
  std::uint64_t payload = 0;
  Octets content;  // of a control frame
  bool operator==(const Event&) const = default;
};

// Decodes a stream of correct frames (the last one may be cut); messages are merged over their fragments.
inline std::vector<Event> reference(const Octets& stream) {
  std::vector<Event> events;
  std::size_t open = SIZE_MAX;
  for (std::size_t at = 0; at + 2 <= stream.size();) {
    const std::uint8_t opcode = stream[at] & 15;
    const bool fin = stream[at] >= 128;
    const bool masked = stream[at + 1] >= 128;
    std::uint64_t length = stream[at + 1] & 127;
    std::size_t header = 2;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (at + 2 + extended + (masked ? 4 : 0) > stream.size()) break;
    if (extended > 0) length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length * 256 + stream[at + header++];
    Mask mask{};
    for (std::size_t i = 0; masked && i < 4; ++i) mask[i] = stream[at + header++];
    const std::size_t there = std::min<std::uint64_t>(length, stream.size() - at - header);
    if (opcode >= 8) {
      if (there < length) break;
      Event event{opcode, true, true, 0, {}};
      for (std::size_t i = 0; i < length; ++i) event.content.push_back(stream[at + header + i] ^ mask[i % 4]);
      events.push_back(event);
    } else {
      if (opcode != 0) {
        events.push_back({opcode, false, false, 0, {}});
        open = events.size() - 1;
      }
      events[open].payload += there;
      events[open].whole = fin && there == length;
    }
    at += header + there;
  }
  return events;
}

// Everything that a framer said about a stream that it was shown in pieces.
struct Walk {
  std::vector<Event> events;
  Errc error = Errc::none;
  Side side = Side::gateway;
  std::size_t covered = 0;  // octets
  Octets forwarded;         // without what Run.skip says
  bool at_frame = true;
  bool at_message = true;
};

// Shows `stream` to the framer as a relay does: what was not covered is shown again with the next piece
// behind it. `ends` holds the sizes of the prefixes that have been received at each step; the last is the
// whole stream.
inline Walk walk(relay::Framer& framer, Octets stream, const std::vector<std::size_t>& ends) {
  Walk walk;
  std::size_t open = SIZE_MAX;
  for (const std::size_t end : ends) {
    while (true) {
      const auto next = framer.next(MutableBytes(stream).subspan(walk.covered, end - walk.covered));
      if (!next) {
        walk.error = next.error().code;
        walk.side = next.error().side;
        return walk;
      }
      const relay::Run& run = *next;
      if (run.size == 0) break;
      const auto from = stream.begin() + static_cast<std::ptrdiff_t>(walk.covered);
      walk.forwarded.insert(walk.forwarded.end(), from + static_cast<std::ptrdiff_t>(run.skip),
                            from + static_cast<std::ptrdiff_t>(run.size));
      walk.covered += run.size;
      if (run.control) {
        walk.events.push_back(
            {run.opcode, true, true, run.payload, {run.content.begin(), run.content.end()}});
        continue;
      }
      if (run.begins) {
        walk.events.push_back({run.opcode, false, false, 0, {}});
        open = walk.events.size() - 1;
      }
      Event& event = walk.events.at(open);
      if (event.whole || event.opcode != run.opcode) event.opcode = 0xFF;  // a run outside its message
      event.payload += run.payload;
      event.whole = run.ends;
    }
  }
  walk.at_frame = framer.at_frame_boundary();
  walk.at_message = framer.at_message_boundary();
  return walk;
}

inline Walk walk_whole(relay::Framer& framer, const Octets& stream) {
  return walk(framer, stream, {stream.size()});
}

inline std::vector<std::size_t> every_octet(std::size_t size) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 1; i <= size; ++i) ends.push_back(i);
  return ends;
}

}  // namespace sluice::ws::test
