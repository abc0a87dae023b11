#include "base/buffer.h"

#include <bit>
#include <cstring>

#include "base/result.h"

namespace sluice {

void Buffer::append(Bytes bytes) {
  if (bytes.empty()) return;
  if (capacity_ - end_ < bytes.size()) {
    const std::size_t need = size() + bytes.size();
    if (block_ && need <= capacity_) {
      std::memmove(block_, block_ + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    } else {
      std::uint32_t capacity = 0;
      std::uint8_t* block = pool_->take(need, capacity);
      const std::size_t kept = size();
      if (block_) {
        std::memcpy(block, block_ + begin_, kept);
        pool_->give(block_, capacity_);
      }
      block_ = block;
      capacity_ = capacity;
      begin_ = 0;
      end_ = static_cast<std::uint32_t>(kept);
    }
  }
  std::memcpy(block_ + end_, bytes.data(), bytes.size());
  end_ += static_cast<std::uint32_t>(bytes.size());
}

void Buffer::consume(std::size_t n) {
  check(n <= size(), "Buffer::consume beyond the end");
  begin_ += static_cast<std::uint32_t>(n);
  if (begin_ == end_) clear();
}

void Buffer::clear() {
  if (block_) pool_->give(block_, capacity_);
  block_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

BufferPool::~BufferPool() {
  for (auto& list : free_) {
    for (std::uint8_t* block : list) delete[] block;
  }
}

std::uint8_t* BufferPool::take(std::size_t at_least, std::uint32_t& capacity) {
  const std::size_t size = std::bit_ceil(at_least < kSmallest ? kSmallest : at_least);
  const std::size_t index = static_cast<std::size_t>(std::countr_zero(size) - std::countr_zero(kSmallest));
  check(index < kClasses, "a remainder larger than any turn can leave");
  capacity = static_cast<std::uint32_t>(size);
  lent_ += size;
  auto& list = free_[index];
  if (list.empty()) return new std::uint8_t[size];
  std::uint8_t* block = list.back();
  list.pop_back();
  kept_ -= size;
  return block;
}

void BufferPool::give(std::uint8_t* block, std::uint32_t capacity) {
  lent_ -= capacity;
  if (kept_ + capacity > keep_) {
    delete[] block;
    return;
  }
  const std::size_t index = static_cast<std::size_t>(std::countr_zero(capacity) - std::countr_zero(kSmallest));
  free_[index].push_back(block);
  kept_ += capacity;
}

}  // namespace sluice
