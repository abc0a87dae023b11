#include "base/buffer.h"

#include <bit>
#include <cstring>
#include <new>

#include "base/result.h"

namespace sluice {

namespace {

void free_block(BufferBlock* block) { ::operator delete(block); }

}  // namespace

void Buffer::append(Bytes bytes) {
  if (bytes.empty()) return;
  if (!block_) {
    block_ = pool_->take(bytes.size());
  } else if (block_->capacity - block_->end < bytes.size()) {
    const std::size_t kept = size();
    if (kept + bytes.size() <= block_->capacity) {
      std::memmove(block_->octets(), block_->octets() + block_->begin, kept);
    } else {
      BufferBlock* larger = pool_->take(kept + bytes.size());
      std::memcpy(larger->octets(), block_->octets() + block_->begin, kept);
      pool_->give(block_);
      block_ = larger;
    }
    block_->begin = 0;
    block_->end = static_cast<std::uint32_t>(kept);
  }
  std::memcpy(block_->octets() + block_->end, bytes.data(), bytes.size());
  block_->end += static_cast<std::uint32_t>(bytes.size());
}

void Buffer::consume(std::size_t n) {
  check(n <= size(), "Buffer::consume beyond the end");
  if (n == 0) return;
  block_->begin += static_cast<std::uint32_t>(n);
  if (block_->begin == block_->end) clear();
}

void Buffer::clear() {
  if (block_) pool_->give(block_);
  block_ = nullptr;
}

BufferPool::~BufferPool() {
  for (auto& list : free_) {
    for (BufferBlock* block : list) free_block(block);
  }
}

// Size classes count the octets that a block holds for its user.
BufferBlock* BufferPool::take(std::size_t at_least) {
  const std::size_t size = std::bit_ceil(at_least < kSmallest ? kSmallest : at_least);
  const std::size_t index = static_cast<std::size_t>(std::countr_zero(size) - std::countr_zero(kSmallest));
  check(index < kClasses, "a remainder larger than any turn can leave");
  lent_ += size;
  auto& list = free_[index];
  BufferBlock* block;
  if (list.empty()) {
    block = static_cast<BufferBlock*>(::operator new(sizeof(BufferBlock) + size));
  } else {
    block = list.back();
    list.pop_back();
    kept_ -= size;
  }
  *block = {0, 0, static_cast<std::uint32_t>(size)};
  return block;
}

void BufferPool::give(BufferBlock* block) {
  const std::size_t capacity = block->capacity;
  lent_ -= capacity;
  if (kept_ + capacity > keep_) {
    free_block(block);
    return;
  }
  free_[static_cast<std::size_t>(std::countr_zero(capacity) - std::countr_zero(kSmallest))].push_back(block);
  kept_ += capacity;
}

}  // namespace sluice
