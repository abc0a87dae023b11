// Blob: a growable run of bytes that is never zero-filled and keeps its storage when cleared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace bench {

class Blob {
 public:
  Blob() = default;
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;
  ~Blob() { std::free(data_); }

  std::uint8_t* data() { return data_ + begin_; }
  const std::uint8_t* data() const { return data_ + begin_; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // Room for at least `n` bytes behind the content; added(k) then makes k of them content.
  std::uint8_t* tail(std::size_t n) {
    if (capacity_ - end_ < n) grow(n);
    return data_ + end_;
  }
  void added(std::size_t n) { end_ += n; }
  void append(const void* bytes, std::size_t n) {
    std::memcpy(tail(n), bytes, n);
    end_ += n;
  }
  void consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void clear() { begin_ = end_ = 0; }
  void release() {
    std::free(data_);
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }
  void swap(Blob& other) {
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  void grow(std::size_t n) {
    const std::size_t content = size();
    if (begin_ != 0) std::memmove(data_, data_ + begin_, content);
    begin_ = 0;
    end_ = content;
    if (capacity_ - end_ >= n) return;
    std::size_t wanted = capacity_ * 2 > content + n ? capacity_ * 2 : content + n;
    void* moved = std::realloc(data_, wanted);
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::uint8_t*>(moved);
    capacity_ = wanted;
  }

  std::uint8_t* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace bench
