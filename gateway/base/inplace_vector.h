// InplaceVector: up to N trivial values inside the object itself. Its octets are not written before a value is: an array
// of sixteen ranges on the stack of every message would be cleared sixteen times for the one that is used.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <span>
#include <type_traits>

#include "base/result.h"

// For a variable whose every octet is written before it is read: leaves out -ftrivial-auto-var-init.
#define SLUICE_UNINITIALIZED __attribute__((uninitialized))

namespace sluice {

template <typename T, std::size_t N>
class InplaceVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  InplaceVector() : size_(0) {}
  InplaceVector(const InplaceVector&) = delete;
  InplaceVector& operator=(const InplaceVector&) = delete;

  static constexpr std::size_t capacity() { return N; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == N; }
  T* data() { return std::launder(reinterpret_cast<T*>(storage_.data())); }
  const T* data() const { return std::launder(reinterpret_cast<const T*>(storage_.data())); }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](std::size_t i) {
    check(i < size_, "InplaceVector: beyond the end");
    return data()[i];
  }
  T& back() { return (*this)[size_ - 1]; }
  T& push_back(const T& value) {
    check(!full(), "InplaceVector: full");
    return *new (storage_.data() + sizeof(T) * size_++) T(value);
  }
  void clear() { size_ = 0; }
  std::span<const T> values() const { return {data(), size_}; }

 private:
  std::size_t size_;
  alignas(T) std::array<std::byte, sizeof(T) * N> storage_;
};

}  // namespace sluice
