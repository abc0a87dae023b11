#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/result.h"

namespace sluice {

namespace {

struct Batch {
  std::array<std::uint8_t, 1024> octets;
  std::size_t left = 0;

  void refill() {
    std::size_t have = 0;
    while (have < octets.size()) {
      const ssize_t n = getrandom(octets.data() + have, octets.size() - have, 0);
      check(n > 0 || errno == EINTR, "getrandom failed");
      if (n > 0) have += static_cast<std::size_t>(n);
    }
    left = octets.size();
  }
};

thread_local Batch batch;

}  // namespace

void random_fill(MutableBytes out) {
  while (!out.empty()) {
    if (batch.left == 0) batch.refill();
    const std::size_t n = std::min(out.size(), batch.left);
    std::uint8_t* from = batch.octets.data() + batch.octets.size() - batch.left;
    std::copy_n(from, n, out.data());
    std::fill_n(from, n, std::uint8_t{0});  // an octet is handed out once and does not stay in memory
    batch.left -= n;
    out = out.subspan(n);
  }
}

std::uint64_t random_u64() {
  std::array<std::uint8_t, 8> octets;
  random_fill(octets);
  return load_be<std::uint64_t>(octets.data());
}

std::uint64_t random_below(std::uint64_t bound) {
  check(bound > 0, "random_below(0)");
  // Multiply-shift; the bias is below 2^-32 for every bound that the house uses.
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(random_u64()) * bound) >> 64);
}

}  // namespace sluice
