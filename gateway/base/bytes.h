// Bytes: views of octets, and the only place of the house that shifts them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace sluice {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

// The same octets seen as text and back. The view dies with what it looks at.
inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Big-endian integer at `from`; the caller has checked that sizeof(T) octets are there.
template <typename T>
T load_be(const std::uint8_t* from) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((static_cast<std::uint64_t>(value) << 8) | from[i]);
  return value;
}

template <typename T>
void store_be(std::uint8_t* to, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = sizeof(T); i-- > 0; value = static_cast<T>(static_cast<std::uint64_t>(value) >> 8)) {
    to[i] = static_cast<std::uint8_t>(value);
  }
}

}  // namespace sluice
