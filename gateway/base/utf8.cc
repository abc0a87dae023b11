#include "base/utf8.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

enum class CodePoint { bad, cut, whole };

// Judges the octets of one code point, as far as they are there (RFC 3629 §4). `size` is 1 to 4.
CodePoint judge(const std::uint8_t* octets, std::size_t size) {
  const std::uint8_t lead = octets[0];
  if (lead < 0x80) return CodePoint::whole;
  if (lead < 0xC2 || lead > 0xF4)
    return CodePoint::bad;  // a continuation, an overlong form, or beyond U+10FFFF
  if (size > 1) {
    // The second octet carries what the lead leaves open: overlong forms, surrogates, the end of Unicode.
    const std::uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (octets[1] < least || octets[1] > most) return CodePoint::bad;
  }
  for (std::size_t i = 2; i < size; ++i) {
    if ((octets[i] & 0xC0) != 0x80) return CodePoint::bad;
  }
  const std::size_t need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return size < need ? CodePoint::cut : CodePoint::whole;
}

}  // namespace

bool valid_utf8(Bytes bytes) {
  return bytes.empty() || simdjson::validate_utf8(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::size_t valid_utf8_prefix(Bytes bytes) {
  constexpr std::size_t kBlock = 256;  // judged at once; only a block that is not all valid is looked at one by one
  std::size_t good = 0;
  while (good < bytes.size()) {
    const Bytes block = bytes.subspan(good, std::min(kBlock, bytes.size() - good));
    const Bytes whole = block.first(block.size() - cut_code_point(block));
    if (whole.empty() || !valid_utf8(whole)) break;
    good += whole.size();
  }
  while (good < bytes.size()) {
    std::size_t size = 1;
    const std::size_t most = std::min<std::size_t>(4, bytes.size() - good);
    while (size < most && judge(bytes.data() + good, size) == CodePoint::cut) ++size;
    if (judge(bytes.data() + good, size) != CodePoint::whole) break;
    good += size;
  }
  return good;
}

std::size_t invalid_subpart(Bytes bytes) {
  std::size_t size = 1;
  while (size < bytes.size() && judge(bytes.data(), size + 1) == CodePoint::cut) ++size;
  return size;
}

std::size_t cut_code_point(Bytes bytes) {
  const std::size_t most = std::min<std::size_t>(bytes.size(), 3);
  for (std::size_t size = 1; size <= most; ++size) {
    const std::uint8_t* octets = bytes.data() + bytes.size() - size;
    if ((octets[0] & 0xC0) == 0x80) continue;  // a continuation: its lead is further ahead
    return judge(octets, size) == CodePoint::cut ? size : 0;
  }
  return 0;
}

bool Utf8Validator::feed(Bytes piece) {
  while (carried_ > 0 && !piece.empty()) {
    carry_[carried_++] = piece.front();
    piece = piece.subspan(1);
    switch (judge(carry_.data(), carried_)) {
      case CodePoint::bad: return false;
      case CodePoint::cut: break;
      case CodePoint::whole: carried_ = 0; break;
    }
  }
  if (piece.empty()) return true;
  const std::size_t cut = cut_code_point(piece);
  if (!valid_utf8(piece.first(piece.size() - cut))) return false;
  carried_ = static_cast<std::uint8_t>(cut);
  std::memcpy(carry_.data(), piece.data() + piece.size() - cut, cut);
  return true;
}

}  // namespace sluice
