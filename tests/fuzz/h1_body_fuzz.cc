// Chunked bodies: the same verdict and the same octets however they are cut, never more data than input, and nothing
// covered behind the end.
#include <string>

#include "http/h1_body.h"

using namespace sluice;
using namespace sluice::http;

namespace {

struct Decoded {
  bool good = true;
  bool done = false;
  std::string body;
  std::size_t covered = 0;
};

// Shows `step` octets more at a time; 0: all at once.
Decoded decode(Bytes input, std::size_t step) {
  ChunkedDecoder decoder(Side::upstream);
  Decoded out;
  for (std::size_t shown = step == 0 ? input.size() : 0;; shown = std::min(input.size(), shown + step)) {
    while (true) {
      const auto piece = decoder.next(input.subspan(out.covered, shown - out.covered));
      if (!piece) {
        check(piece.error().side == Side::upstream, "a backend's error blamed on someone else");
        out.good = false;
        return out;
      }
      check(piece->data.size() <= piece->size, "more body than input");
      check(piece->size <= shown - out.covered, "covered what was not shown");
      check(!out.done || piece->size == 0, "covered octets behind the end");
      out.body += as_text(piece->data);
      out.covered += piece->size;
      out.done = decoder.done();
      if (piece->size == 0) break;
    }
    if (shown == input.size()) return out;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(data, size);
  const Decoded whole = decode(input, 0);
  for (const std::size_t step : {1, 2, 3, 7}) {
    const Decoded cut = decode(input, step);
    check(cut.good == whole.good && cut.done == whole.done, "the verdict depends on the cut");
    check(!whole.good || (cut.body == whole.body && cut.covered == whole.covered), "the body depends on the cut");
  }
  return 0;
}
