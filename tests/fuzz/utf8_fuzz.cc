// UTF-8 validation, one-shot and cut anywhere, against a plain state machine over the table of RFC 3629 §4.
// Input: four octets that seed the cuts, then the text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"

namespace {

using namespace sluice;

void require(bool condition) {
  if (!condition) std::abort();
}

// What may come next: `more` continuation octets, the first of them from `least` to `most`.
struct Machine {
  int more = 0;
  std::uint8_t least = 0x80;
  std::uint8_t most = 0xBF;

  bool feed(std::uint8_t octet) {
    if (more > 0) {
      if (octet < least || octet > most) return false;
      --more;
      least = 0x80;
      most = 0xBF;
      return true;
    }
    if (octet < 0x80) return true;
    if (octet < 0xC2 || octet > 0xF4) return false;
    more = octet < 0xE0 ? 1 : octet < 0xF0 ? 2 : 3;
    if (octet == 0xE0) least = 0xA0;
    if (octet == 0xED) most = 0x9F;
    if (octet == 0xF0) least = 0x90;
    if (octet == 0xF4) most = 0x8F;
    return true;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size < 4) return 0;
  std::uint32_t seed = load_be<std::uint32_t>(octets);
  const Bytes text(octets + 4, size - 4);

  Machine machine;
  std::size_t good = 0;  // octets before the first that cannot be
  while (good < text.size() && machine.feed(text[good])) ++good;
  const bool starts = good == text.size();
  require(valid_utf8(text) == (starts && machine.more == 0));

  Utf8Validator validator;
  std::size_t at = 0;
  bool alive = true;
  while (alive && at < text.size()) {
    seed = seed * 1664525 + 1013904223;
    const std::size_t piece = std::min<std::size_t>(text.size() - at, (seed >> 28) * ((seed >> 26) & 3));
    alive = validator.feed(text.subspan(at, piece));
    at += piece;
    require(alive == (at <= good));  // refused in the very piece that holds the first bad octet
  }
  if (alive) require(validator.complete() == (machine.more == 0));
  if (starts) {
    const std::size_t cut = cut_code_point(text);
    require(cut <= 3 && (cut == 0) == (machine.more == 0));
    require(valid_utf8(text.first(text.size() - cut)));
  }
  return 0;
}
