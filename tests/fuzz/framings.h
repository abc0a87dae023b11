// A framing of TCP servers by three octets of a fuzz input, and the cuts of a stream by a seed.
#pragma once

#include <cstdint>
#include <vector>

#include "unit/ws/carry.h"
#include "ws/framed_tunnel.h"

namespace sluice::fuzz {

using ws::test::carry;
using ws::test::carry_whole;
using ws::test::Octets;

inline ws::TcpFraming framing_by(std::uint8_t kind, std::uint8_t how, std::uint8_t most) {
  static const char* const kDelimiters[] = {"\n", "\r\n", "aa", "abab", "aabaa"};
  ws::TcpFraming framing;
  if ((kind & 1) != 0) {
    framing.type = ws::TcpFraming::Type::delimiter;
    framing.delimiter = ws::Delimiter(kDelimiters[how % 5]);
    framing.keep = (kind & 2) != 0;
  } else {
    framing.type = ws::TcpFraming::Type::length;
    framing.length.kind = static_cast<ws::LengthPrefix::Kind>(how % 6);
    const bool fixed = framing.length.kind != ws::LengthPrefix::Kind::varint;
    framing.length.little_endian = fixed && (kind & 2) != 0;
    framing.length.counted = fixed && (kind & 4) != 0;
  }
  framing.invalid_text = static_cast<ws::TcpFraming::InvalidText>((kind >> 4) % 3);
  framing.max_frame = std::uint64_t{1} << (most % 24);
  return framing;
}

// 0: all at once.
inline std::vector<std::size_t> cuts_of(std::size_t size, std::uint32_t seed) {
  std::vector<std::size_t> ends;
  for (std::size_t shown = 0; seed != 0 && shown < size;) {
    seed = seed * 1664525 + 1013904223;
    shown = std::min<std::size_t>(size, shown + 1 + (seed >> 24) * (seed >> 30));
    ends.push_back(shown);
  }
  if (ends.empty() || ends.back() != size) ends.push_back(size);
  return ends;
}

inline std::vector<ws::test::Message> whole_ones(const Octets& frames) {
  auto all = ws::test::messages(frames);
  check(frames.empty() || !all.empty(), "frames of ours that nobody reads");
  if (!all.empty() && !all.back().whole) all.pop_back();
  return all;
}

}  // namespace sluice::fuzz
