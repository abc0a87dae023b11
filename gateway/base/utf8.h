// UTF-8 validation (RFC 3629): one-shot by simdjson, and incremental over cuts at any octet.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace sluice {

bool valid_utf8(Bytes bytes);

// Feeds on pieces of one text. A cut code point is carried (at most 3 octets) and judged as early as its octets allow:
// F4 90 fails at the second octet.
class Utf8Validator {
 public:
  // False as soon as the text so far cannot be the start of valid UTF-8.
  bool feed(Bytes piece);
  // True when the text may end here (no code point is cut).
  bool complete() const { return carried_ == 0; }
  void reset() { carried_ = 0; }

 private:
  std::array<std::uint8_t, 4> carry_{};
  std::uint8_t carried_ = 0;
};

// Octets at the front of `bytes` that are whole code points, all of them valid.
std::size_t valid_utf8_prefix(Bytes bytes);
// Octets that one U+FFFD stands for where the front of `bytes` is no valid code point, or one that will never be finished:
// its maximal subpart (Unicode, section 3.9), 1 to 3.
std::size_t invalid_subpart(Bytes bytes);

// Octets at the end of `bytes` that begin a code point without finishing it (0-3); the rest may be judged.
std::size_t cut_code_point(Bytes bytes);

}  // namespace sluice
