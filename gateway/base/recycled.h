// Recycled: memory of objects that come and go with every request stays with the thread, for the next one. malloc keeps few
// of a size close at hand, and none of more than a kilobyte.
#pragma once

#include <cstddef>
#include <new>

namespace sluice {

// `class T : Recycled<T>`. An object may be destroyed by another thread than the one that made it; at most kMost blocks rest
// with each thread.
template <typename T>
class Recycled {
 public:
  static void* operator new(std::size_t size) {
    Resting& resting = resting_;
    if (size != sizeof(T) || resting.first == nullptr) return ::operator new(size);
    Block* const block = resting.first;
    resting.first = block->next;
    --resting.count;
    return block;
  }
  static void operator delete(void* memory, std::size_t size) {
#ifndef SLUICE_SANITIZED  // which is to see every use after the end
    Resting& resting = resting_;
    if (memory != nullptr && size == sizeof(T) && resting.count < kMost) {
      resting.first = new (memory) Block{resting.first};
      ++resting.count;
      return;
    }
#endif
    ::operator delete(memory, size);
  }

 private:
  static constexpr std::size_t kMost = 32;
  struct Block {
    Block* next;
  };
  struct Resting {
    Block* first = nullptr;
    std::size_t count = 0;
    ~Resting() {
      count = kMost;  // whatever ends after this has no thread to rest with
      while (first != nullptr) {
        Block* const block = first;
        first = block->next;
        ::operator delete(block, sizeof(T));
      }
    }
  };
  static inline thread_local Resting resting_;
};

}  // namespace sluice
