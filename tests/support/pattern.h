// Octets that show when some are lost, doubled or moved.
#pragma once

#include <string>

namespace sluice::test {

inline std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

}  // namespace sluice::test
